"""Waiting for what has to come: as long as a busy machine may need, and no longer than it takes."""

from collections.abc import Callable
from datetime import UTC, datetime
from time import monotonic, sleep
from typing import TypeVar

T = TypeVar("T")
PATIENCE = 180.0  # seconds; nothing that comes at all takes as long, so only what never comes costs them


def wait_for(find: Callable[[], T], *, within: float = PATIENCE, every: float = 0.05) -> T:
    """What `find` returns once it is something."""
    began = monotonic()
    while not (found := find()):
        assert monotonic() - began < within, "it did not happen in time"
        sleep(every)
    return found


def quickest(begin: Callable[[], Callable[[], bool]], *, enough: float, tries: int = 5) -> float:
    """How many seconds pass from when `begin` returns until what it returns is so; of a few tries the quickest, because a busy
    machine stands still now and then. One that is quick enough is the last."""
    took: list[float] = []
    while len(took) < tries and not (took and min(took) < enough):
        came, began = begin(), monotonic()
        wait_for(came, every=0.005)
        took.append(monotonic() - began)
    return min(took)


def schedule_far_from_now() -> str:
    """A cron line that ticks daily, and half a day from now: a night of the schedule's own would surprise a test."""
    return f"0 {(datetime.now(UTC).hour + 12) % 24} * * *"
