"""Where a night goes: CPU and questions by stage, what each entry point imports, and what a row takes on disk and in the log.

`python -m bench.profile` measures, writes profile.json, and the page of figures shows it.
"""

import json
import os
import statistics
import subprocess
import sys
from collections import defaultdict
from typing import Any

import psycopg2
import sqlalchemy as sa

from bench.clock import database_cpu, own_cpu
from bench.profile_page import PATH, ROWS, read_profile
from bench.results import today
from bench.scaling.house import define, home, nights_of, server_of, take
from bench.scaling.rows import DEFINITION, RULES, write
from deployments.catalogue import Definition
from domain.interval import Interval
from domain.report import StageReport
from domain.words import RunState, Stage, StageState
from infra.airline import drop_flights
from infra.postgres import ensure_database
from infra.settings import Settings
from tasks.night import take_night
from tasks.perform import perform
from tasks.prepare import prepare

WARM_UP, ROUNDS = 9, 5
ENTRIES = {
    "overnight --help": "import sys; sys.argv[1:] = ['--help']\nfrom cli.main import main\ntry: main()\nexcept SystemExit: pass",
    "overnight run, before the first stage": "import cli.main, cli.taking, tasks.night",
    "a stage's container, ingest": "import tasks.__main__, tasks.ingest",
    "a stage's container, validate": "import tasks.__main__, tasks.expectations\n"
    "tasks.expectations.put_off_what_is_seldom_needed()\nimport tasks.validate, tasks.expectations.engine",
    "a stage's container, score": "import tasks.__main__, tasks.score, sklearn.ensemble, skops.io, pandas",
    "a flow of Prefect": "import flows.nightly",
    "the web": "import web.app",
}


def measure() -> dict[str, Any]:
    return {
        "day": today(),
        "stages": _stages(),
        "entries": {name: _entry(code) for name, code in ENTRIES.items()},
        "bytes": _bytes(),
    }


def _stages() -> dict[str, dict[str, float]]:
    """Medians of warm nights of real flights that do not train."""
    taken: dict[str, list[tuple[float, int]]] = defaultdict(list)
    with home() as own:
        settings = own.model_copy(update={"deployments": Settings().deployments})
        drop_flights(settings.data_folder / "flights")
        (definition,) = prepare(settings, "flights")
        nights = nights_of(definition, WARM_UP + ROUNDS + 2)
        for night in nights[:WARM_UP]:
            take(definition, night, settings)
        for night in nights[WARM_UP:]:
            found = _by_stage(definition, night, settings)
            for name, figures in found.items() if len(taken["train"]) < ROUNDS else ():
                taken[name].append(figures)
    return {
        name: {"cpu_ms": round(statistics.median(cpu for cpu, _ in each) * 1e3, 1), "statements": each[-1][1]}
        for name, each in ((str(stage), taken[str(stage)]) for stage in Stage)
    }  # fmt: skip


def _by_stage(definition: Definition, night: Interval, settings: Settings) -> dict[str, tuple[float, int]]:
    """CPU seconds and statements of each stage; nothing when the night trained."""
    server, seen, found = server_of(settings), [0], dict[str, tuple[float, int]]()
    trained = False

    def count(*_: Any) -> None:
        seen[0] += 1

    def call(stage: Stage, run: int, settings: Settings) -> StageReport:
        nonlocal trained
        before, asked = own_cpu() + database_cpu(server), seen[0]
        report = perform(stage, run, settings)
        found[str(stage)] = own_cpu() + database_cpu(server) - before, seen[0] - asked
        trained = trained or (stage is Stage.TRAIN and report.state is StageState.DONE)
        return report

    sa.event.listen(sa.Engine, "before_cursor_execute", count)
    try:
        report = take_night(definition, night, settings, trigger="bench", call=call)
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", count)
    assert report.state is RunState.PUBLISHED, report.reason
    return {} if trained else found


def _entry(code: str) -> dict[str, Any]:
    """Modules and CPU seconds of a fresh process, and the packages that take most of them by themselves."""
    tail = "\nimport os, sys; sys.stderr.write(f'@@ {len(sys.modules)} {sum(os.times()[:2])}\\n')"
    seconds, count = [], 0
    for _ in range(ROUNDS + 1):
        told = _run([sys.executable, "-c", code + tail]).split("@@")[1].split()
        count = int(told[0])
        seconds.append(float(told[1]))
    own: dict[str, float] = defaultdict(float)
    for line in _run([sys.executable, "-X", "importtime", "-c", code]).splitlines():
        if line.startswith("import time:") and "|" in line and "self [us]" not in line:
            spent, _, name = (part.strip() for part in line.removeprefix("import time:").split("|"))
            own[name.split(".")[0]] += int(spent)
    largest = sorted(own, key=lambda name: -own[name])[:4]
    whole = sum(own.values())
    return {
        "modules": count, "cpu_s": round(statistics.median(seconds[1:]), 2),
        "largest": {name: round(own[name] / whole, 2) for name in largest},
    }  # fmt: skip


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": "80"})
    return done.stderr


def _bytes() -> dict[str, float]:
    """Of a night of eight columns: the CSV, what lies in its two tables with their indexes, and what went into the log."""
    with home() as settings:
        definition = define(settings, "rows", DEFINITION, rules=RULES)
        *learned, warm_up, counted = nights_of(definition, 6)
        for night in (*learned, warm_up):
            write(settings, definition, night, 5_000)
            take(definition, night, settings)
        write(settings, definition, counted, ROWS)
        csv = (settings.data_folder / "rows" / f"{counted.start:%Y-%m-%d}.csv").stat().st_size
        with psycopg2.connect(ensure_database(settings)) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            cursor.execute("CHECKPOINT")
            before = _one(cursor, "SELECT pg_current_wal_lsn()")
            take(definition, counted, settings)
            log = _one(cursor, f"SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '{before}')")
            found = {"CSV": csv, "write-ahead log": float(log)}
            for kind, table in (("input", "landed"), ("prediction", "predictions")):
                number = _one(cursor, f"SELECT max(id) FROM overnight.batch WHERE kind = '{kind}'")
                for said, size in (("", "pg_table_size"), (", indexes", "pg_indexes_size")):
                    found[f"{table}{said}"] = _one(cursor, f"SELECT {size}('overnight_rows.{table}_{number}')")
    return {name: round(float(size) / ROWS, 1) for name, size in found.items()}


def _one(cursor: Any, query: str) -> Any:
    cursor.execute(query)
    return cursor.fetchone()[0]


def main() -> None:
    found = {**read_profile(), **measure()}  # `bench.containers` writes its part there too
    PATH.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    from bench.page import write_pages

    write_pages()


if __name__ == "__main__":
    main()
