"""Rows out of Postgres: as many as are asked for and no more, in bounded memory, however slowly they are taken."""

from time import sleep
from typing import Any

import pytest
import sqlalchemy as sa
from psycopg2 import sql

from store.engine import transaction
from tasks import frames
from tasks.frames import AHEAD, copy_out

ROWS = 200_000
QUERY = sql.SQL("SELECT i, i::text || ' of many' FROM generate_series(1, {}) i").format(sql.Literal(ROWS))
KINDS = {"number": "int", "words": "key"}


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The size of each block that Arrow has read so far."""
    found: list[int] = []
    plain = frames._Bounded.read

    def counted(self: Any, size: int = -1) -> bytes:
        block = plain(self, size)
        found.append(len(block))
        return block

    monkeypatch.setattr(frames._Bounded, "read", counted)
    return found


def test_no_more_is_read_ahead_than_a_few_blocks(writer: sa.Engine, reads: list[int]) -> None:
    with transaction(writer) as connection, copy_out(connection, QUERY, KINDS, block=1 << 15) as batches:
        taken = next(batches).num_rows
        sleep(0.2)
        assert len(reads) <= AHEAD + 1
        for number, batch in enumerate(batches, start=2):
            taken += batch.num_rows
            assert len(reads) <= AHEAD + number
    assert taken == ROWS
    assert len(reads) > 100


def take_one_and_fail(connection: sa.Connection) -> None:
    with copy_out(connection, QUERY, KINDS, block=1 << 15) as batches:
        next(batches)
        raise ZeroDivisionError


def test_whoever_stops_taking_rows_keeps_nobody_waiting(writer: sa.Engine, reads: list[int]) -> None:
    with transaction(writer) as connection:
        with copy_out(connection, QUERY, KINDS, block=1 << 15) as batches:
            next(batches)
        with pytest.raises(ZeroDivisionError):
            take_one_and_fail(connection)
        assert connection.scalar(sa.text("SELECT 1")) == 1
