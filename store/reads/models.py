"""Model versions, the promotion journal, and what predictions turned out to be worth."""

from collections.abc import Sequence
from datetime import datetime

from psycopg import sql

from store.reads.connection import Connection, Row, fetch, fetch_one


def versions(connection: Connection, pipeline: str) -> list[Row]:
    """Every version of a pipeline, newest first, without its card."""
    return fetch(connection, _VERSIONS, {"pipeline": pipeline})


_VERSIONS = sql.SQL("""
SELECT version, trained_for, trained_from, trained_until, rows, task, metrics, created_at
FROM reading.model WHERE pipeline = %(pipeline)s ORDER BY version DESC LIMIT 200
""")


def version(connection: Connection, pipeline: str, number: int) -> Row | None:
    """One version, whole but for its bytes."""
    return fetch_one(connection, _VERSION, {"pipeline": pipeline, "version": number})


_VERSION = sql.SQL("""
SELECT id, version, trained_for, trained_from, trained_until, batches, rows, task, metrics, params, card, libraries, sha256,
    bytes, run, created_at
FROM reading.model WHERE pipeline = %(pipeline)s AND version = %(version)s::int
""")


def moves(connection: Connection, pipeline: str) -> list[Row]:
    """The promotion journal, newest first."""
    return fetch(connection, _MOVES, {"pipeline": pipeline})


_MOVES = sql.SQL("""
SELECT alias, version, previous_version, effective_from, who, why, evidence, at
FROM reading.alias_move WHERE pipeline = %(pipeline)s ORDER BY id DESC LIMIT 200
""")


def champion(connection: Connection, pipeline: str) -> int | None:
    """Today's champion: the version whose move holds from the latest night on, of several the newest move."""
    line = fetch_one(connection, _CHAMPION, {"pipeline": pipeline})
    return line["version"] if line else None


_CHAMPION = sql.SQL("""
SELECT version FROM reading.alias_move WHERE pipeline = %(pipeline)s AND alias = 'champion'
ORDER BY effective_from DESC, id DESC LIMIT 1
""")


def tonights_models(connection: Connection, nights: Sequence[tuple[str, datetime]]) -> dict[str, Row]:
    """Which version each of the nights trained and which it promoted, by pipeline."""
    if not nights:
        return {}
    names, starts = zip(*nights, strict=True)
    return {line["name"]: line for line in fetch(connection, _TONIGHT, {"names": list(names), "starts": list(starts)})}


_TONIGHT = sql.SQL("""
SELECT n.name,
    (SELECT max(version) FROM reading.model m WHERE m.pipeline = n.name AND m.trained_for = n.start) AS retrained,
    (SELECT version FROM reading.alias_move a WHERE a.pipeline = n.name AND a.alias = 'champion' AND a.effective_from = n.start
        ORDER BY a.id DESC LIMIT 1) AS promoted
FROM unnest(%(names)s::text[], %(starts)s::timestamptz[]) AS n (name, start)
""")


def nights_scored(connection: Connection, pipeline: str, *, model: int) -> Row | None:
    """How many published nights one model has scored, and which were the first and the last."""
    return fetch_one(connection, _SCORED, {"pipeline": pipeline, "model": model})


_SCORED = sql.SQL("""
SELECT count(*) AS nights, min(interval_start) AS first, max(interval_start) AS last, coalesce(sum(rows), 0)::bigint AS rows
FROM reading.published WHERE pipeline = %(pipeline)s AND kind = 'prediction' AND model = %(model)s
""")


def quality(connection: Connection, pipeline: str, *, first: datetime, last: datetime) -> list[Row]:
    """The newest figure of each metric for each published night in the span, oldest first."""
    return fetch(connection, _QUALITY, {"pipeline": pipeline, "first": first, "last": last})


_QUALITY = sql.SQL("""
SELECT q.interval_start, q.batch, q.model_version, q.metric, q.value, q.dummy, q.rows, q.at
FROM reading.quality q JOIN reading.published p ON p.batch = q.batch AND p.kind = 'prediction'
WHERE p.pipeline = %(pipeline)s AND p.interval_start BETWEEN %(first)s AND %(last)s
ORDER BY q.interval_start, q.metric
""")


def scoreboard(connection: Connection, pipeline: str, *, metric: str, limit: int) -> list[Row]:
    """Champion and challengers by one metric, the newest night first, with the dummy's figure and what was estimated."""
    return fetch(connection, _SCOREBOARD, {"pipeline": pipeline, "metric": metric, "limit": limit})


_SCOREBOARD = sql.SQL("""
SELECT * FROM reading.scoreboard
WHERE pipeline = %(pipeline)s AND metric = %(metric)s
ORDER BY interval_start DESC, role, model_version DESC LIMIT %(limit)s
""")


def estimate_of(connection: Connection, pipeline: str, *, metric: str, night: datetime) -> Row | None:
    """What a published night's predictions should be worth; None once its answers say it, and when nothing was estimated."""
    return fetch_one(connection, _ESTIMATE, {"pipeline": pipeline, "metric": metric, "night": night})


_ESTIMATE = sql.SQL("""
SELECT interval_start, model_version, metric, estimate AS value, estimate_low AS low, estimate_high AS high
FROM reading.scoreboard
WHERE pipeline = %(pipeline)s AND metric = %(metric)s AND interval_start = %(night)s AND role = 'champion' AND value IS NULL
    AND estimate IS NOT NULL
""")


def champion_on(connection: Connection, pipeline: str, *, night: datetime) -> int | None:
    """Who is, or was, champion for the night that starts then, as the journal stands now."""
    line = fetch_one(connection, sql.SQL("SELECT reading.champion_on(%(pipeline)s, %(night)s) AS version"),
                     {"pipeline": pipeline, "night": night})  # fmt: skip
    return line["version"] if line else None
