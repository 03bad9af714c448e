"""A door to Postgres lets in one role to one database, whatever is asked through it, and closes with its owner."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg2
import pytest

from infra.doors import Door, open_door
from infra.postgres import Postmaster
from store.engine import parse_url
from tests.patience import wait_for


@pytest.fixture
def name(database: str) -> str:
    return parse_url(database).database or ""


@pytest.fixture
def door(server: Postmaster, name: str) -> Iterator[Path]:
    target = f"{server.socket_folder}/.s.PGSQL.{server.port}"
    with open_door(Door(target, user="overnight_writer", database=name)) as path:
        yield path


def connect(door: Path, *, user: str, database: str) -> "psycopg2.extensions.connection":
    return psycopg2.connect(host=str(door.parent), port=5432, user=user, dbname=database)


def test_the_writer_passes_and_rows_come_through_whole(door: Path, name: str) -> None:
    with connect(door, user="overnight_writer", database=name).cursor() as cursor:
        cursor.execute(
            "SELECT current_user, count(*), sum(length(x)) FROM (SELECT repeat('x', 999) x FROM generate_series(1, 9999)) t"
        )
        assert cursor.fetchone() == ("overnight_writer", 9999, 9999 * 999)
        cursor.execute("SELECT repeat('x', 9999) FROM generate_series(1, 999)")
        assert sum(len(line[0]) for line in cursor.fetchall()) == 999 * 9999


@pytest.mark.parametrize("user", ["postgres", "overnight_owner", "overnight_reader"])
def test_another_role_is_refused_though_the_server_would_believe_it(door: Path, name: str, user: str) -> None:
    with pytest.raises(psycopg2.OperationalError, match=f"may act as overnight_writer in {name}, and as nobody else"):
        connect(door, user=user, database=name)


def test_another_database_is_refused(door: Path) -> None:
    with pytest.raises(psycopg2.OperationalError, match="and as nobody else"):
        connect(door, user="overnight_writer", database="postgres")


def test_the_writer_cannot_become_another_role_behind_the_door(door: Path, name: str) -> None:
    with (
        connect(door, user="overnight_writer", database=name).cursor() as cursor,
        pytest.raises(psycopg2.Error, match="permission"),
    ):
        cursor.execute("SET ROLE overnight_owner")


@pytest.mark.parametrize(
    "noise",
    [
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        struct.pack("!IIII", 16, 80877102, 1, 1),  # a request to cancel somebody's query
        struct.pack("!II", 2**31, 3 << 16),
        struct.pack("!II", 8, 3 << 16),
        struct.pack("!II", 60, 3 << 16) + b"user\0overnight_writer\0user\0postgres\0database\0x\0\0".ljust(52, b"\0"),
    ],
)
def test_noise_is_hung_up_on(door: Path, name: str, noise: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as guest:
        guest.settimeout(60)
        guest.connect(str(door))
        guest.sendall(noise)
        guest.shutdown(socket.SHUT_WR)
        with suppress(ConnectionResetError):
            assert guest.recv(100) == b""
    connect(door, user="overnight_writer", database=name).close()


def test_a_closed_door_is_gone(server: Postmaster, name: str) -> None:
    with open_door(Door(f"{server.socket_folder}/.s.PGSQL.{server.port}", user="overnight_writer", database=name)) as path:
        assert path.exists()
    assert not path.parent.exists()


def test_a_session_behind_the_door_ends_when_its_guest_goes(door: Path, name: str, database: str) -> None:
    connect(door, user="overnight_writer", database=name).close()
    admin = psycopg2.connect(database)
    admin.autocommit = True

    def sessions() -> int:
        with admin.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE usename = 'overnight_writer' AND datname = %s", (name,))
            return int((cursor.fetchone() or (0,))[0])

    wait_for(lambda: sessions() == 0)
    admin.close()
    assert threading.active_count() < 50
