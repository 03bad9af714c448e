"""A night that the schedule meant to take and for which no run was opened: people are told at once, not when its deadline passes.

What was told is a line in the ledger, so that a retry of the same night tells nobody twice, and what nobody took is told later.
Where the ledger is what is away, the message goes all the same, and once.
"""

from datetime import datetime, timedelta

import sqlalchemy as sa

from domain.errors import LockHeld, OvernightError
from domain.interval import Interval
from domain.pipeline import Pipeline
from domain.words import RunState
from infra.notify import send
from infra.settings import Settings
from store.deliveries import is_said, record_message, untaken_messages
from store.engine import transaction
from tasks.context import writer_engine
from tasks.telling import WAKING, known_pipeline, readable_pipeline
from tasks.webhook import is_time

SAID, CALM = "told that no run began", "told that another run has it"
AGAIN_AFTER = timedelta(hours=12)  # what still stands then is news once more
_ONE_TELLER = sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")
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
    taken: bool | None = None
    try:
        with transaction(writer_engine(settings)) as connection:
            pipeline, _ = known_pipeline(connection, settings, name)
            interval = _interval(pipeline, night, moment)
            if isinstance(error, LockHeld) and interval and _tells_itself(connection, name, interval):
                return False
            what, start = CALM if isinstance(error, LockHeld) else SAID, interval.start if interval else None
            connection.execute(_ONE_TELLER, {"name": f"{what} {name}"})
            if is_said(connection, what, name, start, since=now - AGAIN_AFTER):
                return False
            title, body = describe(_label(name, pipeline, interval, night=night), name, error)
            taken = send(settings, title=title, body=body)
            detail = {"why": str(error), "title": title, "body": body, "since": now.isoformat()}
            record_message(connection, what, name, start, detail=detail, taken=taken, at=now)
    except OvernightError:
        if taken is None:  # else it is only not written down
            pipeline = readable_pipeline(settings, name)[0]
            label = _label(name, pipeline, _interval(pipeline, night, moment), night=night)
            title, body = describe(label, name, error)
            taken = send(settings, title=title, body=body)
    return taken


def tell_still_unbegun(settings: Settings, *, now: datetime) -> list[str]:
    """What kept nights from beginning, where nobody took the message, until somebody does or a run begins. Returns the titles
    that somebody took now."""
    if not settings.notify:
        return []
    told = []
    with transaction(writer_engine(settings)) as connection:
        connection.execute(_ONE_TELLER, {"name": SAID})
        for left in untaken_messages(connection, SAID, since=now - AGAIN_AFTER):
            if is_time(left.attempts, left.tried, now=now):
                taken = send(settings, title=left.detail["title"], body=left.detail["body"])
                record_message(connection, SAID, left.pipeline, left.start, detail=left.detail, taken=taken, at=now)
                told += [f"{left.detail['title']}, which was not told before"] if taken else []
    return told


def _label(name: str, pipeline: Pipeline | None, interval: Interval | None, *, night: str | None) -> str:
    return f"{name} {pipeline.calendar.label(interval)}" if pipeline and interval else f"{name} {night or ''}".strip()


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
