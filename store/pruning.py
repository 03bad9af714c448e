"""What may be pruned and what was: the plan as the database makes it, the deed through its one door, pins, and left-overs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from domain.interval import Interval
from domain.pruning import Old, Part, PrunePlan
from domain.words import BatchState
from store import schema
from store.batches import abandon_batch
from store.engine import transaction

PIN, UNPIN = "pin", "unpin"
_PLAN = sa.text("SELECT * FROM overnight.pruning_plan(:pipeline, :moment)")
_PRUNE = sa.text("SELECT overnight.prune_batch(:batch, :part, :moment, :who, :why)")
_LOCKED = ("55P03", "40P01")  # somebody reads what would go, or what lies beside it


def plan_pruning(connection: sa.Connection, pipeline: str, *, at: datetime) -> PrunePlan:
    """Everything that is older than its limit at `at`, with why it stays or that it may go."""
    lines = connection.execute(_PLAN, {"pipeline": pipeline, "moment": at})
    return PrunePlan(pipeline, at, [_old(line) for line in lines])


def _old(line: Any) -> Old:
    interval = Interval(line.interval_start, line.interval_end)
    return Old(line.batch, line.kind, line.part, interval, line.rows, line.bytes, line.since, line.kept or "")


def prune_batch(engine: sa.Engine, batch: int, part: Part, *, at: datetime, who: str, why: str) -> int | None:
    """Drops one part of one batch in a transaction of its own; the bytes that it freed, None while somebody is reading there.

    Raises Kept when the database knows why it must stay: readers see it, it is pinned, something that is kept needs it.
    """
    try:
        with transaction(engine) as connection:
            freed = connection.scalar(_PRUNE, {"batch": batch, "part": part, "moment": at, "who": who, "why": why})
            return int(freed or 0)
    except Exception as error:
        cause = error.__cause__
        if isinstance(cause, DBAPIError) and getattr(cause.orig, "pgcode", None) in _LOCKED:
            return None
        raise


def pins_of(connection: sa.Connection, pipeline: str) -> Sequence[Any]:
    """The batches that are pinned now: batch, who, why, at."""
    return connection.execute(_PINS, {"pipeline": pipeline}).all()


_PINS = sa.text("""
SELECT batch, who, why, at FROM (
    SELECT DISTINCT ON (detail ->> 'batch') (detail ->> 'batch')::bigint AS batch, what, who, detail ->> 'why' AS why, at
    FROM overnight.action WHERE pipeline = :pipeline AND what IN ('pin', 'unpin') ORDER BY detail ->> 'batch', id DESC) newest
WHERE what = 'pin' ORDER BY batch
""")


@dataclass(frozen=True, slots=True)
class Tombstone:
    """What remains of a part of a batch that was pruned."""

    at: datetime
    who: str
    why: str


def pruned_on(connection: sa.Connection, batch: int, *, part: Part = "rows") -> Tombstone | None:
    """None when that part of the batch was never pruned."""
    line = connection.execute(
        sa.select(schema.pruning.c.at, schema.pruning.c.who, schema.pruning.c.why).where(
            schema.pruning.c.batch == batch, schema.pruning.c.part == part
        )
    ).first()
    return Tombstone(line.at, line.who, line.why) if line else None


_LEFT_OVER = sa.text("""
SELECT b.id FROM overnight.batch b
WHERE b.pipeline = :pipeline AND b.state = 'loaded' AND b.created_at < :before
    AND NOT EXISTS (SELECT FROM overnight.run r WHERE r.state = 'running' AND r.input_batch = b.id)
ORDER BY b.id
""")


def left_overs(connection: sa.Connection, pipeline: str, *, before: datetime) -> list[int]:
    """The batches that were loaded before then and never sealed, and that no run is at work on."""
    return list(connection.scalars(_LEFT_OVER, {"pipeline": pipeline, "before": before}))


def abandon_left_over(connection: sa.Connection, pipeline: str, batch: int, *, before: datetime) -> bool:
    """Drops the tables of such a batch, unless a run has taken it up meanwhile."""
    locked = sa.select(schema.batch.c.id).where(schema.batch.c.id == batch, schema.batch.c.state == BatchState.LOADED)
    if connection.execute(locked.with_for_update()).first() is None:
        return False
    if batch not in left_overs(connection, pipeline, before=before):
        return False
    abandon_batch(connection, batch)
    return True


def orphans(connection: sa.Connection, pipeline: str, *, drop: bool = False) -> list[str]:
    """The tables among the pipeline's own that no line of the ledger speaks for; dropped if asked."""
    return list(connection.scalar(_ORPHANS, {"pipeline": pipeline, "act": drop}) or [])


_ORPHANS = sa.text("SELECT overnight.sweep_orphans(:pipeline, :act)")
