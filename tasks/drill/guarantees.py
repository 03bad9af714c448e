"""The guarantees, each asked of the database after something was broken; an answer is a sentence about what does not hold."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from psycopg2 import sql

from infra.settings import Settings
from store.engine import create_engine, driver_cursor, transaction
from store.pipelines import inner_schema

# What the columns of the drill's table stand for.
GUARANTEES: Mapping[str, str] = {
    "whole": "a polling reader saw only whole nights, and none that went away",
    "counts": "every sealed batch holds the rows that the ledger says",
    "again": "the next run finished the night, with the content of a quiet run",
    "free": "no run stays open and no night stays locked",
    "clean": "no table is left without a batch that is in use",
    "told": "what ended otherwise than published says why in a sentence",
}
_CONTENT = """
SELECT kind, interval_start, content_hash, rows, rejected FROM reading.published WHERE pipeline = :pipeline ORDER BY 1, 2
"""
_SEALED = "SELECT id, kind, rows, rejected FROM overnight.batch WHERE pipeline = :pipeline AND state = 'sealed'"
_OPEN = "SELECT count(*) FROM overnight.run WHERE state = 'running'"
_LOCKS = """
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND database = (SELECT oid FROM pg_database WHERE
datname = current_database())
"""
_LEFT = """
SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = :schema AND c.relkind = 'r' AND c.relname ~ '^(landed|rejected|predictions)_[0-9]+$' AND NOT EXISTS (
    SELECT FROM overnight.batch b WHERE b.state = 'sealed' AND b.id = split_part(c.relname, '_', 2)::bigint)
"""
_TOLD = """
SELECT reason FROM overnight.run WHERE state IN ('failed', 'held', 'crashed')
    AND (reason = '' OR reason ILIKE '%%unexpected%%' OR reason ILIKE '%%traceback%%')
"""


def content_of(settings: Settings, pipeline: str) -> list[tuple[Any, ...]]:
    """What readers see, by content: equal for equal results, whatever numbers the batches have."""
    engine = create_engine(settings.reader_url or "", role="reader", pool_size=1)
    try:
        with transaction(engine) as connection:
            return [tuple(line) for line in connection.execute(sa.text(_CONTENT), {"pipeline": pipeline})]
    finally:
        engine.dispose()


def check_guarantees(settings: Settings, pipeline: str, *, quiet: list[tuple[Any, ...]]) -> dict[str, str]:
    """The guarantees that the database can answer for; empty for one that holds."""
    engine = create_engine(settings.database_url or "", role="owner", pool_size=1)
    try:
        with transaction(engine) as connection:
            found = {
                "counts": _miscounted(connection, pipeline),
                "free": _held_still(connection),
                "clean": _litter(connection, pipeline),
                "told": _untold(connection),
            }
    finally:
        engine.dispose()
    return found | {
        "again": "" if content_of(settings, pipeline) == quiet else "readers see other content than after a quiet run"
    }


def _miscounted(connection: sa.Connection, pipeline: str) -> str:
    for batch, kind, rows, rejected in connection.execute(sa.text(_SEALED), {"pipeline": pipeline}):
        tables = {"landed": rows, "rejected": rejected} if kind == "input" else {"predictions": rows}
        for table, promised in tables.items():
            name = sql.Identifier(inner_schema(pipeline), f"{table}_{batch}")
            with driver_cursor(connection) as cursor:
                cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(name))
                (found,) = cursor.fetchone() or (0,)
            if found != promised:
                return f"batch {batch}: {found} rows {table}, the ledger says {promised}"
    return ""


def _held_still(connection: sa.Connection) -> str:
    runs = connection.scalar(sa.text(_OPEN))
    if runs:
        return f"{runs} runs are still open"
    return "a night is still locked" if connection.scalar(sa.text(_LOCKS)) else ""


def _litter(connection: sa.Connection, pipeline: str) -> str:
    left = connection.scalars(sa.text(_LEFT), {"schema": inner_schema(pipeline)}).all()
    return f"left over: {', '.join(left)}" if left else ""


def _untold(connection: sa.Connection) -> str:
    reasons = connection.scalars(sa.text(_TOLD.replace("%%", "%"))).all()
    return f"no sentence: {reasons[0]!r}" if reasons else ""
