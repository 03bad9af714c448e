"""`waive`: an operator's word that a night will stay out. It is no gap any more, and no plan takes it unless it is named."""

from collections.abc import Sequence

import sqlalchemy as sa

from deployments.catalogue import Definition
from domain.errors import UsageError
from domain.interval import Interval
from domain.words import BatchKind
from infra.settings import Settings
from store.engine import transaction
from store.models import record_action
from store.nights import waived_nights
from store.publications import published_batches
from tasks.context import writer_engine

WAIVE, UNWAIVE = "waive", "unwaive"


def waive(definition: Definition, nights: Sequence[Interval], settings: Settings, *, who: str, why: str) -> list[Interval]:
    """Leaves out those of the nights of which nothing is published, and returns them. Raises UsageError when there are none."""
    return _speak(definition, nights, settings, what=WAIVE, who=who, why=why)


def unwaive(definition: Definition, nights: Sequence[Interval], settings: Settings, *, who: str, why: str) -> list[Interval]:
    """Takes the word back for those of the nights that were waived. Raises UsageError when there are none."""
    return _speak(definition, nights, settings, what=UNWAIVE, who=who, why=why)


def _speak(
    definition: Definition, nights: Sequence[Interval], settings: Settings, *, what: str, who: str, why: str
) -> list[Interval]:
    name, label = definition.pipeline.name, definition.pipeline.calendar.label
    if not why.strip():
        raise UsageError("a reason is needed, for the journal", hint=f'overnight waive {name} … --why "…"')
    with transaction(writer_engine(settings)) as connection:
        meant = _meant(connection, name, nights, what=what)
        if not meant:
            state = "published" if what == WAIVE else "not waived"
            which = label(nights[0]) if len(nights) == 1 else f"{label(nights[0])} to {label(nights[-1])}"
            raise UsageError(
                f"{which}: every night is {state}, so there is nothing to {what}", where=name, hint="overnight status"
            )
        for night in meant:
            detail = {"reason": why, "interval_end": night.end.isoformat()}
            record_action(connection, name, what, who=who, interval_start=night.start, detail=detail)
    return meant


def _meant(connection: sa.Connection, name: str, nights: Sequence[Interval], *, what: str) -> list[Interval]:
    start, end = nights[0].start, nights[-1].end
    if what == UNWAIVE:
        waived = waived_nights(connection, name, start=start, end=end)
        return [night for night in nights if night.start in waived]
    seen = {one.interval.start for one in published_batches(connection, name, BatchKind.INPUT, start=start, end=end)}
    return [night for night in nights if night.start not in seen]
