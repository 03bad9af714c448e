"""Law 6: one writer per (pipeline, interval), held in Postgres, freed when the holder dies, and fenced afterwards."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from domain.errors import Fenced, LockHeld
from domain.words import Stage
from store.engine import transaction
from store.runs import begin_stage
from tests.laws.conftest import House
from tests.patience import wait_for

HOLDER = """
import sys, time
from datetime import datetime
from domain.interval import Interval
from store.engine import create_engine
from store.runs import claim
engine = create_engine(sys.argv[1], role="writer")
interval = Interval(datetime.fromisoformat(sys.argv[2]), datetime.fromisoformat(sys.argv[3]))
with claim(engine, "shops", interval, trigger="test", holder={"pid": 4711, "host": "elsewhere"}) as run:
    print(run.id, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def other_process(house: House, role_url: Callable[[str], str]) -> Callable[[str], tuple[subprocess.Popen[str], int]]:
    def start(day: str) -> tuple[subprocess.Popen[str], int]:
        night = house.night(day)
        arguments = [role_url("writer"), night.start.isoformat(), night.end.isoformat()]
        process = subprocess.Popen([sys.executable, "-c", HOLDER, *arguments], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        return process, int(process.stdout.readline())

    return start


def test_the_second_run_of_a_night_is_told_who_holds_it(house: House) -> None:
    with (
        house.run("2024-01-05") as first,
        pytest.raises(LockHeld, match=f"run {first.id} holds this night since"),
        house.run("2024-01-05"),
    ):
        pass


def test_other_nights_are_free(house: House) -> None:
    with house.run("2024-01-05"), house.run("2024-01-06") as second:
        assert second.id


def test_a_killed_holder_frees_the_night_and_its_run_is_closed_as_crashed(house: House, other_process: Callable) -> None:
    process, dead_run = other_process("2024-01-05")
    with pytest.raises(LockHeld, match="process 4711 on elsewhere"), house.run("2024-01-05"):
        pass
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    run = wait_for(lambda: _claim(house, "2024-01-05"))
    with transaction(house.writer) as connection:
        state = connection.scalar(sa.text("SELECT state FROM overnight.run WHERE id = :id"), {"id": dead_run})
    assert state == "crashed"
    assert run > dead_run


def _claim(house: House, day: str) -> int:
    """The new run's number; 0 while the lock is held: Postgres notices a dead client when the kernel has told it."""
    try:
        with house.run(day) as run:
            return run.id
    except LockHeld:
        return 0


def test_a_run_that_lost_its_night_can_finish_nothing(house: House, owner: sa.Engine) -> None:
    with house.run("2024-01-05") as run:
        batch = house.load(run, 2)
        with transaction(owner) as connection:
            connection.execute(
                sa.text("UPDATE overnight.run SET state = 'crashed', ended_at = now() WHERE id = :id"), {"id": run.id}
            )
        with pytest.raises(Fenced, match="is crashed"):
            house.seal(run, batch)
        with pytest.raises(Fenced, match="is crashed"):
            house.publish(run)
        with pytest.raises(Fenced, match="is crashed"):
            house.load(run, 2)
        with pytest.raises(Fenced, match="is crashed"):
            begin_stage(house.writer, run.id, Stage.TRAIN)
