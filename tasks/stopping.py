"""Signals that end a run wait until no import is under way: an exception in the middle of one can leave Python's import
lock held, and then the run neither goes on nor ends."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

AGAIN = 0.02  # seconds
_IMPORT = "<frozen importlib"


@contextmanager
def stopping_between_imports() -> Iterator[None]:
    """Inside, SIGINT and SIGTERM do what they did before, but never during an import; where they would end the process without
    a word they raise KeyboardInterrupt, so that the run's line in the ledger is closed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in (*numbers, signal.SIGALRM)}
    asked: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        asked[:] = [number] if number != signal.SIGALRM else asked
        if _is_importing(frame):
            signal.setitimer(signal.ITIMER_REAL, AGAIN)
            return
        handler = before[signal.Signals(asked[0])]
        if handler == signal.SIG_IGN:
            return
        if callable(handler):
            handler(asked[0], frame)
        else:
            raise KeyboardInterrupt

    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith(_IMPORT):
            return True
        frame = frame.f_back
    return False
