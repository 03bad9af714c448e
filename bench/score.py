"""Scoring rows that live in Postgres, against `predict_proba` alone on the same rows in memory.

`ratio` is ours / other in rows a second: higher is better. Ours reads, prepares, predicts and writes; the other side finds its
rows prepared and throws its answers away. Both predict the same bits, ours by tables made of the same trees (tasks/leaves.py),
so that the ratio may pass 1. The processor's seconds hardly change when other work runs on the machine.
"""

import json
import multiprocessing
import resource
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import psutil
import sqlalchemy as sa

from deployments.catalogue import load_definition
from domain.words import BatchKind, Outcome
from infra.postgres import ensure_database, stop_server
from infra.settings import Settings, load_settings
from store.batches import Batch, count_batch, load_batch, open_batch, record_verdict, seal_batch
from store.engine import create_engine, transaction
from store.migrate import migrate
from store.models import champion_for, load_artifact
from store.pipelines import register
from store.runs import claim, load_run, point_run
from tasks.context import Night, writer_engine

ROWS = {"small": 300_000, "full": 3_367_760}
ROUNDS = 5  # that count, after one that does not
LEARNED = 30_000  # rows of each of the three nights that the model learns from
DEFINITION = """
name: bench_score
title: How long does scoring take?
interval: {every: day, timezone: America/New_York, from: 2013-01-01}
source: {kind: csv, path: "none.csv"}
columns:
  flight_id: {type: text, key: true}
  sched_dep: {type: timestamp, time: true}
  carrier: {type: text}
  origin: {type: text}
  dest: {type: text}
  distance: {type: int}
  sched_arr_time: {type: int, null: true}
  arr_delay: {type: float, null: true}
target: {column: arr_delay, as: "arr_delay > 15", task: classification}
features: {numeric: [distance, sched_arr_time], categorical: [carrier, origin, dest], datetime: [sched_dep]}
model: {params: {early_stopping: false}}
"""
_ROWS = """
INSERT INTO {table} (flight_id, sched_dep, carrier, origin, dest, distance, sched_arr_time, arr_delay)
SELECT :start || '-' || i, CAST(:start AS timestamptz) + i % 1440 * interval '1 minute', 'c' || i % 16, 'o' || h % 3,
    'd' || h / 7 % 105, 100 + h % 4900, CASE WHEN i % 50 > 0 THEN h / 3 % 2400 END, h % 60 - 40 + (i % 16) * 2 + (i % 1440) / 60
FROM (SELECT i, hashint8(i)::bigint & 1048575 AS h FROM generate_series(CAST(1 AS bigint), :rows) i) made
"""


def score_vs_predict(size: str = "small") -> dict[str, dict[str, float]]:
    """Both figures from one run, each in a process of its own; `peak_mb` is of ours, beside one for a tenth of the rows."""
    rows = ROWS[size]
    with tempfile.TemporaryDirectory(prefix="ov") as folder:
        settings = Settings(home=Path(folder) / "home", deployments=Path(folder) / "deployments")
        try:
            whole, tenth = _prepare(settings, rows), _prepare(settings, rows // 10, day="2013-01-05")
            other = _apart(_predict_alone, settings, whole)
            ours = _apart(_score, settings, whole)
            small = _apart(_score, settings, tenth)
        finally:
            stop_server(settings.postgres_folder)
    return {
        "score_vs_predict": {
            "ratio": round(other["seconds"] / ours["seconds"], 3),
            "ours": round(rows / ours["seconds"]), "other": round(rows / other["seconds"]), "rows": rows,
            "seconds": round(ours["seconds"], 3), "other_seconds": round(other["seconds"], 3),
            "sealed_seconds": round(ours["sealed"], 3), "cpu_seconds": round(ours["cpu"], 2),
            "other_cpu_seconds": round(other["cpu"], 2),
            "rounds": ROUNDS, "peak_mb": round(ours["peak_mb"]),
            "other_peak_mb": round(other["peak_mb"]), "tenth_peak_mb": round(small["peak_mb"]),
        }
    }  # fmt: skip


def _prepare(settings: Settings, rows: int, *, day: str = "2013-01-04") -> int:
    """A run whose input batch holds so many rows; the first time also the model. Returns the run's number."""
    url = ensure_database(settings)
    if migrate(url)[0] is None:
        folder = settings.deployments / "bench_score"
        folder.mkdir(parents=True)
        (folder / "pipeline.yaml").write_text(DEFINITION)
        owner = create_engine(url, role="owner")
        register(owner, load_definition(settings.deployments, "bench_score").pipeline, expectations=[])
        owner.dispose()
        for learned in ("2013-01-01", "2013-01-02", "2013-01-03"):
            _land(settings, learned, LEARNED, publish=True)
    return _land(settings, day, rows, train=True)


def _land(settings: Settings, day: str, rows: int, *, publish: bool = False, train: bool = False) -> int:
    from tasks.publish import publish as move_pointers
    from tasks.train import train as learn

    definition, engine = load_definition(settings.deployments, "bench_score"), writer_engine(settings)
    interval = definition.pipeline.calendar.named(day)
    with claim(engine, "bench_score", interval, trigger="bench", holder={"pid": 0}) as run:
        with transaction(engine) as connection:
            batch = open_batch(connection, run, BatchKind.INPUT, columns=list(definition.pipeline.columns), fingerprint="")
            values = {"start": interval.start.isoformat(), "rows": rows}
            connection.execute(sa.text(_ROWS.format(table=f"{batch.schema}.{batch.table}")), values)
            count_batch(connection, batch.id, rows=rows)
            seal_batch(connection, batch.id, run=run.id)
            record_verdict(connection, batch.id, run=run.id, outcome=Outcome.PASSED, reason="", suite_hash="", results=[])
            point_run(connection, run.id, input_batch=batch.id)
        night = Night(run, definition, engine, settings)
        if publish:
            move_pointers(night)
        if train:
            learn(night)
    return run.id


def _apart(what: Callable[[Settings, int], dict[str, float]], settings: Settings, run: int) -> dict[str, float]:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measured, (what, settings, run))


def _measured(what: Callable[[Settings, int], dict[str, float]], settings: Settings, run: int) -> dict[str, float]:
    load_settings()  # as every process of Overnight does: it says how threads wait
    found = what(settings, run)
    return {**found, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def _night(settings: Settings, run: int) -> Night:
    engine = writer_engine(settings)
    with transaction(engine) as connection:
        found = load_run(connection, run)
    return Night(found, load_definition(settings.deployments, "bench_score"), engine, settings)


def _ready(night: Night) -> tuple[Any, Batch]:
    """The model that scores the night, and the rows that wait for it."""
    from tasks.models import read_model

    with transaction(night.engine) as connection:
        champion = champion_for(connection, "bench_score", night=night.interval.start)
        assert champion is not None
        assert night.run.input_batch is not None
        loaded = read_model(night, champion, load_artifact(connection, champion.id))
        return loaded, load_batch(connection, night.run.input_batch)


def _prepared(night: Night, loaded: Any, landed: Batch, *, limit: int | None = None) -> Any:
    from psycopg2 import sql

    from tasks.frames import read_frame, scoring_query

    query, kinds = scoring_query(night.pipeline, landed, loaded.columns)
    with transaction(night.engine) as connection:
        return loaded.prepare(read_frame(connection, sql.SQL("{} LIMIT {}").format(query, sql.Literal(limit)), kinds))


def _predict_alone(settings: Settings, run: int) -> dict[str, float]:
    """scikit-learn's own `predict_proba` of the stored steps: prepared rows in, probabilities out, nothing else."""
    from tasks.estimators import threads

    night = _night(settings, run)
    loaded, landed = _ready(night)
    prepared = _prepared(night, loaded, landed)
    with threads(settings, rows=landed.rows):
        loaded.estimator.predict_proba(prepared[:1000])
        taken = []
        for _ in range(ROUNDS + 1):
            began, spent = perf_counter(), process_time()
            loaded.estimator.predict_proba(prepared)
            taken.append((perf_counter() - began, process_time() - spent))
    return {name: statistics.median(one[place] for one in taken[1:]) for place, name in enumerate(("seconds", "cpu"))}


def _score(settings: Settings, run: int) -> dict[str, float]:
    """Reading, predicting and writing are timed; sealing (count, hash, index) is told apart. `cpu` is of both sides of the
    socket. What a process does once is not timed, as it is not on the other side."""
    night = _night(settings, run)
    loaded, landed = _ready(night)
    loaded.estimator.predict_proba(_prepared(night, loaded, landed, limit=1000))
    taken = [_fill(settings, night, loaded, landed) for _ in range(ROUNDS + 1)][1:]
    return {name: statistics.median(one[name] for one in taken) for name in taken[0]}


def _fill(settings: Settings, night: Night, loaded: Any, landed: Batch) -> dict[str, float]:
    from tasks.estimators import threads
    from tasks.score import kept_columns
    from tasks.scoring import score_rows

    engine = writer_engine(settings)
    with claim(engine, "bench_score", night.interval, trigger="bench", holder={"pid": 0}) as again:
        began = perf_counter()
        with threads(settings, rows=landed.rows), transaction(engine) as connection, transaction(engine) as reading:
            spent = _cpu(connection, reading)
            batch = open_batch(
                connection, again, BatchKind.PREDICTION, columns=kept_columns(night.pipeline), fingerprint="",
                input_batch=landed.id, model=loaded.version.id,
            )  # fmt: skip
            tally = score_rows(night, loaded, landed, batch, reading=reading, writing=connection)
            scored, cpu = perf_counter(), _cpu(connection, reading) - spent
            count_batch(connection, batch.id, rows=tally.rows)
            seal_batch(connection, batch.id, run=again.id)
    return {"seconds": scored - began, "sealed": perf_counter() - scored, "cpu": cpu}


def _cpu(*connections: sa.Connection) -> float:
    """The seconds of processor that this process and the backends behind its connections have had."""
    backends = [psutil.Process(connection.scalar(sa.text("SELECT pg_backend_pid()"))).cpu_times() for connection in connections]
    return process_time() + sum(times.user + times.system for times in backends)


if __name__ == "__main__":
    print(json.dumps(score_vs_predict(*sys.argv[1:]), indent=2))
