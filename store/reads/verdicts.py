"""What the rules of a pipeline said, night by night, and how far its nights have drifted from what their models learned from."""

from datetime import datetime

from psycopg import sql

from store.reads.connection import Connection, Row, fetch


def rule_history(connection: Connection, pipeline: str, *, first: datetime, last: datetime) -> list[Row]:
    """Each rule's figures in the newest verdict on each night of the span, oldest first. A night may have had another suite."""
    return fetch(connection, _RULES, {"pipeline": pipeline, "first": first, "last": last})


_RULES = sql.SQL("""
SELECT n.interval_start, r ->> 'rule' AS rule, r ->> 'state' AS state, r ->> 'level' AS level, r -> 'observed' AS observed,
    coalesce(r ->> 'limit', '') AS limit, (r ->> 'unexpected_percent')::float8 AS percent
FROM (SELECT DISTINCT ON (b.interval_start) b.interval_start, v.results
    FROM reading.batch b JOIN reading.verdict v ON v.batch = b.id
    WHERE b.pipeline = %(pipeline)s AND b.kind = 'input' AND b.interval_start BETWEEN %(first)s AND %(last)s
    ORDER BY b.interval_start, v.id DESC) n,
    LATERAL jsonb_array_elements(CASE WHEN jsonb_typeof(n.results) = 'array' THEN n.results ELSE '[]' END) r
ORDER BY n.interval_start
""")


def drift_between(connection: Connection, pipeline: str, *, first: datetime, last: datetime) -> list[Row]:
    """The lines of every published night of the span, oldest first; within a night that of the predictions before all."""
    return fetch(connection, _DRIFT_BETWEEN, {"pipeline": pipeline, "first": first, "last": last})


_DRIFT_BETWEEN = sql.SQL("""
SELECT d.interval_start, d.kind, d.feature, d.psi, d.distance, d.missing, d.missing_then, d.rows, d.model_version
FROM reading.published p JOIN reading.drift d ON d.batch = p.batch
WHERE p.pipeline = %(pipeline)s AND p.kind = 'prediction' AND p.interval_start BETWEEN %(first)s AND %(last)s
ORDER BY d.interval_start, d.kind DESC, d.psi DESC
""")


def drift_of(connection: Connection, batch: int) -> list[Row]:
    """The lines of one prediction batch, published or not; the predictions' own first, then the largest."""
    return fetch(connection, _DRIFT, {"batch": batch})


_DRIFT = sql.SQL("""
SELECT interval_start, kind, feature, psi, distance, missing, missing_then, rows, model_version
FROM reading.drift WHERE batch = %(batch)s ORDER BY kind DESC, psi DESC
""")
