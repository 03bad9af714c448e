"""What one worker has brought of a night's rows: tables of its own, until whoever takes the night puts them into its batch.

They are no part of the ledger and nobody reads them. What a killed run leaves of them, the flow `maintain` sweeps.
"""

import os
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO

import sqlalchemy as sa
from psycopg2 import sql

from domain.errors import OvernightError
from store.batches import Batch
from store.copying import binary_statement, copy_file
from store.engine import driver_cursor, transaction
from store.pipelines import inner_schema
from store.runs import Run

# Not logged: a crash of Postgres ends the connection of whoever puts the parts together too, and all begins anew. Made without a
# look at the tables that they become a part of: somebody may wait to alter these until the night, which waits for this, is over.
_OPEN = "CREATE UNLOGGED TABLE {table} ({columns})"
# One process reads a part from its start: rows lie as they came, for COPY … FREEZE puts each behind the one before.
_SEND = "SET LOCAL synchronize_seqscans = off; COPY {part} ({columns}) TO STDOUT (FORMAT binary)"
_LEFT = "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace({schema}) AND relkind = 'r' AND relname ^@ {start}"
_AT_ONCE = 100  # tables in one transaction, each of which is a lock


@dataclass(frozen=True, slots=True)
class Part:
    """The two tables of one file's rows. The name is made anew at each attempt: a worker that was given up may still be at it."""

    schema: str
    table: str

    @property
    def rejected(self) -> str:
        return f"{self.table}_rejected"


def open_part(
    connection: sa.Connection, run: Run, number: int, *, columns: Mapping[str, str], of_rejects: Mapping[str, str]
) -> Part:
    """Empty tables for the run's file of this number, with these columns and types, in the caller's transaction."""
    part = Part(inner_schema(run.pipeline), f"{_start(run)}{number}_{uuid.uuid4().hex[:12]}")
    for table, kinds in ((part.table, columns), (part.rejected, of_rejects)):
        declared = sql.SQL(", ").join(sql.SQL("{} ").format(sql.Identifier(name)) + sql.SQL(kind) for name, kind in kinds.items())
        with driver_cursor(connection) as cursor:
            cursor.execute(sql.SQL(_OPEN).format(table=sql.Identifier(part.schema, table), columns=declared))
    return part


def join_part(
    connection: sa.Connection, part: Part, batch: Batch, *, columns: Sequence[str], of_rejects: Sequence[str]
) -> tuple[int, int]:  # fmt: skip
    """Copies a part's rows, in their order, and its rejects behind those that the batch has, whose table the running
    subtransaction made or emptied; returns how many there were of each."""
    rows = _pour(connection, batch.table, part.table, columns, schema=part.schema, freeze=True)
    rejects = _pour(connection, f"rejected_{batch.id}", part.rejected, of_rejects, schema=part.schema, freeze=False)
    return rows, rejects


def _pour(
    connection: sa.Connection, into: str, table: str, columns: Sequence[str], *, schema: str, freeze: bool
) -> int:  # fmt: skip
    """From one table into another, through a second connection that reads while this one writes."""
    send = sql.SQL(_SEND).format(
        part=sql.Identifier(schema, table), columns=sql.SQL(", ").join(map(sql.Identifier, columns))
    )  # fmt: skip
    reading, writing = os.pipe()
    with ThreadPoolExecutor(1) as hand, os.fdopen(reading, "rb") as received:
        sending = hand.submit(_send, connection.engine, send, os.fdopen(writing, "wb"))
        try:
            return copy_file(connection, binary_statement(schema, into, columns, freeze=freeze), received)
        except Exception:
            received.close()
            if isinstance(cause := sending.exception(), OvernightError):
                raise cause from None
            raise


def _send(engine: sa.Engine, statement: sql.Composed, pipe: BinaryIO) -> None:
    with suppress(BrokenPipeError), pipe, transaction(engine) as connection, driver_cursor(connection) as cursor:
        cursor.copy_expert(statement, pipe, size=1 << 20)


def drop_parts(engine: sa.Engine, run: Run) -> None:
    """What the run's workers brought, once it is in the batch or will never be; a part that one still writes is not there yet,
    and is left for the sweep."""
    schema = inner_schema(run.pipeline)
    with transaction(engine) as connection, driver_cursor(connection) as cursor:
        cursor.execute(sql.SQL(_LEFT).format(schema=sql.Literal(f'"{schema}"'), start=sql.Literal(_start(run))))
        left = [table for (table,) in cursor.fetchall()]
    for some in (left[at : at + _AT_ONCE] for at in range(0, len(left), _AT_ONCE)):
        names = sql.SQL(", ").join(sql.Identifier(schema, table) for table in some)
        with transaction(engine) as connection, driver_cursor(connection) as cursor:
            cursor.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(names))


def _start(run: Run) -> str:
    return f"part_{run.id}_"
