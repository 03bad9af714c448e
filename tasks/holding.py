"""What an operator says about a night: hold it, release it, judge again by today's suite. Each is a line of the journal.

Nothing here moves a pointer: readers keep what they see until a run publishes something else.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from deployments.catalogue import Definition
from domain.errors import UsageError
from domain.interval import Interval
from domain.standing import HELD_BY
from domain.words import BatchKind, BatchState, Outcome, RunState
from infra.settings import Settings
from store.actions import HOLD, RELEASE, standing_hold
from store.batches import Batch, load_batch, newest_batch, newest_verdict, record_verdict
from store.engine import transaction
from store.models import record_action
from store.publications import published_batches
from store.runs import Run, claim, finish_run, load_run, point_run
from tasks.context import Night, writer_engine
from tasks.validate import validate


@dataclass(frozen=True, slots=True)
class Said:
    """What an operator's word did: the batch it is about, its verdict before and after, and whether readers see it."""

    interval: Interval
    batch: int | None
    before: str
    after: str
    published: bool


def hold(
    definition: Definition, interval: Interval, settings: Settings, *, who: str, why: str, holder: Mapping[str, Any]
) -> Said:
    """Keeps a night from being published until it is released. What readers see already stays, marked as held.

    Raises LockHeld when a run is at work on the night.
    """

    def speak(connection: sa.Connection, run: Run, batch: Batch | None) -> str:
        reason = f"{HELD_BY}{who}: {why}"
        for each in _spoken_of(connection, run, batch):
            _say_again(connection, run, each, outcome=Outcome.HELD, reason=reason)
        return reason

    return _act(definition, interval, settings, what=HOLD, who=who, why=why, holder=holder, speak=speak)


def release(
    definition: Definition, interval: Interval, settings: Settings, *, who: str, why: str, holder: Mapping[str, Any]
) -> Said:
    """Lets a held night be published by its next run, with the rows that landed; rejects stay rejects.

    Raises UsageError when the night is not held or has no rows to publish, LockHeld when a run is at work on it.
    """

    def speak(connection: sa.Connection, run: Run, batch: Batch | None) -> str:
        known = newest_verdict(connection, batch.id) if batch else None
        if batch is None or known is None or batch.state is not BatchState.SEALED:
            raise UsageError("nothing of this night was judged yet, so nothing is held", hint=_again(definition, interval))
        if batch.rows == 0:
            raise UsageError(f"batch {batch.id} has no rows that could be published", hint=_again(definition, interval))
        if known[0] is not Outcome.HELD and not _is_held(connection, definition, interval):
            raise UsageError(f"this night is not held: {known[1]}", hint=f"overnight status {definition.pipeline.name}")
        reason = f"released by {who}: {why} (it was {known[1]})"
        for each in _spoken_of(connection, run, batch):
            if each.id == batch.id or _is_held_by_word(connection, each):
                outcome = Outcome.PASSED_WITH_REJECTS if each.rejected else Outcome.PASSED
                _say_again(connection, run, each, outcome=outcome, reason=reason)
        return reason

    return _act(definition, interval, settings, what=RELEASE, who=who, why=why, holder=holder, speak=speak)


def revalidate(
    definition: Definition, settings: Settings, *, first: Interval, last: Interval, who: str, holder: Mapping[str, Any]
) -> Sequence[Said]:
    """Judges what is published in these nights by today's suite: a new verdict for each, and nothing is unpublished.

    Rows of a sealed batch cannot be set aside any more, so a critical rule that catches some has failed.
    """
    engine = writer_engine(settings)
    with transaction(engine) as connection:
        published = published_batches(
            connection, definition.pipeline.name, BatchKind.INPUT, start=first.start, end=last.end
        )  # fmt: skip
    return [_judge_again(definition, each.interval, each.batch, settings, who=who, holder=holder) for each in published]


def _judge_again(
    definition: Definition, interval: Interval, number: int, settings: Settings, *, who: str, holder: Mapping[str, Any]
) -> Said:
    engine, name = writer_engine(settings), definition.pipeline.name
    with claim(engine, name, interval, trigger="revalidate", holder=holder) as run:
        reason, state = "", RunState.FAILED
        try:
            with transaction(engine) as connection:
                before = newest_verdict(connection, number)
                point_run(connection, run.id, input_batch=number)
                run = load_run(connection, run.id)
            validate(Night(run, definition, engine, settings))
            with transaction(engine) as connection:
                after = newest_verdict(connection, number)
                detail = {"batch": number, "suite": definition.suite_hash}
                record_action(connection, name, "revalidate", who=who, interval_start=interval.start, detail=detail)
            reason, state = f"judged again by {who}: {after[1] if after else ''}", RunState.SKIPPED
        finally:
            finish_run(engine, run.id, state=state, reason=reason)
    return Said(interval, number, before[1] if before else "", after[1] if after else "", published=True)


def _spoken_of(connection: sa.Connection, run: Run, newest: Batch | None) -> list[Batch]:
    """The rows that readers see of a night, and last its newest ones: a run that was held may have brought others."""
    start, end = run.interval.start, run.interval.end
    seen = [one.batch for one in published_batches(connection, run.pipeline, BatchKind.INPUT, start=start, end=end)]
    others = [load_batch(connection, number) for number in seen if newest is None or number != newest.id]
    return [*others, *([newest] if newest is not None and newest.state is BatchState.SEALED else [])]


def _is_held_by_word(connection: sa.Connection, batch: Batch) -> bool:
    known = newest_verdict(connection, batch.id)
    return known is not None and known[0] is Outcome.HELD and known[1].startswith(HELD_BY)


def _is_held(connection: sa.Connection, definition: Definition, interval: Interval) -> bool:
    """By an operator's word, or by the newest run (which is how limits on the predictions hold)."""
    from store import schema

    if standing_hold(connection, definition.pipeline.name, interval):
        return True
    told = schema.run.c.state.in_([RunState.HELD, RunState.PUBLISHED, RunState.FAILED])
    newest = connection.scalar(
        sa.select(schema.run.c.state)
        .where(schema.run.c.pipeline == definition.pipeline.name, schema.run.c.interval_start == interval.start, told)
        .order_by(schema.run.c.id.desc())
        .limit(1)
    )
    return newest == RunState.HELD


def _act(
    definition: Definition,
    interval: Interval,
    settings: Settings,
    *,
    what: str,
    who: str,
    why: str,
    holder: Mapping[str, Any],
    speak: Callable[[sa.Connection, Run, Batch | None], str],
) -> Said:
    """Takes the night's lock and, in one transaction, says the word and writes the line."""
    engine, name = writer_engine(settings), definition.pipeline.name
    with claim(engine, name, interval, trigger=what, holder=holder) as run:
        reason, state = f"{what} was refused", RunState.SKIPPED
        try:
            with transaction(engine) as connection:
                batch = newest_batch(connection, name, BatchKind.INPUT, interval)
                before = newest_verdict(connection, batch.id) if batch else None
                reason = speak(connection, run, batch)
                detail = {"why": why, "batch": batch.id if batch else None}
                record_action(connection, name, what, who=who, interval_start=interval.start, detail=detail)
                published = published_batches(connection, name, BatchKind.INPUT, start=interval.start, end=interval.end)
        except UsageError as error:
            raise error.at(f"{name} {definition.pipeline.calendar.label(interval)}") from None
        finally:
            finish_run(engine, run.id, state=state, reason=reason)
    return Said(interval, batch.id if batch else None, before[1] if before else "", reason, bool(published))


def _say_again(connection: sa.Connection, run: Run, batch: Batch, *, outcome: Outcome, reason: str) -> None:
    """A new verdict over the same findings: an operator's word changes what may be done, not what was found."""
    from store import schema

    point_run(connection, run.id, input_batch=batch.id)
    found = connection.execute(
        sa.select(schema.verdict.c.results, schema.verdict.c.suite_hash)
        .where(schema.verdict.c.batch == batch.id)
        .order_by(schema.verdict.c.id.desc())
        .limit(1)
    ).first()
    record_verdict(
        connection, batch.id, run=run.id, outcome=outcome, reason=reason,
        suite_hash=found.suite_hash if found else "", results=found.results if found else [],
    )  # fmt: skip


def _again(definition: Definition, interval: Interval) -> str:
    return f"overnight run {definition.pipeline.name} --interval {definition.pipeline.calendar.label(interval)}"
