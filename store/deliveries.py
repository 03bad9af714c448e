"""News of nights: what has happened, what of it a pipeline's webhook has taken, and what people were told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from domain.interval import Interval
from domain.planning import CUT_OFF, STOPPED
from domain.words import RunState
from store import schema
from store.reads.marked import HELD_AFTERWARDS

# What is to be told is what happened less what was told. A backfill is no news unless it was asked to tell.
_UNTOLD = sa.text(f"""
WITH news AS (
    SELECT p.run, CASE WHEN bool_or(p.previous IS NOT NULL) THEN 'corrected' ELSE 'published' END AS event, min(p.at) AS at,
        min(p.previous) AS previous, p.run AS of
    FROM overnight.publication p WHERE p.pipeline = :pipeline AND p.at > :since AND p.run IS NOT NULL GROUP BY p.run
    UNION ALL
    SELECT id, 'held', ended_at, NULL, id FROM overnight.run
    WHERE pipeline = :pipeline AND state = 'held' AND ended_at > :since
    UNION ALL
    SELECT run, 'held', at, NULL, of FROM ({HELD_AFTERWARDS}) h WHERE pipeline = :pipeline AND at > :since
)
SELECT n.run, n.event, n.at, n.previous, n.of, r.reason, r.interval_start, r.interval_end,
    count(d.id) AS attempts, max(d.at) AS tried
FROM news n JOIN overnight.run r ON r.id = n.run LEFT JOIN overnight.delivery d ON d.run = n.run AND d.event = n.event
WHERE r.trigger <> 'backfill' OR r.holder->>'tell' = 'true'
GROUP BY n.run, n.event, n.at, n.previous, n.of, r.id
HAVING NOT coalesce(bool_or(d.delivered), false)
ORDER BY n.at, n.run
""")
_RECORD = sa.text("""
INSERT INTO overnight.delivery (run, event, delivered, status, error, at)
VALUES (:run, :event, :delivered, :status, :error, :at)
""")
_TRY_LOCK = sa.text("SELECT pg_try_advisory_xact_lock(hashtextextended(:name, 0))")
_SINCE = sa.text("""
SELECT (detail->>'since')::timestamptz FROM overnight.action
WHERE pipeline = :pipeline AND what = 'webhook' AND detail->>'address' = :address ORDER BY id DESC LIMIT 1
""")
_BEGIN = sa.text("""
INSERT INTO overnight.action (who, what, pipeline, detail)
SELECT 'overnight', 'webhook', name, json_build_object('address', CAST(:address AS text), 'since', registered_at)
FROM overnight.pipeline WHERE name = :pipeline RETURNING (detail->>'since')::timestamptz
""")


@dataclass(frozen=True, slots=True)
class News:
    """One thing to tell: `published`, `held` or `corrected`; `tried` is the moment of the last attempt. `of` is the run that
    landed and predicted what it is about: `run` itself, but of a night that was held after it was published."""

    run: int
    event: str
    at: datetime
    previous: int | None
    of: int
    reason: str
    interval: Interval
    attempts: int
    tried: datetime | None


def listening_since(connection: sa.Connection, pipeline: str, *, address: str) -> datetime:
    """From when on a webhook is told of a pipeline's nights: since its address was written into the definition."""
    values = {"pipeline": pipeline, "address": address}
    found: datetime | None = connection.scalar(_SINCE, values) or connection.scalar(_BEGIN, values)
    if found is None:
        raise LookupError(f"the ledger knows no pipeline {pipeline}")
    return found


def untold_news(connection: sa.Connection, pipeline: str, *, since: datetime) -> Sequence[News]:
    """What happened after `since` and no attempt has delivered, oldest first."""
    lines = connection.execute(_UNTOLD, {"pipeline": pipeline, "since": since})
    return [
        News(at.run, at.event, at.at, at.previous, at.of, at.reason, Interval(at.interval_start, at.interval_end), at.attempts,
             at.tried)
        for at in lines
    ]  # fmt: skip


def record_attempt(
    connection: sa.Connection, news: News, *, delivered: bool, status: int | None, error: str, at: datetime
) -> None:  # fmt: skip
    values = {"run": news.run, "event": news.event, "delivered": delivered, "status": status, "error": error, "at": at}
    connection.execute(_RECORD, values)


def is_teller(connection: sa.Connection, pipeline: str) -> bool:
    """Whether this transaction may tell; while another one does, nobody else needs to."""
    return bool(connection.scalar(_TRY_LOCK, {"name": f"overnight webhook {pipeline}"}))


@dataclass(frozen=True, slots=True)
class Message:
    """What has become of a message to people: whether anybody took it, how often it was sent, and when last."""

    taken: bool
    attempts: int
    tried: datetime | None


def record_message(
    connection: sa.Connection, what: str, pipeline: str, start: datetime | None, *, detail: Mapping[str, Any], taken: bool,
    at: datetime,
) -> None:  # fmt: skip
    values = {"pipeline": pipeline, "interval_start": start, "detail": {**detail, "taken": taken}, "at": at}
    connection.execute(sa.insert(schema.action).values(who="overnight", what=what, **values))


def message_about(connection: sa.Connection, what: str, pipeline: str, start: datetime) -> Message:
    """The message `what` about a pipeline's night."""
    line = connection.execute(_MESSAGE, {"what": what, "pipeline": pipeline, "start": start}).one()
    return Message(line.taken, line.attempts, line.tried)


_MESSAGE = sa.text("""
SELECT coalesce(bool_or(coalesce((detail->>'taken')::boolean, true)), false) AS taken, count(*) AS attempts, max(at) AS tried
FROM overnight.action WHERE what = :what AND pipeline = :pipeline AND interval_start = :start
""")

# Nights whose newest run ended badly and of which nobody has heard, though somebody was to be told.
_UNHEARD = sa.text("""
SELECT r.id, r.pipeline, r.interval_start, r.interval_end, r.state, r.reason, count(a.id) AS attempts, max(a.at) AS tried
FROM overnight.run r LEFT JOIN overnight.action a ON a.what = :what AND a.pipeline = r.pipeline
    AND a.interval_start = r.interval_start AND a.detail->>'run' = r.id::text
WHERE r.state IN ('held', 'failed', 'crashed') AND r.reason <> ALL (:stopped) AND r.ended_at > :since AND r.ended_at <= :before
    AND (r.trigger = ANY (:waking) OR r.holder->>'tell' = 'true')
    AND NOT EXISTS (SELECT FROM overnight.run n
        WHERE n.pipeline = r.pipeline AND n.interval_start = r.interval_start AND n.id > r.id)
GROUP BY r.id HAVING NOT coalesce(bool_or((a.detail->>'taken')::boolean), false) ORDER BY r.id
""")


@dataclass(frozen=True, slots=True)
class BadEnd:
    """How a night's newest run ended, and how often people were told of it in vain."""

    run: int
    pipeline: str
    interval: Interval
    state: RunState
    reason: str
    attempts: int
    tried: datetime | None


def unheard_ends(
    connection: sa.Connection, what: str, *, waking: Sequence[str], since: datetime, before: datetime
) -> Sequence[BadEnd]:
    """Those between the two moments, of runs with one of these triggers or that were asked to tell, about which there is no
    message `what` that anybody took."""
    values = {"what": what, "waking": list(waking), "since": since, "before": before, "stopped": [STOPPED, CUT_OFF]}
    return [
        BadEnd(at.id, at.pipeline, Interval(at.interval_start, at.interval_end), RunState(at.state), at.reason, at.attempts,
               at.tried)
        for at in connection.execute(_UNHEARD, values)
    ]  # fmt: skip


# An occasion is named by the moment of its first line: a night that nobody could name may fail to begin every day.
_UNTAKEN = sa.text("""
SELECT a.pipeline, a.interval_start, (array_agg(a.detail ORDER BY a.id))[1] AS detail, count(*) AS attempts, max(a.at) AS tried
FROM overnight.action a WHERE a.what = :what AND (a.detail->>'since')::timestamptz > :since
    AND NOT EXISTS (SELECT FROM overnight.run r WHERE r.pipeline = a.pipeline AND r.interval_start = a.interval_start
        AND r.started_at > (a.detail->>'since')::timestamptz)
GROUP BY a.pipeline, a.interval_start, a.detail->>'since'
HAVING NOT bool_or((a.detail->>'taken')::boolean) ORDER BY min(a.id)
""")
_SAID = sa.text("""
SELECT EXISTS (SELECT FROM overnight.action WHERE what = :what AND pipeline = :pipeline
    AND interval_start IS NOT DISTINCT FROM :start AND coalesce((detail->>'since')::timestamptz, at) > :since)
""")


@dataclass(frozen=True, slots=True)
class Untaken:
    """A message of which `detail` keeps the words, and how often it was sent in vain."""

    pipeline: str
    start: datetime | None
    detail: Mapping[str, Any]
    attempts: int
    tried: datetime


def untaken_messages(connection: sa.Connection, what: str, *, since: datetime) -> Sequence[Untaken]:
    """The messages `what` with an occasion after `since` that nobody took, of nights that no run has begun meanwhile."""
    return [Untaken(*line) for line in connection.execute(_UNTAKEN, {"what": what, "since": since})]


def is_said(connection: sa.Connection, what: str, pipeline: str, start: datetime | None, *, since: datetime) -> bool:
    """Whether there is a message `what` about a night with an occasion after `since`, taken or still tried."""
    return bool(connection.scalar(_SAID, {"what": what, "pipeline": pipeline, "start": start, "since": since}))
