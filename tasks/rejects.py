"""What was set aside on a night, and the night again once its source or its contract was mended."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import sqlalchemy as sa
from psycopg2 import sql

from deployments.catalogue import Definition
from domain.errors import Pruned, UsageError
from domain.interval import Interval
from domain.report import NightReport
from domain.words import BatchKind
from infra.settings import Settings
from store.batches import Batch, newest_batch
from store.copying import copy_out
from store.engine import driver_cursor, transaction
from store.pruning import pruned_on
from tasks.context import writer_engine
from tasks.night import StageCall, take_night
from tasks.perform import perform

COLUMNS = ("source", "line", "column_name", "value", "rule", "reason", "row_text")
_SELECT = "SELECT {columns} FROM {rejected} ORDER BY source, line, column_name"


@dataclass(frozen=True, slots=True)
class Rejects:
    """The rejects of a night's newest batch; `lines` are the first ones, `total` counts all. `by_rule` adds up to it."""

    batch: int
    read: int
    total: int
    by_rule: Mapping[str, int]
    lines: list[dict[str, Any]]


def list_rejects(definition: Definition, interval: Interval, settings: Settings, *, limit: int = 50) -> Rejects:
    """Raises UsageError when the night was never ingested."""
    with transaction(writer_engine(settings)) as connection:
        batch = _newest(connection, definition, interval)
        _require_rejects(connection, definition, batch)
        with driver_cursor(connection) as cursor:
            cursor.execute(sql.SQL("SELECT rule, count(*) FROM {} GROUP BY 1 ORDER BY 2 DESC").format(_table(batch)))
            by_rule = {str(rule): int(rows) for rule, rows in cursor.fetchall()}
            cursor.execute(sql.SQL("{} LIMIT {}").format(_query(batch), sql.Literal(limit)))
            lines = [dict(zip(COLUMNS, line, strict=True)) for line in cursor.fetchall()]
    return Rejects(batch.id, batch.rows + batch.rejected, batch.rejected, by_rule, lines)


def write_rejects(definition: Definition, interval: Interval, settings: Settings, *, file: BinaryIO) -> int:
    """All rejects of the night's newest batch as CSV; returns how many. Raises UsageError when there is no batch."""
    with transaction(writer_engine(settings)) as connection:
        batch = _newest(connection, definition, interval)
        _require_rejects(connection, definition, batch)
        return copy_out(connection, _query(batch), file)


def replay(definition: Definition, interval: Interval, settings: Settings, *, call: StageCall = perform) -> NightReport:
    """Takes the night again, from its source, by the contract of now: a new batch when either was mended, nothing otherwise.

    Raises UsageError when the night was never ingested, LockHeld when somebody has it.
    """
    with transaction(writer_engine(settings)) as connection:
        _newest(connection, definition, interval)
    return take_night(definition, interval, settings, trigger="replay", call=call)


def _newest(connection: sa.Connection, definition: Definition, interval: Interval) -> Batch:
    pipeline = definition.pipeline
    batch = newest_batch(connection, pipeline.name, BatchKind.INPUT, interval)
    if batch is None:
        label = pipeline.calendar.label(interval)
        raise UsageError(f"{pipeline.name} {label} was never ingested", hint=f"overnight run {pipeline.name} --interval {label}")
    return batch


def _require_rejects(connection: sa.Connection, definition: Definition, batch: Batch) -> None:
    gone = pruned_on(connection, batch.id, part="rejected")
    if gone is not None:
        label = definition.pipeline.calendar.label(batch.interval)
        raise Pruned(
            f"what was set aside of batch {batch.id} was pruned on {gone.at:%Y-%m-%d}, by {gone.who}: {gone.why}",
            where=f"{batch.pipeline} {label}", hint=f"overnight replay {batch.pipeline} {label}",
        )  # fmt: skip


def _table(batch: Batch) -> sql.Identifier:
    return sql.Identifier(batch.schema, f"rejected_{batch.id}")


def _query(batch: Batch) -> sql.Composed:
    columns = sql.SQL(", ").join(map(sql.Identifier, COLUMNS))
    return sql.SQL(_SELECT).format(columns=columns, rejected=_table(batch))
