"""Late rows: recent nights that are taken again, each as a run of its own, before tonight's."""

import logging
from collections.abc import Iterator, Sequence

from deployments.catalogue import Definition
from domain.errors import LockHeld
from domain.interval import Interval
from domain.planning import LATE_ROWS
from domain.report import NightReport
from domain.words import RunState
from infra.settings import Settings
from store.engine import transaction
from store.nights import unfinished_retakes
from tasks.context import writer_engine
from tasks.ingest.late import late_nights
from tasks.night import StageCall, take_night
from tasks.perform import perform

log = logging.getLogger("overnight.night")


def nights_with_late_rows(definition: Definition, night: Interval, settings: Settings) -> list[Interval]:
    """The nights within `source.look_back` before `night` that are to be taken again, oldest first: those whose source has
    other content now, and those that were taken again for that reason and did not come to an end."""
    pipeline = definition.pipeline
    if pipeline.source.look_back is None:
        return []
    first = pipeline.calendar.containing(night.start - pipeline.source.look_back)
    late = {one.start: one for one in late_nights(definition, night, settings)}
    with transaction(writer_engine(settings)) as connection:
        broken_off = unfinished_retakes(connection, pipeline.name, start=first.start, end=night.start)
    late |= {start: pipeline.calendar.containing(start) for start in broken_off}
    return [late[start] for start in sorted(late)]


def take_late_nights(
    definition: Definition, night: Interval, settings: Settings, *, call: StageCall = perform
) -> Iterator[NightReport]:
    """Takes them in this process; a night that somebody else takes just now is left to them."""
    for late in nights_with_late_rows(definition, night, settings):
        try:
            yield take_night(definition, late, settings, trigger=LATE_ROWS, call=call)
        except LockHeld as error:
            log.info("late rows of %s %s: %s", definition.pipeline.name, definition.pipeline.calendar.label(late), error)


def describe_retakes(definition: Definition, reports: Sequence[NightReport]) -> str:
    """What tonight's outcome says of them: `; late rows: 2024-01-03 published again, 2024-01-04 held`; empty without any."""
    if not reports:
        return ""
    label = definition.pipeline.calendar.label
    words = {RunState.PUBLISHED: "published again", RunState.SKIPPED: "as it was"}
    return "; late rows: " + ", ".join(f"{label(one.interval)} {words.get(one.state, str(one.state))}" for one in reports)
