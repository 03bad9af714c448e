"""`prune`: shows what would go, then drops it batch by batch, each in a transaction of its own; and what was pinned stays."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from time import sleep

import sqlalchemy as sa

from deployments.catalogue import Definition
from domain.errors import Kept, UsageError
from domain.pruning import Old, PrunePlan
from domain.words import BatchState, counted
from infra.settings import Settings
from store.batches import Batch, load_batch
from store.engine import transaction
from store.models import record_action
from store.pruning import PIN, UNPIN, pins_of, plan_pruning, prune_batch
from tasks.context import writer_engine

ATTEMPTS, PAUSE = 8, 0.4  # while somebody reads; each attempt makes other readers wait a quarter of a second at most


@dataclass(frozen=True, slots=True)
class Deed:
    """What became of one part of a batch: it went and freed so much, or it stays, and why."""

    old: Old
    freed: int = 0
    stays: str = ""


def plan(definition: Definition, settings: Settings, *, at: datetime) -> PrunePlan:
    """What `prune` would drop at `at`, and why the rest of what is old stays. Changes nothing."""
    with transaction(writer_engine(settings)) as connection:
        return plan_pruning(connection, definition.pipeline.name, at=at)


def why_pruned(definition: Definition, old: Old) -> str:
    """The reason that the tombstone keeps."""
    keep = definition.pipeline.keep
    limit = keep.batches if old.part == "rows" else keep.rejected
    assert limit is not None  # without a limit nothing is old
    what = "rows that were set aside" if old.part == "rejected" else "batches that readers do not see"
    return f"{what} are kept for {counted(limit.days, 'day')}"


def prune(definition: Definition, settings: Settings, plan: PrunePlan, *, who: str) -> Iterator[Deed]:
    """Drops what the plan says may go; the database decides again for each. Whatever stops this leaves each batch whole or
    gone, and the next call goes on from there."""
    engine = writer_engine(settings)
    for old in plan.going:
        yield _prune_one(engine, old, plan, who=who, why=why_pruned(definition, old))


def _prune_one(engine: sa.Engine, old: Old, plan: PrunePlan, *, who: str, why: str) -> Deed:
    for attempt in range(ATTEMPTS):
        if attempt:
            sleep(PAUSE)
        try:
            freed = prune_batch(engine, old.batch, old.part, at=plan.at, who=who, why=why)
        except Kept as error:
            return Deed(old, stays=error.what)
        if freed is not None:
            return Deed(old, freed=freed)
    return Deed(old, stays=f"batch {old.batch} is kept for now: somebody is reading this pipeline's rows")


def pin(settings: Settings, number: int, *, who: str, why: str) -> Batch:
    """Keeps a batch's rows until it is unpinned, and so those that it was made from. Raises UsageError for one that has none."""
    return _speak(settings, number, PIN, who=who, why=why)


def unpin(settings: Settings, number: int, *, who: str, why: str) -> Batch:
    """Takes a pin back. Raises UsageError when there is none."""
    return _speak(settings, number, UNPIN, who=who, why=why)


def _speak(settings: Settings, number: int, what: str, *, who: str, why: str) -> Batch:
    if not why.strip():
        raise UsageError("a reason is needed, for the journal", hint=f'overnight {what} {number} --why "…"')
    with transaction(writer_engine(settings)) as connection:
        try:
            batch = load_batch(connection, number, lock=True)
        except LookupError as error:
            raise UsageError(str(error), hint="overnight batches NAME") from None
        if what == PIN and batch.state is not BatchState.SEALED:
            raise UsageError(f"batch {number} has no rows that could be kept: it is {batch.state}", hint="overnight batches")
        pinned = {line.batch for line in pins_of(connection, batch.pipeline)}
        if what == UNPIN and number not in pinned:
            listed = ", ".join(map(str, sorted(pinned))) or "none"
            raise UsageError(f"batch {number} is not pinned; of {batch.pipeline} there are {listed}", hint="overnight batches")
        record_action(
            connection, batch.pipeline, what, who=who, interval_start=batch.interval.start, detail={"batch": number, "why": why}
        )
        return batch
