"""Runs ingest for nights of shops, and looks at what is in the database afterwards."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from deployments.catalogue import Definition, load_definition
from domain.report import StageReport
from domain.words import RunState
from infra.settings import Settings
from store.runs import Run, claim, finish_run
from tasks.context import Night, writer_engine
from tasks.ingest import ingest

DAY = "2024-01-02"
WriteDay = Callable[..., Path]


class Shops:
    """Runs ingest for a night of shops and looks at what is in the database afterwards."""

    def __init__(self, settings: Settings, database: str) -> None:
        self.settings, self.database = settings, database

    def ingest(self, day: str = DAY) -> StageReport:
        definition, engine = self.definition, writer_engine(self.settings)
        interval = definition.pipeline.calendar.named(day)
        with claim(engine, "shops", interval, trigger="test", holder={}) as run:
            return ingest(Night(run, definition, engine, self.settings))

    @property
    def definition(self) -> Definition:
        return load_definition(self.settings.deployments, "shops")

    def end(self, run: Run) -> None:
        finish_run(writer_engine(self.settings), run.id, state=RunState.FAILED, reason="its end was wanted")

    def source(self, line: str) -> None:
        """Another `source:` for the pipeline."""
        before = 'source: {kind: csv, path: "{data}/shops/{start:%Y-%m-%d}.csv"}'
        self.contract(lambda text: text.replace(before, f"source: {line}"))

    @property
    def folder(self) -> Path:
        folder = self.settings.data_folder / "shops"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def contract(self, change: Callable[[str], str]) -> None:
        path = self.settings.deployments / "shops" / "pipeline.yaml"
        path.write_text(change(path.read_text()))

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg2.connect(self.database) as connection, connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall()

    def landed(self, report: StageReport, columns: str = "*") -> list[tuple[Any, ...]]:
        return self.rows(f"SELECT {columns} FROM overnight_shops.landed_{report.detail['batch']} ORDER BY shop")

    def rejects(self, report: StageReport) -> list[tuple[Any, ...]]:
        columns = "source, line, column_name, value, rule, reason"
        return self.rows(f"SELECT {columns} FROM overnight_shops.rejected_{report.detail['batch']} ORDER BY line")

    def leftovers(self) -> list[str]:
        """Every table of the pipeline's inner schema that belongs to one batch."""
        found = self.rows("SELECT relname FROM pg_class WHERE relnamespace = 'overnight_shops'::regnamespace AND relkind = 'r'")
        return sorted(name for (name,) in found)


@pytest.fixture
def night(settings: Settings, shops: Definition, database: str) -> Iterator[Shops]:
    yield Shops(settings, database)
    writer_engine(settings).dispose()
