"""A session of scratch tables: what a night would land, judged and set aside by the stages' own code, and gone with it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa
from psycopg2 import sql

from deployments.catalogue import Definition
from domain.interval import Interval
from domain.pipeline import Pipeline
from domain.words import BatchKind, BatchState
from infra.postgres import database_url
from infra.settings import Settings
from store.batches import Batch
from store.engine import driver_cursor, parse_url, translated_errors
from store.pipelines import landed_types
from tasks.expectations.audit import Audited, Findings, judge_here
from tasks.expectations.rejects import set_aside
from tasks.expectations.sentences import failure_of
from tasks.expectations.suite import Rule
from tasks.ingest.files import SourceFile
from tasks.ingest.load import Loaded, load_files

if TYPE_CHECKING:
    from tasks.expectations.engine import Reader

_TEMPORARY = """
CREATE TEMPORARY TABLE landed_0 (batch_id bigint NOT NULL DEFAULT 0, {columns});
CREATE TEMPORARY TABLE rejected_0 (batch_id bigint NOT NULL DEFAULT 0, source text, line bigint, column_name text, value text,
    rule text NOT NULL, reason text NOT NULL, row_text text);
"""
_OPTIONS = "-c role=overnight_writer -c timezone=UTC -c search_path=pg_catalog -c work_mem=256MB"


@dataclass(frozen=True)
class Scratch(Batch):
    """A batch that is nowhere in the ledger: its tables are this session's own."""

    @property
    def schema(self) -> str:
        return "pg_temp"


@dataclass(frozen=True, slots=True)
class Landed:
    """What came of a source in scratch tables: `rows` stay in `landed_0`, `caught` were set aside by rules."""

    loaded: Loaded
    found: Findings
    caught: int

    @property
    def rows(self) -> int:
        return self.loaded.rows - self.caught


def scratch_batch(
    pipeline: str, kind: BatchKind, interval: Interval, *, columns: Sequence[str] = (), hindsight: bool = False
) -> Scratch:
    return Scratch(
        0, pipeline, kind, interval, BatchState.LOADED, 0, 0, tuple(columns), None, "", None, None, hindsight
    )  # fmt: skip


@contextmanager
def scratch_session(settings: Settings) -> Iterator["Reader"]:
    """One session as the writer, for as long as the context lasts."""
    from tasks.expectations.engine import Reader

    database = sa.create_engine(
        parse_url(database_url(settings, role="writer")),
        poolclass=sa.StaticPool,
        connect_args={"options": _OPTIONS, "application_name": "overnight check", "connect_timeout": 10},
    )
    try:
        with translated_errors():
            yield Reader(database)
    finally:
        database.dispose()


def land(
    reader: "Reader",
    definition: Definition,
    interval: Interval,
    files: list[SourceFile],
    *,
    rules: tuple[Rule, ...],
    mostly: dict[int, float],
) -> Landed:
    """Loads files into `pg_temp.landed_0` and `pg_temp.rejected_0`, judges them and sets aside what the rules caught."""
    pipeline = definition.pipeline
    with reader.database.begin() as connection:
        loaded = _load(connection, definition, interval, files)
    if not rules:
        return Landed(loaded, Findings((), (), {}), 0)
    columns = {name: column.type for name, column in pipeline.columns.items()}
    found = judge_here(reader, Audited("pg_temp", "landed_0", columns, pipeline.key), rules, mostly=mostly)
    with reader.database.begin() as connection:
        connection.execute(sa.text("SET TRANSACTION READ WRITE"))
        caught = set_aside(
            connection, found.catches, schema="pg_temp", batch=0,
            reasons={catch.rule.number: failure_of(catch.rule) for catch in found.catches},
            found={finding.rule.number: finding.unexpected or 0 for finding in found.findings},
        )  # fmt: skip
    return Landed(loaded, found, caught)


def _load(connection: sa.Connection, definition: Definition, interval: Interval, files: list[SourceFile]) -> Loaded:
    pipeline = definition.pipeline
    with driver_cursor(connection) as cursor:
        cursor.execute(sql.SQL(_TEMPORARY).format(columns=_declared(pipeline)))
    batch = scratch_batch(pipeline.name, BatchKind.INPUT, interval, columns=tuple(pipeline.columns))
    return load_files(connection, batch, pipeline, files)


def _declared(pipeline: Pipeline) -> sql.Composable:
    kinds = landed_types(pipeline)
    return sql.SQL(", ").join(sql.SQL("{} ").format(sql.Identifier(name)) + sql.SQL(kind) for name, kind in kinds.items())
