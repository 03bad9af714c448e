"""What people are told: at once when a night of the schedule is held or fails, and one message when a deadline passes.

What was told is a line in the ledger, so that nobody hears it twice, whoever starts and stops in between.
"""

from datetime import datetime, timedelta

import sqlalchemy as sa

from deployments.catalogue import Definition, load_definition, pipeline_names
from domain.interval import Interval
from domain.planning import LATE_ROWS
from domain.report import NightReport
from domain.trust import deadline_of, judge_freshness
from domain.words import BatchKind, RunState
from infra.notify import send
from infra.settings import Settings
from store import schema
from store.engine import transaction
from store.nights import history_of, known_nights
from store.publications import published_batches
from tasks.context import writer_engine

NEWS_FOR = timedelta(hours=12)  # what happened at an older deadline is no news any more
TOLD = "told"
WAKING = ("schedule", "catch-up", LATE_ROWS)  # what a night was taken for, if it is news; a backfill is none unless asked


def tell_at_once(definition: Definition, report: NightReport, settings: Settings, *, trigger: str, asked: bool = False) -> bool:
    """Of a night that was held or failed, if the schedule took it or whoever took it asked for it: one that somebody waits for
    has somebody who looks."""
    wakes = asked or trigger in WAKING
    if not settings.notify or report.state not in (RunState.HELD, RunState.FAILED) or not wakes:
        return False
    label = definition.pipeline.calendar.label(report.interval)
    body = f"{report.reason}\nReaders keep the last good night. Next: overnight runs {report.pipeline} --interval {label}"
    return send(settings, title=f"{report.pipeline} {label}: {report.state}", body=body)


def tell_due(settings: Settings, *, now: datetime) -> list[str]:
    """One message of all the pipelines whose deadline has passed since the last one: what is ready, and what is late.

    Judged by calendar, ledger and clock alone, so it is true when nothing ran at all. Returns the lines that were told.
    """
    if not settings.notify:
        return []
    lines = []
    with transaction(writer_engine(settings)) as connection:
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext('overnight told'))"))
        for name in pipeline_names(settings.deployments):
            definition = load_definition(settings.deployments, name)
            due = _due(connection, definition, now=now)
            if due is not None:
                lines.append(_describe(connection, definition, due, now=now))
    late = sum(": late" in line for line in lines)
    if lines:
        title = f"Overnight: {late} of {len(lines)} late" if late else f"Overnight: {len(lines)} ready"
        send(settings, title=title, body="\n".join(lines))
    return lines


def _due(connection: sa.Connection, definition: Definition, *, now: datetime) -> Interval | None:
    """The interval whose deadline passed lately and that nobody was told of."""
    pipeline = definition.pipeline
    due = judge_freshness(calendar=pipeline.calendar, deadline=pipeline.publish.deadline, newest_published=None, now=now).due
    if pipeline.schedule is None or due is None:
        return None
    if now - deadline_of(due, calendar=pipeline.calendar, at=pipeline.publish.deadline) > NEWS_FOR:
        return None
    told = sa.select(schema.action.c.id).where(
        schema.action.c.what == TOLD, schema.action.c.pipeline == pipeline.name, schema.action.c.interval_start == due.start
    )
    return None if connection.execute(told).first() else due


def _describe(connection: sa.Connection, definition: Definition, due: Interval, *, now: datetime) -> str:
    """The pipeline's line, which is written down as told."""
    pipeline = definition.pipeline
    name, label = pipeline.name, pipeline.calendar.label(due)
    night = known_nights(connection, name, start=due.start, end=due.end).get(due.start)
    published = published_batches(connection, name, BatchKind.INPUT, start=due.start, end=due.end)
    if published:
        usual = history_of(connection, name)[0]
        against = f", {usual:,.0f} are usual" if usual else ""
        tries = f" at attempt {night.runs}" if night and night.runs > 1 else ""
        line = f"{name} {label}: published{tries}, {published[0].rows:,} rows{against}"
    else:
        line = f"{name} {label}: late, {f'{night.state}: {night.reason}' if night else 'no run has started'}"
    connection.execute(
        sa.insert(schema.action).values(
            who="overnight", what=TOLD, pipeline=name, interval_start=due.start, detail={"line": line}, at=now
        )
    )
    return line
