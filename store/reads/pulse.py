"""Hears of every change in the ledger, on one session that LISTENs, so that nothing is asked twice while nothing changes."""

import asyncio
import json
import logging
import threading
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from store.reads.connection import Reader

log = logging.getLogger("overnight.web")
KEPT = 500
_LISTEN = sql.SQL("LISTEN overnight")
_ASK = sql.SQL("SELECT 1")  # who only listens never learns that the other end is gone


@dataclass(frozen=True, slots=True)
class Beat:
    """One thing that was heard. `number` counts within this process."""

    number: int
    event: str
    data: dict[str, Any]


class Pulse:
    """`version` grows with everything that is heard; while `connected` is false, nothing that was kept may be used.

    Whoever keeps something notes the version from before it was read: what is heard while it is read makes it stale.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="pulse", daemon=True)
        self._listeners: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()
        self._lock = threading.Lock()
        self.beats: deque[Beat] = deque(maxlen=KEPT)
        self.version = 0
        self.connected = False

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(timeout=3)

    def _listen(self) -> None:
        while not self._stop.is_set():
            try:
                with self._reader.apart(seconds=0, name="overnight pulse") as connection:
                    connection.execute(_LISTEN)
                    self._beat("listening", {})
                    self.connected = True
                    self._hear(connection)
            except Exception as error:  # whatever it is, to listen no more would be worse
                log.info("no longer listening to the database: %s", error or type(error).__name__)
            finally:
                self.connected = False
            self._stop.wait(1.0)

    def _hear(self, connection: "psycopg.Connection[Any]") -> None:
        while not self._stop.is_set():
            for heard in connection.notifies(timeout=0.5):
                data: dict[str, Any] = {}
                with suppress(ValueError):
                    data = found if isinstance(found := json.loads(heard.payload), dict) else {}
                self._beat(str(data.get("event", "changed")), data)
            connection.execute(_ASK)  # what is heard meanwhile is told by the next round

    def _beat(self, event: str, data: dict[str, Any]) -> None:
        with self._lock:
            self.version += 1
            self.beats.append(Beat(self.version, event, data))
            listeners = list(self._listeners)
        for loop, ring in listeners:
            with suppress(RuntimeError):  # a loop that has closed meanwhile
                loop.call_soon_threadsafe(ring.set)

    def subscribe(self) -> asyncio.Event:
        """An event that is set whenever something is heard; for use in the calling loop alone."""
        ring = asyncio.Event()
        with self._lock:
            self._listeners.add((asyncio.get_running_loop(), ring))
        return ring

    def unsubscribe(self, ring: asyncio.Event) -> None:
        with self._lock:
            self._listeners = {pair for pair in self._listeners if pair[1] is not ring}

    def since(self, number: int) -> list[Beat]:
        """What was heard after that number, as far back as it is kept."""
        with self._lock:
            return [beat for beat in self.beats if beat.number > number]

    @property
    def streams(self) -> int:
        return len(self._listeners)
