"""A night that the schedule meant to take and for which no run was opened: people are told at once, not when its deadline passes.

What was told is a line in the ledger, so that a retry of the same night tells nobody twice. Where the ledger is what is away, the
message goes all the same.
"""

from datetime import datetime, timedelta

import sqlalchemy as sa

from domain.errors import LockHeld, OvernightError
from domain.interval import Interval
from domain.pipeline import Pipeline
from domain.words import RunState
from infra.notify import send
from infra.settings import Settings
from store import schema
from store.engine import transaction
from tasks.context import writer_engine
from tasks.telling import WAKING, known_pipeline, readable_pipeline

SAID, CALM = "told that no run began", "told that another run has it"
AGAIN_AFTER = timedelta(hours=12)  # what still stands then is news once more
_OPEN = sa.text("""
SELECT trigger = ANY (:waking) OR holder->>'tell' = 'true' AS tells FROM overnight.run
WHERE pipeline = :pipeline AND interval_start = :start AND state = :running ORDER BY id DESC LIMIT 1
""")


def tell_unbegun(
    name: str,
    error: Exception,
    settings: Settings,
    *,
    night: str | None,
    moment: datetime,
    now: datetime,
    trigger: str,
    asked: bool = False,
) -> bool:
    """Of pipeline `name`'s night, called `night` or else the one that is due at `moment`, and of what kept it from beginning.

    A night that another run holds is no trouble but under way: it is told calmly, and not at all when that run tells by itself
    how it ends. Who started that run by hand looks at it; those who wait for the schedule's night hear of it from nobody else.
    """
    if not settings.notify or not (asked or trigger in WAKING):
        return False
    try:
        with transaction(writer_engine(settings)) as connection:
            pipeline, _ = known_pipeline(connection, settings, name)
            interval = _interval(pipeline, night, moment)
            if isinstance(error, LockHeld) and interval and _tells_itself(connection, name, interval):
                return False
            what = CALM if isinstance(error, LockHeld) else SAID
            if not _is_news(connection, what, name, interval, error=error, now=now):
                return False
    except OvernightError:
        pipeline = readable_pipeline(settings, name)[0]
        interval = _interval(pipeline, night, moment)
    label = f"{name} {pipeline.calendar.label(interval)}" if pipeline and interval else f"{name} {night or ''}".strip()
    title, body = describe(label, name, error)
    return send(settings, title=title, body=body)


def describe(label: str, name: str, error: Exception) -> tuple[str, str]:
    """Title and sentence, which ends in the command that helps."""
    if isinstance(error, LockHeld):
        return f"{label}: under way already", f"{label} is left to another run, which tells nobody how it ends: {error}"
    said = str(error) if isinstance(error, OvernightError) else f"unexpected {type(error).__name__}: {error}"
    way_out = "" if getattr(error, "hint", "") else f" Try: overnight check {name}"
    return f"{label}: not taken", f"{label} could not be taken: {said}{way_out}"


def _interval(pipeline: Pipeline | None, night: str | None, moment: datetime) -> Interval | None:
    if pipeline is None:
        return None
    try:
        return pipeline.calendar.named(night) if night else pipeline.calendar.before(moment)
    except OvernightError:
        return None


def _tells_itself(connection: sa.Connection, name: str, interval: Interval) -> bool:
    values = {"waking": list(WAKING), "pipeline": name, "start": interval.start, "running": RunState.RUNNING}
    return bool(connection.scalar(_OPEN, values))


def _is_news(
    connection: sa.Connection, what: str, name: str, interval: Interval | None, *, error: Exception, now: datetime
) -> bool:
    """Whether nobody was told of it lately; then it is written down as told."""
    columns, start = schema.action.c, interval.start if interval else None
    said = sa.select(columns.id).where(
        columns.what == what, columns.pipeline == name, columns.at > now - AGAIN_AFTER,
        columns.interval_start.is_not_distinct_from(start),
    )  # fmt: skip
    connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": f"{what} {name}"})
    if connection.execute(said).first():
        return False
    line = {"who": "overnight", "what": what, "pipeline": name, "interval_start": start, "detail": {"why": str(error)}}
    connection.execute(sa.insert(schema.action).values(at=now, **line))
    return True
