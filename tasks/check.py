"""`check`: the whole definition against its source, with nothing written: what ingest and validate would say of a night.

Rows go to temporary tables of one session, which end with it; the code that reads, judges and sets aside is the stages' own.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from psycopg2 import sql

from deployments.catalogue import Definition
from domain.interval import Interval
from domain.pipeline import Pipeline
from domain.verdict import RuleResult, Tally, decide_outcome
from domain.words import BatchKind, BatchState, Outcome
from infra.postgres import database_url
from infra.settings import Settings
from store.batches import Batch
from store.engine import driver_cursor, parse_url, translated_errors
from store.figures import measure_batch
from store.pipelines import MORE, POSTGRES_TYPES
from tasks.expectations.audit import Audited, judge_here
from tasks.expectations.rejects import set_aside
from tasks.expectations.sentences import failure_of
from tasks.expectations.suite import read_suite
from tasks.ingest.load import Loaded, load_files
from tasks.ingest.take import take_source
from tasks.usual import add_history
from tasks.validate import results_of, shares_of

if TYPE_CHECKING:
    from tasks.expectations.engine import Reader

_TEMPORARY = """
CREATE TEMPORARY TABLE landed_0 (batch_id bigint NOT NULL DEFAULT 0, {columns});
CREATE TEMPORARY TABLE rejected_0 (batch_id bigint NOT NULL DEFAULT 0, source text, line bigint, column_name text, value text,
    rule text NOT NULL, reason text NOT NULL, row_text text);
"""
_OPTIONS = "-c role=overnight_writer -c timezone=UTC -c search_path=pg_catalog -c work_mem=256MB"


@dataclass(frozen=True, slots=True)
class Checked:
    """What a night would be: where its rows would go, what each rule would say, and the verdict."""

    label: str
    files: tuple[str, ...]
    landed: int
    unreadable: int
    caught: int
    rejects: Mapping[str, int]
    results: tuple[RuleResult, ...]
    outcome: Outcome
    reason: str

    def to_json(self) -> dict[str, Any]:
        rows = {"read": self.landed + self.unreadable + self.caught, "landed": self.landed, "unreadable": self.unreadable}
        return {
            "interval": self.label, "files": list(self.files), "rows": {**rows, "caught": self.caught},
            "rejects": dict(self.rejects), "outcome": str(self.outcome), "reason": self.reason,
            "rules": [result.to_json() for result in self.results],
        }  # fmt: skip


@dataclass(frozen=True)
class _Scratch(Batch):
    """A batch that is nowhere in the ledger: its tables are this session's own."""

    @property
    def schema(self) -> str:
        return "pg_temp"


def check(definition: Definition, interval: Interval, settings: Settings) -> Checked:
    """Reads the source, judges it by the suite, and writes nothing.

    Raises DefinitionError for a suite that cannot run, SourceError for a source that cannot be read.
    """
    pipeline = definition.pipeline
    rules = read_suite(definition, interval)
    mostly = shares_of(rules, at_most=pipeline.rejects.at_most)
    zone, data, server = pipeline.interval.timezone, settings.data_folder, parse_url(database_url(settings, role="writer"))
    with (
        take_source(pipeline.source, interval, zone=zone, data=data, server=server) as taken,
        _session(settings) as reader,
    ):
        database = reader.database
        with database.begin() as connection:
            loaded = _load(connection, definition, interval, taken.files)
        columns = {name: column.type for name, column in pipeline.columns.items()}
        found = judge_here(reader, Audited("pg_temp", "landed_0", columns, pipeline.key), rules, mostly=mostly)
        with database.begin() as connection:
            connection.execute(sa.text("SET TRANSACTION READ WRITE"))
            caught = set_aside(
                connection, found.catches, schema="pg_temp", batch=0,
                reasons={catch.rule.number: failure_of(catch.rule) for catch in found.catches},
                found={finding.rule.number: finding.unexpected or 0 for finding in found.findings},
            )  # fmt: skip
            results = results_of(found, mostly=mostly, moved=True)
            if loaded.rows > caught:
                figures = measure_batch(
                    connection, at="pg_temp", table="landed_0", rows=loaded.rows - caught, columns=columns, key=pipeline.key
                )
                results = add_history(connection, pipeline, interval, rules, results=results, figures=figures)
    tally = Tally(landed=loaded.rows - caught, unreadable=loaded.rejected, caught=caught)
    outcome, reason = decide_outcome(results, tally, at_most=pipeline.rejects.at_most)
    return Checked(
        pipeline.calendar.label(interval), tuple(file.name for file in taken.files), tally.landed, tally.unreadable, caught,
        loaded.by_rule, tuple(results), outcome, reason,
    )  # fmt: skip


@contextmanager
def _session(settings: Settings) -> Iterator["Reader"]:
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


def _load(connection: sa.Connection, definition: Definition, interval: Interval, files: list[Any]) -> Loaded:
    pipeline = definition.pipeline
    with driver_cursor(connection) as cursor:
        cursor.execute(sql.SQL(_TEMPORARY).format(columns=_declared(pipeline)))
    batch = _Scratch(
        0, pipeline.name, BatchKind.INPUT, interval, BatchState.LOADED, 0, 0, tuple(pipeline.columns), None, "", None, None,
        False,
    )  # fmt: skip
    return load_files(connection, batch, pipeline, files)


def _declared(pipeline: Pipeline) -> sql.Composable:
    kinds = {name: POSTGRES_TYPES[column.type] for name, column in pipeline.columns.items()}
    kinds |= {MORE: "jsonb"} if pipeline.new_columns == "add" else {}
    return sql.SQL(", ").join(sql.SQL("{} ").format(sql.Identifier(name)) + sql.SQL(kind) for name, kind in kinds.items())
