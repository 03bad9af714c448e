"""A few reader's sessions that live in the event loop, for look-ups that Postgres answers in less time than a thread is woken.

Below psycopg's own `AsyncConnection`, whose work around one statement costs several times the statement.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

import psycopg
from psycopg import pq
from psycopg.adapt import Transformer

from domain.errors import OvernightError
from store.reads.connection import Connection, Reader, Row
from store.reads.rows import text_of

log = logging.getLogger("overnight.web")
PREPARED_AT_ONCE = 64
WAIT_SECONDS = 3.0
PAUSE_SECONDS = 1.0
_GOOD = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)


class Express:
    """Asks at once or not at all: whoever is given None asks `Reader`, which asks again and has a sentence for each error.

    For use in one event loop. A session that fails in any way is closed and another opened beside the requests.
    """

    def __init__(self, reader: Reader, *, size: int = 4, seconds: float = 5.0) -> None:
        self._reader, self._size, self._seconds = reader, size, seconds
        self._idle: asyncio.LifoQueue[_Session] = asyncio.LifoQueue()
        self._living: set[_Session] = set()
        self._keeper: asyncio.Task[None] | None = None
        self._closed = True

    def open(self) -> None:
        """Connects beside the calling loop, which need not wait for it."""
        self._closed = False
        self._mend()

    async def close(self) -> None:
        self._closed = True
        if self._keeper is not None:
            self._keeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeper
        for session in list(self._living):
            session.close()

    async def ask(self, statement: str, parameters: Sequence[Any]) -> list[Row] | None:
        """The rows of a statement in `%s` style; None when no session could answer it."""
        session = await self._take()
        if session is None:
            return None
        try:
            rows = await session.ask(statement, parameters)
        except (psycopg.Error, ValueError) as error:
            log.debug("a look-up goes the longer way: %s", error)
            session.close()
            return None
        except BaseException:
            session.close()  # an answer is still under way in it
            raise
        self._idle.put_nowait(session)
        return rows

    async def _take(self) -> "_Session | None":
        while self._living:
            session = await self._wait() if self._idle.empty() else self._idle.get_nowait()
            if session is None or session.lives:
                return session
        return None

    async def _wait(self) -> "_Session | None":
        try:
            return await asyncio.wait_for(self._idle.get(), WAIT_SECONDS)
        except TimeoutError:
            return None

    def _lost(self, session: "_Session") -> None:
        self._living.discard(session)
        self._idle.put_nowait(session)  # wakes who waits, to find that it lives no more
        self._mend()

    def _mend(self) -> None:
        if not self._closed and (self._keeper is None or self._keeper.done()):
            self._keeper = asyncio.get_running_loop().create_task(self._fill())

    async def _fill(self) -> None:
        while not self._closed and len(self._living) < self._size:
            try:
                connection = await asyncio.to_thread(self._reader.connect, self._seconds)
                session = _Session(connection, self._lost)
            except (OvernightError, psycopg.Error) as error:
                log.info("no session for look-ups: %s", error)
                await asyncio.sleep(PAUSE_SECONDS)
            except NotImplementedError:
                return  # this loop cannot watch a socket (Windows): look-ups go the longer way
            else:
                self._living.add(session)
                self._idle.put_nowait(session)


class _Session:
    """One question at a time. While Postgres answers, the event loop watches the socket and no thread waits."""

    def __init__(self, connection: Connection, lost: Callable[["_Session"], None]) -> None:
        self._connection, self._channel, self._lost = connection, connection.pgconn, lost
        self._channel.nonblocking = 1
        self._values = Transformer(connection)
        self._prepared: dict[str, tuple[bytes, tuple[str, ...]]] = {}
        self._results: list[Any] = []
        self._answer: asyncio.Future[Any] | None = None
        self._socket = self._channel.socket
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._hear)
        self.lives = True

    async def ask(self, statement: str, parameters: Sequence[Any]) -> list[Row]:
        """Raises psycopg.Error, and ValueError for a text that no database holds."""
        values = [None if value is None else text_of(value).encode() for value in parameters]
        name, columns = self._prepared.get(statement) or await self._prepare(statement)
        self._channel.send_query_prepared(name, values)
        result = await self._heard()
        self._values.set_pgresult(result)
        return self._values.load_rows(0, result.ntuples, lambda line: dict(zip(columns, line, strict=True)))

    async def _prepare(self, statement: str) -> tuple[bytes, tuple[str, ...]]:
        if len(self._prepared) >= PREPARED_AT_ONCE:
            self._channel.send_query(b"DEALLOCATE ALL")
            await self._heard()
            self._prepared.clear()
        name = f"look_up_{len(self._prepared)}".encode()
        self._channel.send_prepare(name, _numbered(statement))
        await self._heard()
        self._channel.send_describe_prepared(name)
        told = await self._heard()
        columns = tuple((told.fname(place) or b"").decode() for place in range(told.nfields))
        self._prepared[statement] = name, columns
        return self._prepared[statement]

    async def _heard(self) -> Any:
        """The answer to what was just sent."""
        if self._channel.flush():
            raise psycopg.OperationalError("a look-up that does not fit into the socket's buffer")
        self._answer = self._loop.create_future()
        result = await self._answer
        if result.status not in _GOOD:
            raise psycopg.errors.error_from_result(result)
        return result

    def _hear(self) -> None:
        """Called by the loop whenever Postgres has said something, or has gone."""
        try:
            self._channel.consume_input()
            while not self._channel.is_busy():
                result = self._channel.get_result()
                if result is None:
                    break
                self._results.append(result)
            else:
                return
        except psycopg.Error as error:
            self.close(error)
            return
        if self._results and self._answer is not None and not self._answer.done():
            self._answer.set_result(self._results[-1])
        self._results.clear()

    def close(self, error: Exception | None = None) -> None:
        if not self.lives:
            return
        self.lives = False
        self._loop.remove_reader(self._socket)
        self._connection.close()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error or psycopg.OperationalError("the session was closed"))
        self._lost(self)


@lru_cache(maxsize=512)
def _numbered(statement: str) -> bytes:
    """With $1, $2 in place of each %s, as Postgres itself wants it."""
    first, *rest = statement.split("%s")
    return (first + "".join(f"${number}{part}" for number, part in enumerate(rest, start=1))).encode()
