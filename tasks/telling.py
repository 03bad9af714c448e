"""What people are told: at once when a night of the schedule is held or fails, and one message when a deadline passes.

What was told is a line in the ledger, so that nobody hears it twice, whoever starts and stops in between, and that what nobody
took, or a process died before it could tell, is told later.
"""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from deployments.catalogue import Definition, load_definition, pipeline_names
from domain.errors import DefinitionError, OvernightError
from domain.interval import Interval
from domain.pipeline import Pipeline
from domain.planning import LATE_ROWS
from domain.report import NightReport
from domain.trust import deadline_of, judge_freshness
from domain.words import BatchKind, RunState
from infra.notify import send
from infra.settings import Settings
from store.batches import load_batch
from store.deliveries import message_about, record_message, unheard_ends
from store.engine import transaction
from store.models import promoted_for
from store.nights import history_of, known_nights, waived_nights
from store.pipelines import declared_pipeline
from store.publications import is_published, published_batches
from tasks.context import writer_engine
from tasks.webhook import is_time, tell_webhook

NEWS_FOR = timedelta(hours=12)  # what happened at an older deadline is no news any more
LEFT_AFTER = timedelta(minutes=5)  # until then a night tells of itself, or is tried again
TOLD, AT_ONCE = "told", "told at once"
WAKING = ("schedule", "catch-up", LATE_ROWS)  # what a night was taken for, if it is news; a backfill is none unless asked
_ONE_TELLER = sa.text("SELECT pg_advisory_xact_lock(hashtext('overnight told'))")
log = logging.getLogger("overnight.notify")


def tell_everybody(
    definition: Definition, report: NightReport, settings: Settings, *, now: datetime, trigger: str, asked: bool = False
) -> None:
    """People, at once, and the webhook: what a night does when it is over, whoever took it and how. Never raises."""
    tell_at_once(definition, report, settings, now=now, trigger=trigger, asked=asked)
    tell_webhook(definition, settings, now=now)


def tell_at_once(
    definition: Definition, report: NightReport, settings: Settings, *, now: datetime, trigger: str, asked: bool = False
) -> bool:
    """Of a night that was held or failed, if the schedule took it or whoever took it asked for it: one that somebody waits for
    has somebody who looks."""
    wakes = asked or trigger in WAKING
    if not settings.notify or report.state not in (RunState.HELD, RunState.FAILED) or not wakes:
        return False
    label, start = definition.pipeline.calendar.label(report.interval), report.interval.start
    readers = _ask_readers(settings, report.pipeline, start)
    taken = _send_end(settings, report.pipeline, label, report.state, report.reason, readers=readers)
    try:
        with transaction(writer_engine(settings)) as connection:
            record_message(connection, AT_ONCE, report.pipeline, start, detail={"run": report.run}, taken=taken, at=now)
    except OvernightError as error:
        log.warning("that people were told of %s %s could not be written down: %s", report.pipeline, label, error)
    return taken


def _send_end(settings: Settings, name: str, label: str, state: RunState, reason: str, *, readers: str) -> bool:
    body = f"{reason}\n{readers}Next: overnight runs {name} --interval {label}"
    return send(settings, title=f"{name} {label}: {state}", body=body)


def _ask_readers(settings: Settings, name: str, start: datetime) -> str:
    """What readers see instead; nothing is said of it while the ledger is away, since nobody knows."""
    try:
        with transaction(writer_engine(settings)) as connection:
            return _tell_readers(connection, name, start)
    except OvernightError:
        return ""


def _tell_readers(connection: sa.Connection, name: str, start: datetime) -> str:
    """What readers see of a pipeline whose night came to nothing, as a sentence with a space behind it."""
    if is_published(connection, name, start=start):
        return "Readers keep what was published of this night before. "
    return "Readers keep the last good night. " if is_published(connection, name) else "Readers have no night yet. "


def tell_left_over(settings: Settings, *, now: datetime) -> list[str]:
    """How nights ended of which nobody has heard at once: their process died before it could tell, or after it had been tried
    again in vain, or nobody took the message. Returns a line for each that somebody took now."""
    if not settings.notify:
        return []
    said = []
    with transaction(writer_engine(settings)) as connection:
        connection.execute(_ONE_TELLER)
        for end in unheard_ends(connection, AT_ONCE, waking=WAKING, since=now - NEWS_FOR, before=now - LEFT_AFTER):
            if is_time(end.attempts, end.tried, now=now):
                pipeline, start = known_pipeline(connection, settings, end.pipeline)[0], end.interval.start
                label = pipeline.calendar.label(end.interval) if pipeline else f"{start:%Y-%m-%d %H:%M} UTC"
                readers = _tell_readers(connection, end.pipeline, start)
                taken = _send_end(settings, end.pipeline, label, end.state, end.reason, readers=readers)
                record_message(connection, AT_ONCE, end.pipeline, start, detail={"run": end.run}, taken=taken, at=now)
                said += [f"{end.pipeline} {label}: {end.state}, which was not told before"] if taken else []
    return said


def tell_due(settings: Settings, *, now: datetime) -> list[str]:
    """One message of all the pipelines whose deadline has passed since the last one: what is ready, and what is late.

    Judged by calendar, ledger and clock alone, so it is true when nothing ran at all. Returns the lines that somebody took.
    """
    if not settings.notify:
        return []
    told: list[tuple[str, Interval, str]] = []
    with transaction(writer_engine(settings)) as connection:
        connection.execute(_ONE_TELLER)
        for name in pipeline_names(settings.deployments):
            pipeline, fault = known_pipeline(connection, settings, name)
            due = _due(connection, pipeline, now=now) if pipeline is not None else None
            if pipeline is not None and due is not None:
                told.append((name, due, _describe(connection, pipeline, due, fault=fault)))
        lines = [line for *_, line in told]
        taken = bool(lines) and _send_morning(settings, lines)
        for name, due, line in told:
            record_message(connection, TOLD, name, due.start, detail={"line": line}, taken=taken, at=now)
    return lines if taken else []


def _send_morning(settings: Settings, lines: Sequence[str]) -> bool:
    late = sum(": late" in line for line in lines)
    title = f"Overnight: {late} of {len(lines)} late" if late else f"Overnight: {len(lines)} ready"
    return send(settings, title=title, body="\n".join(lines))


def known_pipeline(connection: sa.Connection, settings: Settings, name: str) -> tuple[Pipeline | None, str]:
    """As its folder has it; while that cannot be read, which is news itself, as the ledger last had it, with what is wrong."""
    pipeline, fault = readable_pipeline(settings, name)
    return pipeline or declared_pipeline(connection, name), fault


def readable_pipeline(settings: Settings, name: str) -> tuple[Pipeline | None, str]:
    """As its folder has it, or None and what is wrong there."""
    try:
        return load_definition(settings.deployments, name).pipeline, ""
    except DefinitionError as error:
        return None, error.what


def _due(connection: sa.Connection, pipeline: Pipeline, *, now: datetime) -> Interval | None:
    """The interval whose deadline passed lately, that nobody was told of, and that somebody waits for."""
    waived = waived_nights(connection, pipeline.name, start=pipeline.calendar.first.start, end=now)
    due = judge_freshness(
        calendar=pipeline.calendar, deadline=pipeline.publish.deadline, newest_published=None, now=now, waived=waived
    ).due
    if pipeline.schedule is None or due is None:
        return None
    if now - deadline_of(due, calendar=pipeline.calendar, at=pipeline.publish.deadline) > NEWS_FOR:
        return None
    said = message_about(connection, TOLD, pipeline.name, due.start)
    return due if not said.taken and is_time(said.attempts, said.tried, now=now) else None


def _describe(connection: sa.Connection, pipeline: Pipeline, due: Interval, *, fault: str) -> str:
    line = f"{pipeline.name} {pipeline.calendar.label(due)}: {_tell_night(connection, pipeline.name, due)}"
    return line + (f"; its definition cannot be read: {fault}" if fault else "")


def _tell_night(connection: sa.Connection, name: str, due: Interval) -> str:
    """`published at attempt 2, 898 rows, 900 are usual, 2 set aside; version 3 is champion from this night on`, or why late."""
    night = known_nights(connection, name, start=due.start, end=due.end).get(due.start)
    published = published_batches(connection, name, BatchKind.INPUT, start=due.start, end=due.end)
    if not published:
        return f"late, {f'{night.state}: {night.reason}' if night else 'no run has started'}"
    landed = load_batch(connection, published[0].batch)
    usual = history_of(connection, name)[0]
    parts = [
        f"published at attempt {night.runs}" if night and night.runs > 1 else "published",
        f"{landed.rows:,} rows",
        f"{usual:,.0f} are usual" if usual else "",
        f"{landed.rejected:,} set aside" if landed.rejected else "",
    ]
    version = promoted_for(connection, name, due.start)
    return ", ".join(filter(None, parts)) + (f"; version {version} is champion from this night on" if version else "")
