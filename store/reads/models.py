"""Model versions, the promotion journal, and what predictions turned out to be worth."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from psycopg import sql

from store.reads.connection import Connection, Row, fetch, fetch_one
from store.reads.spans import ASKED, Spans, parameters


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


def quality(connection: Connection, spans: Spans) -> dict[str, list[Row]]:
    """The newest figure of each metric for each published night of these spans, by pipeline, oldest first."""
    found: dict[str, list[Row]] = {name: [] for name in spans}
    for line in fetch(connection, _QUALITY, parameters(spans)) if spans else ():
        found[line.pop("pipeline")].append(line)
    return found


# OFFSET 0 keeps the planner from asking for the figures of all nights at once, to throw most of them away.
_QUALITY = sql.SQL("""
SELECT q.pipeline, q.interval_start, q.batch, q.model_version, q.metric, q.value, q.dummy, q.rows, q.at
FROM {asked}, LATERAL (
    SELECT * FROM reading.quality q WHERE q.pipeline = n.name AND q.interval_start BETWEEN n.first AND n.last OFFSET 0) q
WHERE EXISTS (SELECT FROM reading.published p WHERE p.batch = q.batch AND p.kind = 'prediction')
ORDER BY q.pipeline, q.interval_start, q.metric
""").format(asked=ASKED)


INSTEAD = ("accuracy", "rmse", "mae")
"""What is shown where the metric that decides was never given: of classes whose probabilities are not kept, the share that was
right; of numbers, the errors."""


def newest_quality(connection: Connection, spans: Spans, *, metrics: Mapping[str, str]) -> dict[str, Row]:
    """The newest figure of each pipeline in its span, by pipeline: of its own metric, or of what stands in for it."""
    if not spans:
        return {}
    asked = {**parameters(spans), "metrics": [metrics[name] for name in spans], "instead": list(INSTEAD)}
    return {line.pop("pipeline"): line for line in fetch(connection, _NEWEST_QUALITY, asked)}


_NEWEST_QUALITY = sql.SQL("""
SELECT q.* FROM unnest(%(names)s::text[], %(firsts)s::timestamptz[], %(lasts)s::timestamptz[], %(metrics)s::text[])
    AS n (name, first, last, metric), LATERAL (
    SELECT q.pipeline, q.interval_start, q.batch, q.model_version, q.metric, q.value, q.dummy, q.rows, q.at FROM reading.quality q
    WHERE q.pipeline = n.name AND q.interval_start BETWEEN n.first AND n.last
        AND q.batch IN (SELECT p.batch FROM reading.published p
            WHERE p.pipeline = n.name AND p.kind = 'prediction' AND p.interval_start BETWEEN n.first AND n.last)
    ORDER BY q.metric <> n.metric, array_position(%(instead)s::text[], q.metric), q.metric, q.interval_start DESC LIMIT 1) q
""")


def scoreboard(connection: Connection, pipeline: str, *, metric: str, limit: int) -> list[Row]:
    """Champion and challengers by one metric, the newest night first, with the dummy's figure and what was estimated."""
    return fetch(connection, _SCOREBOARD, {"pipeline": pipeline, "metric": metric, "limit": limit})


_SCOREBOARD = sql.SQL("""
SELECT * FROM reading.scoreboard
WHERE pipeline = %(pipeline)s AND metric = %(metric)s
ORDER BY interval_start DESC, role, model_version DESC LIMIT %(limit)s
""")


def estimates_of(connection: Connection, wanted: Mapping[str, tuple[str, datetime]]) -> dict[str, Row]:
    """What one published night of each pipeline should be worth by one metric, by pipeline; of none whose answers say it, and of
    none of which nothing was estimated."""
    if not wanted:
        return {}
    metrics, starts = zip(*wanted.values(), strict=True)
    lines = fetch(connection, _ESTIMATES, {"names": [*wanted], "metrics": [*metrics], "starts": [*starts]})
    return {line.pop("pipeline"): line for line in lines}


_ESTIMATES = sql.SQL("""
SELECT pipeline, interval_start, model_version, s.metric, estimate AS value, estimate_low AS low, estimate_high AS high
FROM unnest(%(names)s::text[], %(metrics)s::text[], %(starts)s::timestamptz[]) AS n (name, metric, start), LATERAL (
    SELECT * FROM reading.scoreboard s WHERE s.pipeline = n.name AND s.metric = n.metric AND s.interval_start = n.start
        AND s.role = 'champion' AND s.value IS NULL AND s.estimate IS NOT NULL) s
""")


def champion_on(connection: Connection, pipeline: str, *, night: datetime) -> int | None:
    """Who is, or was, champion for the night that starts then, as the journal stands now."""
    line = fetch_one(connection, sql.SQL("SELECT reading.champion_on(%(pipeline)s, %(night)s) AS version"),
                     {"pipeline": pipeline, "night": night})  # fmt: skip
    return line["version"] if line else None
