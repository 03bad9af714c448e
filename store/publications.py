"""The pointer: which batch readers see for each interval, and every move it made."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from domain.interval import Interval
from domain.words import BatchKind
from store import schema


@dataclass(frozen=True, slots=True)
class Published:
    """Where one pointer stands."""

    interval: Interval
    batch: int
    rows: int
    content_hash: str


def publish(connection: sa.Connection, run: int, *, who: str, why: str) -> int:
    """Moves the pointers to the run's batches in the caller's transaction; returns how many moved (0: they were there)."""
    moves = connection.scalar(
        sa.text("SELECT overnight.publish(:run, :who, :why)"), {"run": run, "who": who, "why": why}
    )  # fmt: skip
    return int(moves or 0)


def published_batches(
    connection: sa.Connection, pipeline: str, kind: BatchKind, *, start: datetime | None = None, end: datetime | None = None
) -> Sequence[Published]:
    """The batches that readers see for the intervals inside `[start, end)`, oldest first."""
    query = (
        sa.select(schema.pointer, schema.batch.c.rows, schema.batch.c.content_hash)
        .join(schema.batch, schema.batch.c.id == schema.pointer.c.batch)
        .where(schema.pointer.c.pipeline == pipeline, schema.pointer.c.kind == kind)
        .order_by(schema.pointer.c.interval_start)
    )
    if start is not None:
        query = query.where(schema.pointer.c.interval_start >= start)
    if end is not None:
        query = query.where(schema.pointer.c.interval_end <= end)
    return [
        Published(Interval(line.interval_start, line.interval_end), line.batch, line.rows, line.content_hash)
        for line in connection.execute(query)
    ]  # fmt: skip


def is_published(connection: sa.Connection, pipeline: str, *, start: datetime | None = None) -> bool:
    """Whether readers see the rows of the night that starts then; of no night in particular, of any."""
    at = schema.pointer.c
    query = sa.select(at.batch).where(at.pipeline == pipeline, at.kind == BatchKind.INPUT).limit(1)
    return connection.execute(query if start is None else query.where(at.interval_start == start)).first() is not None
