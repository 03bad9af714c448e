"""COPY in and out of Postgres: text blocks by the million, with the making of the next ones beside the sending of these."""

import queue
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO

import sqlalchemy as sa
from psycopg2 import sql

from store.engine import driver_cursor

_WAITING = 4  # blocks that may wait to be sent: what bounds the memory


class _Producer:
    """Runs an iterator in a thread of its own and is read like a file; an error of the iterator is kept for the caller."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self.error: BaseException | None = None  # what ended the making, or interrupted the reading
        self._blocks = blocks
        self._ready: queue.Queue[bytes] = queue.Queue(maxsize=_WAITING)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="copy producer", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            for block in self._blocks:
                if block and not self._put(block):
                    return
        except BaseException as error:
            self.error = error
        self._put(b"")

    def _put(self, block: bytes) -> bool:
        while not self._stopped.is_set():
            try:
                self._ready.put(block, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def read(self, size: int = -1) -> bytes:  # noqa: ARG002  # blocks are handed on whole; the driver takes any length
        try:
            block = self._ready.get()
        except BaseException as interruption:  # a signal; the driver would make an error of its own of it
            self.error = interruption
            raise
        if self.error is not None:
            raise self.error
        return block

    readline = read  # the driver asks for both

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()


BINARY_HEADER, BINARY_TRAILER = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"
_COPY_BINARY = "COPY {table} ({columns}) FROM STDIN (FORMAT binary, FREEZE {freeze})"
_COPY_IN = """
COPY {table} ({columns}) FROM STDIN (FORMAT csv, ENCODING 'UTF8', DELIMITER {delimiter}, NULL {null}, FREEZE {freeze})
"""


@contextmanager
def _producing(blocks: Iterable[bytes]) -> Iterator[_Producer]:
    producer = _Producer(blocks)
    try:
        yield producer
    except Exception:
        producer.stop()
        if producer.error is not None:
            raise producer.error from None
        raise
    finally:
        producer.stop()


def copy_statement(
    schema: str, table: str, columns: Sequence[str], *, delimiter: str = ",", null: str = "", freeze: bool = False
) -> sql.Composed:
    """COPY … FROM STDIN as UTF-8 CSV. `freeze` only for a table that this very transaction made."""
    return sql.SQL(_COPY_IN).format(
        table=sql.Identifier(schema, table),
        columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
        delimiter=sql.Literal(delimiter),
        null=sql.Literal(null),
        freeze=sql.Literal(freeze),
    )


def binary_statement(schema: str, table: str, columns: Sequence[str], *, freeze: bool = False) -> sql.Composed:
    """COPY … FROM STDIN in PostgreSQL's binary format; the blocks go between BINARY_HEADER and BINARY_TRAILER."""
    return sql.SQL(_COPY_BINARY).format(
        table=sql.Identifier(schema, table),
        columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
        freeze=sql.Literal(freeze),
    )


def copy_in(connection: sa.Connection, statement: sql.Composable, blocks: Iterable[bytes]) -> int:
    """Sends blocks to Postgres while a thread makes the next ones; returns the rows that Postgres took.

    An error that the making of blocks raises comes out as itself, and nothing of the COPY remains.
    """
    with _producing(blocks) as producer, driver_cursor(connection) as cursor:
        cursor.copy_expert(statement, producer, size=1 << 20)
        return int(cursor.rowcount)


def copy_file(connection: sa.Connection, statement: sql.Composable, file: Any) -> int:
    """Sends what a file holds, from where it stands; returns the rows that Postgres took."""
    with driver_cursor(connection) as cursor:
        cursor.copy_expert(statement, file, size=1 << 20)
        return int(cursor.rowcount)


def copy_out(connection: sa.Connection, query: sql.Composable, file: BinaryIO) -> int:
    """Writes a query's rows into a file as CSV with a header; returns how many there were."""
    statement = sql.SQL("COPY ({}) TO STDOUT (FORMAT csv, HEADER true, ENCODING 'UTF8')").format(query)
    with driver_cursor(connection) as cursor:
        cursor.copy_expert(statement, file, size=1 << 20)
        return int(cursor.rowcount)
