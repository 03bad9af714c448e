"""Law 8: the database carries the guarantees; rows and their ledger line commit together."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from domain.errors import StageFailed
from domain.words import Outcome
from store.engine import transaction
from tests.laws.conftest import House

LOADER = """
import sys, time
import sqlalchemy as sa
from domain.words import BatchKind
from store.batches import count_batch, open_batch
from store.engine import create_engine, transaction
from store.runs import load_run
engine = create_engine(sys.argv[1], role="writer")
with transaction(engine) as connection:
    run = load_run(connection, int(sys.argv[2]))
    batch = open_batch(connection, run, BatchKind.INPUT, columns=["shop"], fingerprint="f")
    connection.execute(sa.text(f"INSERT INTO {batch.schema}.{batch.table} (shop) VALUES ('a')"))
    count_batch(connection, batch.id, rows=1)
    print("loaded", flush=True)
    time.sleep(600)
"""


def test_a_kill_before_the_commit_leaves_neither_rows_nor_a_ledger_line(house: House, role_url: Callable[[str], str]) -> None:
    with house.run("2024-01-05") as run:
        process = subprocess.Popen(
            [sys.executable, "-c", LOADER, role_url("writer"), str(run.id)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "loaded\n"
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        with transaction(house.writer) as connection:
            batches = connection.scalar(sa.text("SELECT count(*) FROM overnight.batch"))
            tables = connection.scalar(sa.text("SELECT count(*) FROM pg_tables WHERE tablename ~ '_[0-9]+$'"))
    assert (batches, tables) == (0, 0)


@pytest.mark.parametrize("outcome", [Outcome.HELD, None])
def test_a_batch_without_a_good_verdict_cannot_be_published(house: House, outcome: Outcome | None) -> None:
    with house.run("2024-01-05") as run:
        house.seal(run, house.load(run, 2), outcome=outcome)
        with pytest.raises(StageFailed, match="may not be published: its verdict is"):
            house.publish(run)


def test_a_batch_that_is_not_sealed_cannot_be_published(house: House) -> None:
    with house.run("2024-01-05") as run:
        house.load(run, 2)
        with pytest.raises(StageFailed, match="loaded"):
            house.publish(run)


def test_the_writer_cannot_move_a_pointer_by_hand(house: House) -> None:
    for change in (
        "DELETE FROM overnight.pointer",
        "UPDATE overnight.pointer SET batch = 1",
        "DELETE FROM overnight.publication",
    ):
        with pytest.raises(StageFailed, match="permission denied"), transaction(house.writer) as connection:
            connection.execute(sa.text(change))
