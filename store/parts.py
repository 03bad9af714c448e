"""What one worker has brought of a night's rows: tables of its own, until whoever takes the night puts them into its batch.

They are no part of the ledger and nobody reads them. What a killed run leaves of them, `overnight maintain` sweeps.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from psycopg2 import sql

from store.batches import Batch
from store.engine import driver_cursor, transaction
from store.pipelines import inner_schema
from store.runs import Run

# Not logged: a crash of Postgres ends the connection of whoever puts the parts together too, and all begins anew.
_OPEN = """
CREATE UNLOGGED TABLE {child} (LIKE {parent});
ALTER TABLE {child} DROP COLUMN batch_id;
"""
# One process reads a part from its start, so that rows lie in the batch in the order in which they came.
_JOIN = """
SET LOCAL synchronize_seqscans = off;
INSERT INTO {into} ({columns}) SELECT {columns} FROM {part}
"""
_LEFT = "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace({schema}) AND relkind = 'r' AND relname ^@ {start}"


@dataclass(frozen=True, slots=True)
class Part:
    """The two tables of one file's rows. The name is made anew at each attempt: a worker that was given up may still be at it."""

    schema: str
    table: str

    @property
    def rejected(self) -> str:
        return f"{self.table}_rejected"


def open_part(connection: sa.Connection, run: Run, number: int) -> Part:
    """Empty tables for the run's file of this number, in the caller's transaction."""
    part = Part(inner_schema(run.pipeline), f"{_start(run)}{number}_{uuid.uuid4().hex[:12]}")
    for child, parent in ((part.table, "landed"), (part.rejected, "rejected")):
        with driver_cursor(connection) as cursor:
            cursor.execute(sql.SQL(_OPEN).format(
                child=sql.Identifier(part.schema, child), parent=sql.Identifier(part.schema, parent)
            ))  # fmt: skip
    return part


def join_part(
    connection: sa.Connection, part: Part, batch: Batch, *, columns: Sequence[str], of_rejects: Sequence[str]
) -> tuple[int, int]:  # fmt: skip
    """Puts a part's rows and rejects behind those that the batch has, and drops it; returns how many there were of each."""
    pairs = ((part.table, batch.table, columns), (part.rejected, f"rejected_{batch.id}", of_rejects))
    with driver_cursor(connection) as cursor:
        joined = []
        for table, into, names in pairs:
            cursor.execute(sql.SQL(_JOIN).format(
                into=sql.Identifier(batch.schema, into), part=sql.Identifier(part.schema, table),
                columns=sql.SQL(", ").join(map(sql.Identifier, names)),
            ))  # fmt: skip
            joined.append(int(cursor.rowcount))
            cursor.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(part.schema, table)))
    rows, rejects = joined
    return rows, rejects


def drop_parts(engine: sa.Engine, run: Run) -> None:
    """What is left of the run's parts; one that a worker still writes is not there yet, and is left for the sweep."""
    schema = inner_schema(run.pipeline)
    with transaction(engine) as connection, driver_cursor(connection) as cursor:
        cursor.execute(sql.SQL(_LEFT).format(schema=sql.Literal(f'"{schema}"'), start=sql.Literal(_start(run))))
        for (table,) in cursor.fetchall():
            cursor.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(schema, table)))


def _start(run: Run) -> str:
    return f"part_{run.id}_"
