"""What batches were made from, and what changed between two of them."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from psycopg2 import sql

from domain.interval import Interval
from domain.words import BatchKind, BatchState
from store import schema
from store.batches import Batch, load_batch
from store.engine import driver_cursor

_CHANGES = """
SELECT count(*) FILTER (WHERE o.{first} IS NULL), count(*) FILTER (WHERE n.{first} IS NULL),
    count(*) FILTER (WHERE n.{first} IS NOT NULL AND o.{first} IS NOT NULL AND ROW({new}) IS DISTINCT FROM ROW({old}))
FROM {newer} n FULL JOIN {older} o ON {same_key}
"""


def source_files(connection: sa.Connection, batch_id: int) -> list[dict[str, Any]]:
    """The files of a batch as the ledger names them, each with its hash."""
    found = connection.scalar(sa.select(schema.batch.c.source).where(schema.batch.c.id == batch_id)) or {}
    return list(found.get("files", []))


def batch_before(connection: sa.Connection, pipeline: str, interval: Interval) -> Batch | None:
    """The newest sealed input batch of the newest earlier interval that has one."""
    found = connection.scalar(
        sa.select(schema.batch.c.id)
        .where(
            schema.batch.c.pipeline == pipeline,
            schema.batch.c.kind == BatchKind.INPUT,
            schema.batch.c.state == BatchState.SEALED,
            schema.batch.c.interval_start < interval.start,
        )
        .order_by(schema.batch.c.interval_start.desc(), schema.batch.c.id.desc())
        .limit(1)
    )
    return load_batch(connection, found) if found is not None else None


def count_changes(
    connection: sa.Connection, newer: Batch, older: Batch, *, key: Sequence[str], columns: Sequence[str]
) -> tuple[int, int, int]:  # fmt: skip
    """How many rows of `newer` are new, how many of `older` are gone, and how many changed under the same key."""

    def listed(table: str) -> sql.Composable:
        return sql.SQL(", ").join(sql.SQL(f"{table}.{{}}").format(sql.Identifier(name)) for name in columns)

    statement = sql.SQL(_CHANGES).format(
        first=sql.Identifier(key[0]), new=listed("n"), old=listed("o"),
        newer=sql.Identifier(newer.schema, newer.table), older=sql.Identifier(older.schema, older.table),
        same_key=sql.SQL(" AND ").join(sql.SQL("n.{0} = o.{0}").format(sql.Identifier(name)) for name in key),
    )  # fmt: skip
    with driver_cursor(connection) as cursor:
        cursor.execute(statement)
        added, gone, changed = cursor.fetchone() or (0, 0, 0)
    return added, gone, changed
