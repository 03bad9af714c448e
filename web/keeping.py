"""Answers that are kept while nothing changes: keyed by address, and used only while the pulse says that all is as it was."""

import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from starlette.types import ASGIApp, Receive, Scope, Send

from domain.interval import Calendar
from domain.pipeline import Pipeline
from domain.trust import deadline_of
from store.reads.pulse import Pulse
from web.access import guest_of
from web.tags import holds

MOST_BYTES, MOST_OF_ONE = 64 << 20, 1 << 20
Address = tuple[str, str, bytes]  # what the asker may see, the path, the query: one scope's answers are no other's
AROUND = 2048  # what the address, headers and objects of one answer take, about


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer as it went out. It holds until something is heard, or until `until`, when a deadline passes."""

    version: int
    until: datetime
    tag: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    @property
    def size(self) -> int:
        return len(self.body) + AROUND


def address_of(scope: Scope) -> Address:
    return guest_of(scope).scope, scope["path"], scope["query_string"]


class Shelf:
    """The answers, the least lately asked for thrown out first."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._lock, self._most, self._held = threading.Lock(), most_bytes, 0
        self._kept: OrderedDict[Address, Kept] = OrderedDict()

    def put(self, address: Address, kept: Kept) -> None:
        if kept.size + len(address[2]) > MOST_OF_ONE:
            return
        with self._lock:
            old = self._kept.pop(address, None)
            self._held += kept.size - (old.size if old else 0)
            self._kept[address] = kept
            while self._held > self._most:
                _, thrown = self._kept.popitem(last=False)
                self._held -= thrown.size

    def get(self, address: Address, *, version: int, now: datetime) -> Kept | None:
        with self._lock:
            kept = self._kept.get(address)
            if kept is None:
                return None
            if kept.version != version or now >= kept.until:
                self._held -= self._kept.pop(address).size
                return None
            self._kept.move_to_end(address)
            return kept


LookUp = Callable[[Scope, datetime], Awaitable[Kept | None]]


class KeptAnswers:
    """Answers what is kept, and what `look_up` finds, without a route or a thread. Stands inside everything that may refuse."""

    def __init__(self, app: ASGIApp, shelf: Shelf, pulse: Pulse, now: Callable[[], datetime], look_up: LookUp) -> None:
        self.app, self.shelf, self.pulse, self.now, self.look_up = app, shelf, pulse, now, look_up

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kept = None
        if scope["type"] == "http" and scope["method"] == "GET" and self.pulse.connected:
            now = self.now()
            kept = self.shelf.get(address_of(scope), version=self.pulse.version, now=now) or await self.look_up(scope, now)
        if kept is None:
            await self.app(scope, receive, send)
        else:
            await _give(kept, scope, send)


async def _give(kept: Kept, scope: Scope, send: Send) -> None:
    if holds(scope, kept.tag):
        await send({"type": "http.response.start", "status": 304, "headers": kept.headers})
        await send({"type": "http.response.body", "body": b""})
        return
    headers = [*kept.headers, (b"content-length", b"%d" % len(kept.body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": kept.body})


def next_change(pipelines: Sequence[Pipeline], now: datetime) -> datetime:
    """When the clock alone will next change what is said of these pipelines: a night ends, or a deadline passes."""
    moments = [moment for one in pipelines for moment in _moments(one.calendar, one, now)]
    return min(moments, default=datetime.max.replace(tzinfo=now.tzinfo))


def _moments(calendar: Calendar, pipeline: Pipeline, now: datetime) -> list[datetime]:
    found = [calendar.containing(now).end]
    due = calendar.before(now)
    while due is not None and (deadline := deadline_of(due, calendar=calendar, at=pipeline.publish.deadline)) > now:
        found.append(deadline)
        due = calendar.before(due.start)
    return found
