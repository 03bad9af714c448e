"""Rows that repeat a key of the same night: the first stays, the others become rejects, all inside Postgres."""

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from psycopg2 import sql

from store.batches import Batch
from store.copying import copy_in, copy_statement
from store.engine import driver_cursor
from tasks.ingest.places import Places

# Rows lie in the order in which COPY brought them: the table is new and had one writer. One process reads it from its start.
_IN_ORDER = "SET LOCAL synchronize_seqscans = off; SET LOCAL max_parallel_workers_per_gather = 0"
# Names with a space cannot meet a column of the contract.
_CREATE = 'CREATE TABLE {places} ("the row" bigint, source text, line bigint)'
_MOVE = """
WITH numbered AS (SELECT ctid AS "the place", {key_only}, row_number() OVER () - 1 AS "the row" FROM {landed}),
ranked AS (
    SELECT l."the place", p.source, p.line, row_number() OVER same AS copy,
        first_value(p.source) OVER same AS first_source, first_value(p.line) OVER same AS first_line
    FROM {places} p JOIN numbered l USING ("the row")
    WINDOW same AS (PARTITION BY {key} ORDER BY "the row")
),
gone AS (
    DELETE FROM {landed} l USING ranked r WHERE l.ctid = r."the place" AND r.copy > 1
    RETURNING r.source, r.line, r.first_source, r.first_line, concat_ws(', ', {landed_key}) AS value,
        left(left(substr((l.*)::text, strpos((l.*)::text, ',') + 1), -1), 500) AS row_text
)
INSERT INTO {rejected} (source, line, column_name, value, rule, reason, row_text)
SELECT source, line, {key_names}, left(value, 80), 'key',
    format('the key %s stands already in %s%s', left(value, 80), 'line ' || first_line || ' of ', first_source), row_text
FROM gone
"""
_DROP = "DROP TABLE {places}"


def set_repeats_aside(
    connection: sa.Connection, batch: Batch, key: tuple[str, ...], suspects: Iterable[NDArray[np.int64]], places: Places
) -> int:
    """Moves every row whose key an earlier row has to the rejects; returns how many there were."""
    found = (group for group in suspects if len(group))
    first = next(found, None)
    if first is None:
        return 0
    names = _names(batch, key)
    table = f"places_{batch.id}"
    _execute(connection, sql.SQL(_CREATE).format(**names))
    statement = copy_statement(batch.schema, table, ("the row", "source", "line"))
    copy_in(connection, statement, _written(first, found, places))
    _execute(connection, sql.SQL(_IN_ORDER))
    moved = _execute(connection, sql.SQL(_MOVE).format(**names))
    _execute(connection, sql.SQL(_DROP).format(**names))
    return moved


def _names(batch: Batch, key: tuple[str, ...]) -> dict[str, Any]:
    return {
        "landed": sql.Identifier(batch.schema, batch.table),
        "rejected": sql.Identifier(batch.schema, f"rejected_{batch.id}"),
        "places": sql.Identifier(batch.schema, f"places_{batch.id}"),
        "key": sql.SQL(", ").join(sql.SQL("l.{}").format(sql.Identifier(name)) for name in key),
        "key_only": sql.SQL(", ").join(map(sql.Identifier, key)),
        "landed_key": sql.SQL(", ").join(sql.SQL("l.{}").format(sql.Identifier(name)) for name in key),
        "key_names": sql.Literal(", ".join(key)),
    }


def _written(first: NDArray[np.int64], more: Iterable[NDArray[np.int64]], places: Places) -> Iterator[bytes]:
    for group in (first, *more):
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(places.find(group.tolist()))
        yield text.getvalue().encode()


def _execute(connection: sa.Connection, statement: sql.Composable) -> int:
    with driver_cursor(connection) as cursor:
        cursor.execute(statement)
        return int(cursor.rowcount)
