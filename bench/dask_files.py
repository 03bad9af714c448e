"""A big night's files on two Dask workers against one process: the whole stage, in turn, into the same Postgres.

`ratio` is one process' seconds / the workers': higher is better, 2 would be all that two can give. JSON lines cost most to read.
Of CSV two workers are no faster than one process, so that Overnight spreads it from four on; here it is made to, to show that.
"""

import json
import os
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow.csv as pcsv

from bench.clock import Figures, beside, in_turn
from bench.dask import cluster
from bench.ingest import ingest_flights, write_flights
from infra.postgres import ensure_database, find_server, stop_server
from infra.prefect_home import settings_environment
from infra.settings import Settings, load_settings
from store.migrate import migrate

FILES = 10
SHARE = {"small": 4, "full": 1}  # of the 336,776 flights of 2013
ROUNDS = {"small": 1, "full": 5}
SOURCES = {"csv": '{kind: csv, path: "{data}/*.csv", nulls: [NA]}', "jsonl": '{kind: jsonl, path: "{data}/*.jsonl"}'}


def dask_files(size: str = "small") -> dict[str, dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="ov") as folder:
        home = Path(folder)
        settings = Settings(home=home / "home", deployments=home / "deployments", data=home / "data", threads=1)
        os.environ |= settings_environment(settings)
        load_settings.cache_clear()
        try:
            rows = _write_files(settings.data_folder, share=SHARE[size])
            migrate(ensure_database(settings))
            with cluster(settings, 2) as (address, _):
                return _measure(settings, address, rows, rounds=ROUNDS[size])
        finally:
            stop_server(settings.postgres_folder)


def _measure(settings: Settings, address: str, rows: int, *, rounds: int) -> dict[str, dict[str, Any]]:
    runners = {"alone": "", "spread": f'runner: {{kind: dask, address: "{address}"}}\n'}
    server = find_server(settings.postgres_folder)
    assert server is not None
    sides: dict[str, Callable[[], Figures]] = {
        f"{kind} {name}": partial(ingest_flights, settings, source, more=runner)
        for kind, source in SOURCES.items()
        for name, runner in runners.items()
    }
    with patch("tasks.ingest.spread.ENOUGH", 2), patch("tasks.ingest.spread.WORTH_SPREADING", 1):
        found = in_turn(sides, server=server, rounds=rounds)
    return {
        f"dask_files_{kind}": {
            "ratio": round(found[f"{kind} alone"]["seconds"] / found[f"{kind} spread"]["seconds"], 3),
            "ours": round(found[f"{kind} spread"]["seconds"], 2), "other": round(found[f"{kind} alone"]["seconds"], 2),
            "rows": rows, "files": FILES, **_clock_only(beside(found[f"{kind} spread"], found[f"{kind} alone"])),
        }
        for kind in SOURCES
    }  # fmt: skip


def _clock_only(figures: dict[str, Any]) -> dict[str, Any]:
    """Without the CPU seconds, of which the workers' own are not counted here."""
    return {name: value for name, value in figures.items() if "cpu" not in name}


def _write_files(folder: Path, *, share: int) -> int:
    folder.mkdir()
    whole = folder / "flights.csv"
    rows, _ = write_flights(whole, 1, share=share)
    head, *lines = whole.read_bytes().splitlines(keepends=True)
    step = -(-rows // FILES)
    for number in range(FILES):
        part = folder / f"{number}.csv"
        part.write_bytes(head + b"".join(lines[number * step : (number + 1) * step]))
        table = pcsv.read_csv(part, convert_options=pcsv.ConvertOptions(null_values=["NA"], strings_can_be_null=True))
        text = "\n".join(json.dumps(row, default=str) for row in table.to_pylist())
        part.with_suffix(".jsonl").write_text(text + "\n")
    whole.unlink()
    return rows


if __name__ == "__main__":
    print(json.dumps(dask_files(sys.argv[1] if len(sys.argv) > 1 else "small"), indent=2))
