"""COPY: what interrupts it comes out as itself."""

import os
import signal
import threading
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from psycopg2 import sql

from store.copying import copy_in
from store.engine import transaction


class Stopped(BaseException):
    """As a scheduler's signal handler raises it."""


def test_a_signal_in_the_middle_of_a_copy_is_no_error_of_the_database(writer: sa.Engine) -> None:
    def stop(*_: object) -> None:
        raise Stopped

    def blocks() -> Iterator[bytes]:
        yield b"1\n"
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        threading.Event().wait(2)
        yield b"2\n"

    before = signal.signal(signal.SIGUSR1, stop)
    with pytest.raises(Stopped):
        _load(writer, blocks())
    signal.signal(signal.SIGUSR1, before)


def _load(writer: sa.Engine, blocks: Iterator[bytes]) -> int:
    with transaction(writer) as connection:
        connection.execute(sa.text("CREATE TEMPORARY TABLE numbers (n int) ON COMMIT DROP"))
        return copy_in(connection, sql.SQL("COPY pg_temp.numbers FROM STDIN"), blocks)
