"""A backup is one moment, whole and proven: restored elsewhere it gives readers the same rows, under the same guards."""

import json
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import psycopg2
import pytest
import sqlalchemy as sa

sys.path.insert(0, str(Path(__file__).parents[1] / "web"))
from bookkeeping import Ledger

from deployments.catalogue import Definition
from domain.errors import EnvironmentRefused, Refused, SourceError, StageFailed
from infra.pg_tools import find_tool, pour
from infra.postgres import Postmaster, embedded_url
from infra.settings import Settings
from store.engine import create_engine, transaction
from tasks.backup import Backup, back_up, manifest_of, read_backup, restore, verify

NOW = datetime(2024, 1, 5, 12, tzinfo=UTC)
SEEN = sa.text("SELECT * FROM shops.published ORDER BY interval_start, shop")


@pytest.fixture
def backup(shops: Definition, writer: sa.Engine, settings: Settings, tmp_path: Path) -> Backup:
    """Of three nights, one of which was corrected."""
    ledger = Ledger(shops, writer)
    ledger.publish("2024-01-01")
    model = ledger.train("2024-01-03")
    ledger.publish("2024-01-03", model=model)
    ledger.publish("2024-01-03", model=model, salt="corrected", rows=50)
    return back_up(settings, tmp_path / "house.dump", now=NOW)


@pytest.fixture
def elsewhere(server: Postmaster, settings: Settings) -> Iterator[Settings]:
    """An empty database that nobody has migrated."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with closing(psycopg2.connect(embedded_url(server, database="postgres"))) as connection:
        connection.autocommit = True
        connection.cursor().execute(f"CREATE DATABASE {name}")
        urls = {role: embedded_url(server, user=f"overnight_{role}", database=name) for role in ("writer", "reader")}
        yield settings.model_copy(update={"database_url": embedded_url(server, database=name), "writer_url": urls["writer"],
                                          "reader_url": urls["reader"]})  # fmt: skip
        connection.cursor().execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_a_restore_into_an_empty_database_gives_readers_the_same_under_the_same_guards(
    backup: Backup, elsewhere: Settings, reader: sa.Engine, shops: Definition
) -> None:
    assert restore(elsewhere, read_backup(backup.path), replace=False) == []
    there, writes = (
        create_engine(url or "", role=role) for url, role in ((elsewhere.reader_url, "reader"), (elsewhere.writer_url, "writer"))
    )
    with transaction(reader) as here, transaction(there) as connection:
        assert connection.execute(SEEN).all() == here.execute(SEEN).all() != []
        then = sa.text("SELECT count(*) FROM shops.as_of(now())")
        assert connection.scalar(then) == here.scalar(then)
    for engine, statement in (
        (there, "CREATE TABLE shops.mine (x int)"), (writes, "DROP TABLE overnight_shops.landed_1"),
        (writes, "UPDATE overnight.pointer SET batch = 1"), (writes, "DELETE FROM overnight.publication"),
    ):  # fmt: skip
        with pytest.raises(sa.exc.DBAPIError, match=r"permission denied|must be owner|read-only"), engine.begin() as connection:
            connection.execute(sa.text(statement))
    with (
        pytest.raises(sa.exc.DBAPIError, match="append-only"),
        create_engine(elsewhere.database_url or "", role="owner").begin() as connection,
    ):
        connection.execute(sa.text("DELETE FROM overnight.publication"))
    Ledger(shops, writes).publish("2024-01-04", model=1)  # and the nights go on
    with transaction(there) as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM shops.latest")) == 60


def test_a_backup_is_verified_by_a_restore_that_leaves_nothing_behind(
    backup: Backup, settings: Settings, owner: sa.Engine
) -> None:
    assert verify(settings, backup) == []
    told = json.loads(manifest_of(backup.path).read_text())
    told["batches"]["3"]["hash"] = "0" * 32
    told["lines"]["run"] += 1
    manifest_of(backup.path).write_text(json.dumps(told))
    found = verify(settings, read_backup(backup.path))
    assert [said.split(" and not")[0].partition(" holds")[0] for said in found] == ["overnight.run has 4 lines", "batch 3"]
    with transaction(owner) as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM pg_database WHERE datname LIKE 'overnight_verify%'")) == 0


def test_what_is_there_is_not_replaced_unless_told(
    backup: Backup, settings: Settings, writer: sa.Engine, shops: Definition
) -> None:
    with pytest.raises(Refused, match=r"holds pipelines already.*--replace"):
        restore(settings, backup, replace=False)
    Ledger(shops, writer).publish("2024-01-05", rows=7)
    writer.dispose()
    with closing(psycopg.connect(settings.reader_url or "", autocommit=True)) as web:
        web.execute("LISTEN overnight")
        assert restore(settings, backup, replace=True) == []
        assert next(web.notifies(timeout=60)), "who has kept answers hears that they are of another ledger"
    with transaction(writer) as connection:
        assert connection.scalar(sa.text("SELECT max(interval_start)::date::text FROM overnight.pointer")) == "2024-01-02"


def test_a_restore_that_fails_leaves_what_was_there_to_its_readers(
    backup: Backup, settings: Settings, writer: sa.Engine, reader: sa.Engine, shops: Definition
) -> None:
    Ledger(shops, writer).publish("2024-01-05", rows=7)
    writer.dispose()
    with transaction(reader) as connection:
        before = connection.execute(SEEN).all()
    backup.path.write_bytes(backup.path.read_bytes()[:-2000])
    with pytest.raises(StageFailed, match="nothing was restored, and the database is as it was: pg_restore failed"):
        restore(settings, backup, replace=True)
    with transaction(reader) as connection:
        assert connection.execute(SEEN).all() == before
    Ledger(shops, writer).publish("2024-01-06")  # and the nights go on


def test_a_dump_that_ends_between_two_statements_is_not_taken_for_a_whole_one(settings: Settings, tmp_path: Path) -> None:
    dies = tmp_path / "pg_restore"
    dies.write_text("#!/bin/sh\necho 'CREATE TABLE public.half (x int);'\necho 'pg_restore: error: read failed' >&2\nexit 1\n")
    dies.chmod(0o755)
    url = settings.database_url or ""
    with pytest.raises(StageFailed, match=r"pg_restore failed \(error: read failed\)"):
        pour(tmp_path / "any", tools=(dies, find_tool("psql", server=15)), before="", after="", url=url)
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('public.half')")
        assert cursor.fetchone() == (None,)


def test_a_backup_that_is_damaged_missing_or_of_a_newer_version_is_refused_before_anything_is_touched(backup: Backup) -> None:
    bytes_ = bytearray(backup.path.read_bytes())
    bytes_[len(bytes_) // 2] ^= 1
    backup.path.write_bytes(bytes_)
    with pytest.raises(SourceError, match="its bytes differ"):
        read_backup(backup.path)
    backup.path.unlink()
    with pytest.raises(SourceError, match=r"there is no .*house.dump"):
        read_backup(backup.path)
    manifest_of(backup.path).write_text("[1]")
    with pytest.raises(SourceError, match="no manifest of a backup"):
        read_backup(backup.path)
    with pytest.raises(EnvironmentRefused, match="no pg_dump for PostgreSQL 99"):
        find_tool("pg_dump", server=99)
