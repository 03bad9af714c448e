"""What must not creep up, in counts that no clock changes: what each entry point imports, what a night asks Postgres, what a
row takes on disk, and what is held of rows in memory."""

import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from deployments.catalogue import Definition, load_definition
from domain.report import StageReport
from domain.words import RunState, Stage, Task
from infra.settings import Settings
from store.migrate import alembic_config, newest_revision
from store.pipelines import register
from store.quality import Unjudged
from tasks.answers import weigh
from tasks.metrics import Prior
from tasks.night import take_night
from tasks.perform import perform

HEAVY = (
    "pandas", "numpy", "pyarrow", "sklearn", "scipy", "skops", "great_expectations", "prefect", "docker", "distributed",
    "fastapi", "alembic", "mako",
)  # fmt: skip
# What is imported before anything is asked for: modules at most, and of the heavy ones those that belong there.
STARTS = {
    "from cli.main import app": (720, set()),
    "import tasks.__main__": (520, set()),
    "import tasks.ingest": (660, {"numpy", "pyarrow"}),
    "import tasks.validate": (630, set()),
    "import web.app": (760, {"fastapi"}),
}


@pytest.mark.parametrize("start", STARTS)
def test_an_entry_point_imports_nothing_heavy_before_it_is_needed(start: str) -> None:
    most, allowed = STARTS[start]
    code = f"import sys; {start}; print(len(sys.modules), *(name for name in {HEAVY} if name in sys.modules))"
    count, *heavy = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert set(heavy) <= allowed
    assert int(count) <= most


def test_the_newest_migration_is_known_without_the_library_that_runs_it() -> None:
    from alembic.script import ScriptDirectory

    assert newest_revision() == ScriptDirectory.from_config(alembic_config()).get_current_head()


class Counter:
    """Statements of each stage, as SQLAlchemy's engines run them; COPY goes past it."""

    def __init__(self) -> None:
        self.of: dict[str, int] = {}
        self._seen = 0
        sa.event.listen(sa.Engine, "before_cursor_execute", self._count)

    def _count(self, *_: Any) -> None:
        self._seen += 1

    def __call__(self, stage: Stage, run: int, settings: Settings) -> StageReport:
        before = self._seen
        report = perform(stage, run, settings)
        self.of[str(stage)] = self._seen - before
        return report

    def stop(self) -> None:
        sa.event.remove(sa.Engine, "before_cursor_execute", self._count)


MOST = {"ingest": 16, "validate": 30, "train": 12, "score": 24, "publish": 26, "observe": 11}  # two more than today


def test_a_night_asks_postgres_as_often_whatever_its_rows_and_its_age(
    shops: Definition, settings: Settings, write_day: Callable[..., Path]
) -> None:
    counter, taken = Counter(), list[dict[str, int]]()
    try:
        for number in range(1, 8):
            write_day(f"2024-01-0{number}", rows=600 if number == 6 else 60)
            night = shops.pipeline.calendar.named(f"2024-01-0{number}")
            report = take_night(shops, night, settings, trigger="test", call=counter)
            assert report.state is RunState.PUBLISHED, report.reason
            taken.append(dict(counter.of))
    finally:
        counter.stop()
    assert taken[4] == taken[5] == taken[6]
    assert {stage: count for stage, count in taken[6].items() if count > MOST[stage]} == {}


def test_a_suite_that_names_its_night_is_tried_once_and_not_every_night(
    shops: Definition, settings: Settings, owner: sa.Engine, write_day: Callable[..., Path]
) -> None:
    suite, counter = settings.deployments / "shops" / "expectations.yaml", Counter()
    suite.write_text(suite.read_text() + IN_THE_NIGHT)
    definition = load_definition(settings.deployments, "shops")
    register(owner, definition.pipeline, expectations=list(definition.expectations))
    counts = []
    try:
        for day in ("2024-01-01", "2024-01-02", "2024-01-03"):
            write_day(day)
            report = take_night(definition, definition.pipeline.calendar.named(day), settings, trigger="test", call=counter)
            assert report.state is RunState.PUBLISHED, report.reason
            counts.append(counter.of["validate"])
    finally:
        counter.stop()
    assert counts[0] > counts[1] == counts[2]


IN_THE_NIGHT = (
    '- {expect: column_values_to_be_between, column: opened, min_value: "{interval.start}", max_value: "{interval.end}"}\n'
)


def test_judging_takes_as_much_memory_for_any_number_of_rows(shops: Definition, owner: sa.Engine) -> None:
    """A night's answers, with what was said of them, would take some 120 MB for each million rows if they were all read."""
    import pyarrow as pa

    night, prior = shops.pipeline.calendar.named("2024-01-01"), Prior(Task.CLASSIFICATION, {"False": 0.5, "True": 0.5})
    whole, peaks = pa.default_memory_pool(), dict[int, float]()
    with owner.connect() as connection:
        for rows in (1_000, 600_000):  # the first imports what the second needs
            connection.execute(sa.text(_PREDICTED.format(number=rows)))
            pa.set_memory_pool(pool := pa.proxy_memory_pool(whole))
            tracemalloc.start()
            try:
                assert weigh(connection, shops.pipeline, Unjudged(night, rows, 1, rows), prior=prior).rows == rows
                peaks[rows] = ((pool.max_memory() or 0) + tracemalloc.get_traced_memory()[1]) / 1e6
            finally:
                tracemalloc.stop()
                pa.set_memory_pool(whole)
    assert peaks[600_000] <= 45, peaks  # blocks of text that are read ahead


_PREDICTED = """
CREATE TABLE overnight_shops.landed_{number} AS SELECT 's' || i AS shop, i % 3 AS left_over FROM generate_series(1, {number}) i;
CREATE TABLE overnight_shops.predictions_{number} AS
    SELECT shop, left_over < 1 AS prediction, random() AS probability, false AS hindsight FROM overnight_shops.landed_{number}
"""


def test_a_row_takes_on_disk_little_more_than_what_it_holds(
    shops: Definition, settings: Settings, write_day: Callable[..., Path], owner: sa.Engine
) -> None:
    """Landed, with its key's index, and predicted: the mean of a thousand rows of some 60 bytes of CSV each."""
    for number, rows in ((1, 60), (2, 60), (3, 1_000)):
        write_day(f"2024-01-0{number}", rows=rows)
        take_night(shops, shops.pipeline.calendar.named(f"2024-01-0{number}"), settings, trigger="test")
    with owner.connect() as connection:
        newest = connection.execute(sa.text("SELECT kind, max(id) FROM overnight.batch GROUP BY kind")).all()
        sizes = {
            kind: connection.scalar(sa.text(f"SELECT pg_total_relation_size('overnight_shops.{_TABLES[kind]}_{number}')")) / 1_000
            for kind, number in newest
        }
    assert sizes["input"] <= 170, sizes
    assert sizes["prediction"] <= 145, sizes


_TABLES = {"input": "landed", "prediction": "predictions"}
