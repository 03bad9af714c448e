"""Law 2: at every instant, after a kill at any instruction, readers see one complete published batch per interval.

A reader polls all the while. Each kill is a real SIGKILL of a real process that takes a real night.
"""

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from deployments.catalogue import Definition
from domain.words import Stage
from infra.prefect_home import settings_environment
from infra.settings import Settings
from store.engine import create_engine, transaction

DAYS = ["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04"]
SEEN = """
SELECT interval_start, count(DISTINCT batch) AS batches, min(batch) AS batch, count(*) AS rows,
    (SELECT rows FROM reading.batch b WHERE b.id = min(p.batch)) AS promised,
    count(DISTINCT model_version) AS models
FROM shops.published p GROUP BY interval_start
"""
CONTENT = """
SELECT p.kind, p.interval_start, p.content_hash, p.rows, p.rejected FROM reading.published p ORDER BY 1, 2
"""


class Nights:
    """The process that takes nights and may be killed, and the questions a test asks of the ledger afterwards."""

    def __init__(self, settings: Settings, owner: sa.Engine) -> None:
        environment = {**os.environ, **settings_environment(settings), "OMP_NUM_THREADS": "1"}
        self.owner = owner
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.laws.zygote"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        assert self._answer() == "ready"

    def _answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def take(self, day: str, **death: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        print(json.dumps({"pipeline": "shops", "day": day, **death}), file=self.process.stdin, flush=True)
        return json.loads(self._answer())

    def finish(self, day: str) -> dict[str, Any]:
        """Takes the night to its end, which a kill before must not prevent."""
        told = self.take(day)
        assert told["signal"] == 0, told
        assert told["report"]["state"] in ("published", "skipped"), told["report"]["reason"]
        return told["report"]

    def content(self) -> list[Any]:
        with transaction(self.owner) as connection:
            return [tuple(line) for line in connection.execute(sa.text(CONTENT))]


class Poller(threading.Thread):
    """A reader that asks again and again, and keeps whatever it should never have seen."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.engine = create_engine(url, role="reader", pool_size=1)
        self.stopping, self.polls, self.faults = threading.Event(), 0, list[str]()
        self.known: set[object] = set()

    def run(self) -> None:
        while not self.stopping.wait(0.01):  # without a pause it would take a core from the nights that it watches
            with transaction(self.engine) as connection:
                lines = connection.execute(sa.text(SEEN)).all()
            self.polls += 1
            for line in lines:
                if line.batches != 1 or line.models != 1 or line.rows != line.promised:
                    self.faults.append(f"a mix: {line}")
            now = {line.interval_start for line in lines}
            if self.known - now:
                self.faults.append(f"a gap: {self.known - now}")
            self.known |= now

    def stop(self) -> None:
        self.stopping.set()
        self.join()
        self.engine.dispose()


@pytest.fixture
def nights(settings: Settings, owner: sa.Engine, shops: Definition, write_day: Callable[..., Path]) -> Iterator[Nights]:
    """Four nights, the last two of them with predictions."""
    for day in DAYS:
        write_day(day)
    taken = Nights(settings, owner)
    for day in DAYS:
        assert taken.finish(day)["state"] == "published"
    yield taken
    assert taken.process.stdin is not None
    taken.process.stdin.close()
    taken.process.wait()


@pytest.fixture
def poller(nights: Nights, role_url: Callable[[str], str]) -> Iterator[Poller]:
    reader = Poller(role_url("reader"))
    reader.start()
    yield reader
    reader.stop()
    assert reader.faults == []
    assert reader.polls > 5


def _edited(number: int) -> Callable[[list[str]], list[str]]:
    """The same day with one shop gone and a price changed: other input, so the whole night is done again."""
    return lambda lines: [*lines[:-1], f"s999,2024-01-04 09:00:00,north,{number % 100},1.5,{number % 3}"]


DEATHS: list[dict[str, Any]] = [{"die_before": stage} for stage in Stage] + [{"die_after": stage} for stage in Stage]


def test_a_kill_at_every_stage_boundary_leaves_readers_one_whole_batch(
    nights: Nights, poller: Poller, write_day: Callable[..., Path]
) -> None:
    for number, death in enumerate(DEATHS):
        before = nights.content()
        write_day("2024-01-04", change=_edited(number))
        assert nights.take("2024-01-04", **death)["signal"] == signal.SIGKILL
        if death.get("die_before") != Stage.OBSERVE and death.get("die_after") not in (Stage.PUBLISH, Stage.OBSERVE):
            assert nights.content() == before, f"readers saw something of a night that died {death}"
        nights.finish("2024-01-04")
        assert nights.content() != before


@pytest.mark.parametrize(
    ("first", "step"),
    [pytest.param(1, 9, id="every ninth"), pytest.param(2, 3, id="every third", marks=pytest.mark.slow(35))],
)
def test_a_kill_at_any_statement_leaves_readers_one_whole_batch(
    nights: Nights, poller: Poller, write_day: Callable[..., Path], first: int, step: int
) -> None:
    statement, killed = first, 0
    while True:
        write_day("2024-01-04", change=_edited(statement))
        if nights.take("2024-01-04", die_at_statement=statement)["signal"] == 0:
            break
        killed += 1
        statement += step
        if killed % 3 == 0:
            nights.finish("2024-01-04")
    assert killed * step > 20, "a night asks the database more than that"


@pytest.mark.parametrize("kills", [8, pytest.param(60, marks=pytest.mark.slow(30))])
def test_after_kills_at_random_instants_a_rerun_gives_what_a_quiet_run_gives(
    nights: Nights, poller: Poller, write_day: Callable[..., Path], kills: int
) -> None:
    write_day("2024-01-04", change=_edited(77))
    nights.finish("2024-01-04")
    quiet = nights.content()
    chance = random.Random(kills)
    for number in range(kills):
        write_day("2024-01-04", change=_edited(number if number < kills - 1 else 77))
        nights.take("2024-01-04", die_after_seconds=chance.uniform(0.02, 1.2))
    nights.finish("2024-01-04")
    assert nights.content() == quiet
