"""One night: its attempts and their stages, what validation said, what was set aside, and where its numbers came from."""

from collections.abc import Sequence
from datetime import datetime

from psycopg import sql

from store.reads.connection import Connection, Row, fetch, fetch_one


def runs_of(connection: Connection, pipeline: str, *, start: datetime) -> list[Row]:
    """Every attempt at one night, newest first."""
    return fetch(connection, _RUNS, {"pipeline": pipeline, "start": start})


_RUNS = sql.SQL("""
SELECT id, state, reason, trigger, hindsight, input_batch, model, prediction_batch, started_at, ended_at
FROM reading.run WHERE pipeline = %(pipeline)s AND interval_start = %(start)s ORDER BY id DESC LIMIT 50
""")


def stages_of(connection: Connection, run: int) -> list[Row]:
    return fetch(connection, _STAGES, {"run": run})


_STAGES = sql.SQL("""
SELECT stage, state, rows_in, rows_out, rows_rejected, reason, detail, started_at, ended_at,
    extract(epoch FROM ended_at - started_at)::float8 AS seconds
FROM reading.stage_run WHERE run = %(run)s ORDER BY id
""")


def batches_of(connection: Connection, numbers: Sequence[int]) -> dict[int, Row]:
    """Lines of the ledger by number, each with the version of its model."""
    return {line["id"]: line for line in fetch(connection, _BATCHES, {"numbers": list(numbers)})} if numbers else {}


_BATCHES = sql.SQL("""
SELECT b.id, b.kind, b.state, b.rows, b.rejected, b.content_hash, b.source, b.code, b.image, b.input_batch, b.hindsight, b.run,
    b.created_at, b.sealed_at, m.version AS model_version
FROM reading.batch b LEFT JOIN reading.model m ON m.id = b.model WHERE b.id = ANY (%(numbers)s)
""")


def verdict_on(connection: Connection, batch: int) -> Row | None:
    """The newest verdict on an input batch."""
    return fetch_one(connection, _VERDICT, {"batch": batch})


_VERDICT = sql.SQL("""
SELECT outcome, reason, suite_hash, results, at FROM reading.verdict WHERE batch = %(batch)s ORDER BY id DESC LIMIT 1
""")


def rejects_by_rule(connection: Connection, pipeline: str, *, batch: int) -> list[Row]:
    """How many rows each rule has set aside, most first."""
    return fetch(connection, _REJECTS_BY_RULE.format(view=sql.Identifier(pipeline, "rejected")), {"batch": batch})


_REJECTS_BY_RULE = sql.SQL("""
SELECT rule, column_name AS column, count(*) AS rows, min(reason) AS example
FROM {view} WHERE batch = %(batch)s GROUP BY rule, column_name ORDER BY count(*) DESC, rule LIMIT 50
""")


def rejects_of(connection: Connection, pipeline: str, *, batch: int, limit: int) -> list[Row]:
    """The first rows that were set aside, in the order of their source."""
    return fetch(connection, _REJECTS.format(view=sql.Identifier(pipeline, "rejected")), {"batch": batch, "limit": limit})


_REJECTS = sql.SQL("""
SELECT source, line, column_name AS column, left(value, 200) AS value, rule, reason, left(row_text, 400) AS row,
    CASE WHEN source IS NULL THEN row_text END AS landed
FROM {view} WHERE batch = %(batch)s ORDER BY line, rule LIMIT %(limit)s
""")


def publications_of(connection: Connection, pipeline: str, *, start: datetime) -> list[Row]:
    """Every move of the night's pointers, newest first."""
    return fetch(connection, _PUBLICATIONS, {"pipeline": pipeline, "start": start})


_PUBLICATIONS = sql.SQL("""
SELECT id AS publication, kind, batch, previous, run, who, why, at
FROM reading.publication WHERE pipeline = %(pipeline)s AND interval_start = %(start)s ORDER BY id DESC LIMIT 100
""")


def usual_rows(connection: Connection, names: Sequence[str], *, nights: int = 14) -> dict[str, float]:
    """The median of rows that landed over each pipeline's newest published nights but the last."""
    lines = fetch(connection, _USUAL, {"names": list(names), "nights": nights})
    return {line["name"]: line["usual"] for line in lines if line["usual"] is not None}


_USUAL = sql.SQL("""
SELECT n.name, (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY p.rows) FROM (
    SELECT rows FROM reading.published WHERE pipeline = n.name AND kind = 'input'
    ORDER BY interval_start DESC OFFSET 1 LIMIT %(nights)s) p) AS usual
FROM unnest(%(names)s::text[]) AS n (name)
""")


def total_rows(connection: Connection, names: Sequence[str]) -> dict[str, int]:
    """How many predictions readers see of each pipeline, by the ledger's figures."""
    return {line["pipeline"]: line["rows"] for line in fetch(connection, _TOTAL, {"names": list(names)})}


_TOTAL = sql.SQL("""
SELECT pipeline, sum(rows)::bigint AS rows FROM reading.published
WHERE pipeline = ANY (%(names)s) AND kind = 'prediction' GROUP BY pipeline
""")
