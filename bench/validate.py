"""What judging a night costs, against one hand-written SQL pass that computes the same figures, in the same Postgres.

Both are measured in CPU seconds of everything that works: this process, and all processes of the database.
`python -m bench.validate [small|full]` measures alone, in a database of its own that it throws away.
"""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa

from bench.clock import Figures, beside, in_turn, own_cpu, own_peak
from deployments.catalogue import Definition, load_definition
from domain.words import BatchKind, RunState
from infra.airline import drop_flights
from infra.postgres import Postmaster, ensure_database, find_server, stop_server
from infra.settings import Settings
from store import schema
from store.batches import Batch, count_batch, open_batch
from store.engine import create_engine, driver_cursor, transaction
from store.migrate import migrate
from store.pipelines import register
from store.runs import claim, finish_run, load_run
from tasks.context import Night
from tasks.expectations.audit import Audited, Findings, judge
from tasks.expectations.rejects import set_aside
from tasks.expectations.sentences import failure_of
from tasks.expectations.suite import read_suite
from tasks.ingest import ingest
from tasks.validate import shares_of, validate

ROWS = {"small": 336_776, "full": 3_367_760}
SUITE = """
- {expect: table_row_count_to_be_between, min_value: 1000}
- {expect: column_values_to_not_be_null, column: carrier}
- {expect: column_values_to_not_be_null, column: dest}
- {expect: column_values_to_not_be_null, column: dep_time, mostly: 0.9, severity: warning}
- {expect: column_values_to_not_be_null, column: tailnum, mostly: 0.98, severity: warning}
- {expect: column_values_to_be_between, column: distance, min_value: 10, max_value: 6000}
- {expect: column_values_to_be_between, column: sched_dep_time, min_value: 0, max_value: 2359}
- {expect: column_values_to_be_between, column: sched_arr_time, min_value: 0, max_value: 2359}
- {expect: column_values_to_be_between, column: arr_delay, min_value: -150, max_value: 1500}
- {expect: column_values_to_be_between, column: dep_delay, min_value: -60, max_value: 1500}
- {expect: column_values_to_be_between, column: air_time, min_value: 10, max_value: 800}
- {expect: column_values_to_be_in_set, column: origin, value_set: [EWR, JFK, LGA]}
- {expect: column_values_to_match_regex, column: carrier, regex: "^[0-9A-Z]{2}$"}
- {expect: column_values_to_match_regex, column: tailnum, regex: "^[0-9A-Z]{5,6}$", mostly: 0.98}
- {expect: column_values_to_be_unique, column: flight_id}
- {expect: column_pair_values_a_to_be_greater_than_b, column_A: arr_delay, column_B: dep_delay, mostly: 0.1, severity: warning}
- {expect: column_mean_to_be_between, column: distance, min_value: 900, max_value: 1250}
- {expect: column_mean_to_be_between, column: dep_delay, min_value: -20, max_value: 100}
- {expect: column_stdev_to_be_between, column: distance, min_value: 500, max_value: 1000}
- {expect: column_unique_value_count_to_be_between, column: carrier, min_value: 10, max_value: 20}
"""
HAND = """
SELECT count(*), count(*) FILTER (WHERE carrier IS NULL), count(*) FILTER (WHERE dest IS NULL),
    count(*) FILTER (WHERE dep_time IS NULL), count(*) FILTER (WHERE tailnum IS NULL),
    count(*) FILTER (WHERE NOT distance BETWEEN 10 AND 6000),
    count(*) FILTER (WHERE NOT sched_dep_time BETWEEN 0 AND 2359),
    count(*) FILTER (WHERE NOT sched_arr_time BETWEEN 0 AND 2359),
    count(*) FILTER (WHERE NOT arr_delay BETWEEN -150 AND 1500), count(*) FILTER (WHERE NOT dep_delay BETWEEN -60 AND 1500),
    count(*) FILTER (WHERE NOT air_time BETWEEN 10 AND 800), count(*) FILTER (WHERE origin NOT IN ('EWR', 'JFK', 'LGA')),
    count(*) FILTER (WHERE carrier !~ '^[0-9A-Z]{2}$'), count(*) FILTER (WHERE tailnum !~ '^[0-9A-Z]{5,6}$'),
    count(*) FILTER (WHERE arr_delay <= dep_delay), count(arr_delay), count(dep_delay), count(air_time),
    avg(distance), avg(dep_delay), stddev_samp(distance), count(DISTINCT carrier)
FROM {table};
SELECT coalesce(sum(k), 0) FROM (SELECT count(*) AS k FROM {table} GROUP BY flight_id HAVING count(*) > 1) AS shared
"""
MULTIPLY = """
INSERT INTO {table} ({columns})
SELECT flight_id || '-' || n, {others} FROM {table}, generate_series(2, {times}) n
"""
SPOIL = """
UPDATE {table} SET distance = CASE abs(hashtext(flight_id)) % 300 WHEN 0 THEN 99999 ELSE distance END,
    carrier = CASE abs(hashtext(flight_id)) % 300 WHEN 1 THEN 'x' ELSE carrier END,
    origin = CASE abs(hashtext(flight_id)) % 300 WHEN 2 THEN 'BOS' ELSE origin END
WHERE abs(hashtext(flight_id)) % 300 < 3
"""


def validate_vs_sql_pass(size: str = "small") -> dict[str, dict[str, Any]]:
    """Ours over the hand-written pass, in CPU seconds (less is better): judging alone, and with 1% of rows set aside."""
    with loaded(ROWS[size]) as there:
        batch = there.batch
        night = _night(there.settings, there.definition, there.writer)
        clean = _compare(there, there.judge)
        _execute(there.writer, SPOIL, batch)
        _execute(there.owner, "VACUUM ANALYZE {table}", batch, outside=True)
        spoiled = _compare(there, lambda: _with_rejects(there.writer, batch, there.judge()))
    return {
        "validate_vs_sql_pass": clean, "validate_with_rejects_vs_sql_pass": spoiled, "validate_night_vs_two_seconds": night
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Loaded:
    """A night of flights that waits for its verdict, in a database of its own."""

    settings: Settings
    server: Postmaster
    definition: Definition
    owner: sa.Engine
    writer: sa.Engine
    batch: Batch
    judge: Callable[[], Findings]


@contextmanager
def loaded(rows: int) -> Iterator[Loaded]:
    """`rows` is rounded to whole years of 336,776 flights, or cut from one."""
    with tempfile.TemporaryDirectory(prefix="ov") as folder:
        here = Path(folder)
        settings = Settings(home=here, deployments=here / "deployments", database_url=None)
        url = ensure_database(settings)
        server = find_server(settings.postgres_folder)
        assert server is not None
        try:
            migrate(url)
            definition = _definition(settings)
            owner, writer = create_engine(url, role="owner"), create_engine(url, role="writer")
            register(owner, definition.pipeline, expectations=list(definition.expectations))
            batch = _load(settings, definition, writer, rows=rows)
            yield Loaded(settings, server, definition, owner, writer, batch, _judge(definition, writer, batch))
            owner.dispose()
            writer.dispose()
        finally:
            stop_server(settings.postgres_folder)


def _judge(definition: Definition, writer: sa.Engine, batch: Batch) -> Callable[[], Findings]:
    rules = read_suite(definition, definition.pipeline.calendar.named("2013-01-01"))
    audited = Audited(batch.schema, batch.table, {n: c.type for n, c in definition.pipeline.columns.items()}, ("flight_id",))
    mostly = shares_of(rules, at_most=0.02)
    warm = Audited(batch.schema, "landed", audited.columns, audited.key)
    judge(writer.url, warm, rules, mostly=mostly)  # imports and lint, once per process
    return lambda: judge(writer.url, audited, rules, mostly=mostly)


def _night(settings: Settings, definition: Definition, writer: sa.Engine) -> dict[str, float]:
    """The whole stage by the clock, for nights of some 920 rows in a warm process: pictures, figures, verdict and seal."""
    drop_flights(settings.data_folder / "flights")
    seconds, rows = [], 0.0
    for day in ("2013-02-11", "2013-02-12", "2013-02-13", "2013-02-14", "2013-02-15", "2013-02-18"):
        with claim(writer, "flights", definition.pipeline.calendar.named(day), trigger="bench", holder={}) as run:
            ingest(Night(run, definition, writer, settings))
            began = time.monotonic()
            report = validate(Night(run, definition, writer, settings))
            seconds.append(time.monotonic() - began)
            rows = float(report.rows_in)
            finish_run(writer, run.id, state=RunState.SKIPPED, reason="")
    middle = round(statistics.median(seconds[1:]), 3)  # the first one imports and lints
    return {"ratio": round(middle / 2, 3), "ours": middle, "other": 2.0, "seconds": middle, "rows": rows, "rounds": 5}


def _definition(settings: Settings) -> Definition:
    here = settings.deployments / "flights"
    here.mkdir(parents=True, exist_ok=True)
    (here / "pipeline.yaml").write_bytes((Path(__file__).parents[1] / "deployments/flights/pipeline.yaml").read_bytes())
    (here / "expectations.yaml").write_text(SUITE)
    return load_definition(settings.deployments, "flights")


def _load(settings: Settings, definition: Definition, writer: sa.Engine, *, rows: int) -> Batch:
    """A loaded batch of the year's flights, as often as it takes, each time under other keys."""
    drops = settings.data_folder / "flights"
    drop_flights(drops)
    pipeline = definition.pipeline
    interval = pipeline.calendar.named("2013-01-01")
    with transaction(writer) as connection:
        run = connection.scalar(
            sa.insert(schema.run)
            .values(pipeline="flights", interval_start=interval.start, interval_end=interval.end, trigger="bench", holder={},
                    hindsight=False)
            .returning(schema.run.c.id)
        )  # fmt: skip
        columns = list(pipeline.columns)
        batch = open_batch(connection, load_run(connection, run or 0), BatchKind.INPUT, columns=columns, fingerprint="bench")
        with driver_cursor(connection) as cursor:
            cursor.execute(
                "CREATE TEMPORARY TABLE drop ({}) ON COMMIT DROP".format(", ".join(f"{name} text" for name in _header(drops)))
            )
            for path in sorted(drops.glob("2013-*.csv")):
                with path.open("rb") as file:
                    cursor.copy_expert("COPY drop FROM STDIN (FORMAT csv, HEADER)", file)
            typed = ", ".join(f"{name}::{_TYPES[pipeline.columns[name].type]}" for name in columns)
            cursor.execute(
                f"INSERT INTO {_table(batch)} ({', '.join(columns)}) "
                f"SELECT {typed} FROM (SELECT DISTINCT ON (flight_id) * FROM drop LIMIT %s) d", (rows,),
            )  # fmt: skip
            times = round(rows / 336_776)
            if times > 1:
                others = ", ".join(columns[1:])
                text = MULTIPLY.format(table=_table(batch), columns=", ".join(columns), others=others, times=times)
                cursor.execute(text)
            cursor.execute(f"SELECT count(*) FROM {_table(batch)}")
            found = int((cursor.fetchone() or (0,))[0])
        count_batch(connection, batch.id, rows=found)
    _execute(writer, "VACUUM ANALYZE {table}", batch, outside=True)
    return replace(batch, rows=found)


_TYPES = {"text": "text", "int": "numeric::bigint", "timestamp": "timestamptz", "float": "float8"}


def _header(drops: Path) -> list[str]:
    with next(iter(sorted(drops.glob("2013-*.csv")))).open() as file:
        return file.readline().strip().split(",")


def _table(batch: Batch) -> str:
    return f"{batch.schema}.{batch.table}"


def _execute(engine: sa.Engine, text: str, batch: Batch, *, outside: bool = False) -> None:
    with engine.connect() as plain:
        connection = plain.execution_options(isolation_level="AUTOCOMMIT") if outside else plain
        connection.execute(sa.text(text.format(table=_table(batch))))
        if not outside:
            connection.commit()


def _hand_pass(url: str, batch: Batch) -> None:
    """The same figures by somebody who writes SQL, with the same memory to work in."""
    with psycopg.connect(url, options="-c work_mem=256MB") as connection:
        for statement in HAND.replace("{table}", _table(batch)).split(";"):
            connection.execute(statement.encode()).fetchall()


def _with_rejects(writer: sa.Engine, batch: Batch, found: Findings) -> None:
    """Sets the caught rows aside, and takes it back, so that the next round finds the same table."""
    with writer.connect() as connection:
        set_aside(
            connection, found.catches, schema=batch.schema, batch=batch.id,
            reasons={catch.rule.number: failure_of(catch.rule) for catch in found.catches},
            found={finding.rule.number: finding.unexpected or 0 for finding in found.findings},
        )  # fmt: skip
        connection.rollback()


def _compare(there: Loaded, ours: Callable[[], Any]) -> dict[str, Any]:
    """CPU seconds of the two, taken in turn so that both meet the same machine."""
    url = ensure_database(there.settings)
    sides = {"other": lambda: cost(lambda: _hand_pass(url, there.batch)), "ours": lambda: cost(ours)}
    found = in_turn(sides, server=there.server)
    mine, theirs = found["ours"]["cpu_seconds"], found["other"]["cpu_seconds"]
    return {"ratio": round(mine / theirs, 3), "ours": round(mine, 3), "other": round(theirs, 3), "rows": there.batch.rows,
            **beside(found["ours"], found["other"]), "peak_mb": round(own_peak())}  # fmt: skip


def cost(work: Callable[[], Any]) -> Figures:
    """What this process spends on a call."""
    began, spent = time.perf_counter(), own_cpu()
    work()
    return {"seconds": time.perf_counter() - began, "cpu_seconds": own_cpu() - spent}


if __name__ == "__main__":
    print(json.dumps(validate_vs_sql_pass(sys.argv[1] if len(sys.argv) > 1 else "small"), indent=2))
