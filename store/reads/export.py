"""Rows out, as they come from COPY: in blocks of a megabyte, never a table in memory, and ended when nobody listens.

Below psycopg's own COPY, whose work per row costs twice as much as Postgres's.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import psycopg
from psycopg import pq, sql

from domain.errors import DatabaseUnavailable
from store.reads.connection import Connection, Reader

Form = Literal["csv", "ndjson"]
BLOCK = 1 << 20
_CSV = sql.SQL("COPY ({}) TO STDOUT (FORMAT csv, HEADER)")
# JSON writes control characters as \\u0001, so neither the quote nor the delimiter ever stands in a line
_NDJSON = sql.SQL("COPY (SELECT row_to_json(q) FROM ({}) q) TO STDOUT (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02')")


class Copy:
    """One COPY on a session of its own. Iterate it in one thread; `cancel` may be called from any other.

    `batch` is the prediction batch that is read, if it might be pruned meanwhile: then it raises Pruned, or all rows come.
    """

    def __init__(
        self, reader: Reader, statement: str, parameters: Sequence[Any], *, form: Form, seconds: float = 600.0,
        batch: int | None = None,
    ) -> None:  # fmt: skip
        self._reader, self._seconds, self._batch = reader, seconds, batch
        self._statement, self._parameters = (_CSV if form == "csv" else _NDJSON).format(sql.SQL(statement)), parameters
        self._connection: Connection | None = None
        self._cancelled = False
        self.rows = 0

    def blocks(self) -> Iterator[bytes]:
        """The body, block by block. Raises DatabaseUnavailable when the end was not reached: a cut is never silent."""
        with self._reader.apart(seconds=self._seconds) as connection:
            self._connection = connection
            if self._cancelled:
                return
            with connection.transaction():
                if self._batch is not None:
                    connection.execute("SELECT reading.require_rows(%s)", [self._batch])
                yield from self._read(connection)

    def _read(self, connection: Connection) -> Iterator[bytes]:
        text = psycopg.ClientCursor(connection).mogrify(self._statement, self._parameters)
        channel = connection.pgconn
        begun = channel.exec_(text.encode())
        if begun.status != pq.ExecStatus.COPY_OUT:
            raise psycopg.errors.lookup(_state(begun))(begun.get_error_message())
        block = bytearray()
        while True:
            size, line = channel.get_copy_data(0)
            if size < 0:
                break
            self.rows += 1
            block += line
            if len(block) >= BLOCK:
                yield bytes(block)
                block.clear()
        ended = channel.get_result()
        if size == -2 or ended is None or ended.status != pq.ExecStatus.COMMAND_OK:
            raise DatabaseUnavailable("the export was cut off before its end")
        while channel.get_result() is not None:
            pass  # until then the session takes no other command
        if block:
            yield bytes(block)

    def cancel(self) -> None:
        """Ends the work in Postgres at once; the reading thread then meets an error, which ends it."""
        self._cancelled = True
        connection = self._connection
        if connection is not None and not connection.closed:
            connection.cancel_safe(timeout=2.0)


def _state(result: Any) -> str:
    return (result.error_field(pq.DiagnosticField.SQLSTATE) or b"XX000").decode()
