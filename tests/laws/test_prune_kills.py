"""Laws 2 and 8 for pruning: killed at any instant, each batch is whole or gone with a tombstone, and readers notice nothing."""

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

sys.path.insert(0, str(Path(__file__).parents[1] / "web"))
from bookkeeping import Ledger

from deployments.catalogue import Definition, load_definition
from infra.prefect_home import settings_environment
from infra.settings import Settings
from store.engine import create_engine, parse_url, transaction
from store.pipelines import register

# Prunes all that may go, and kills itself before or after the statement of that number.
PRUNER = """
import os, signal, sys
from datetime import UTC, datetime
import sqlalchemy as sa
from deployments.catalogue import load_definition
from infra.settings import load_settings
from tasks.pruning import plan, prune

limit, seen = int(sys.argv[1]), 0
def count(*_):
    global seen
    seen += 1
    if seen == limit:
        os.kill(os.getpid(), signal.SIGKILL)
for event in ("before_cursor_execute", "after_cursor_execute", "commit"):
    sa.event.listen(sa.Engine, event, count)
settings = load_settings()
definition = load_definition(settings.deployments, "shops")
print("begins", flush=True)
for deed in prune(definition, settings, plan(definition, settings, at=datetime.now(UTC)), who="ada"):
    assert not deed.stays or "reading" in deed.stays, deed.stays
"""
STATES = """
SELECT b.id, b.state, to_regclass('overnight_shops.' || CASE b.kind WHEN 'input' THEN 'landed_' ELSE 'predictions_' END || b.id)
    IS NOT NULL AS has_rows, to_regclass('overnight_shops.rejected_' || b.id) IS NOT NULL AS has_rejects,
    EXISTS (SELECT FROM overnight.pruning d WHERE d.batch = b.id AND d.part = 'rows') AS told,
    EXISTS (SELECT FROM overnight.pruning d WHERE d.batch = b.id AND d.part = 'rejected') AS told_of_rejects, b.kind
FROM overnight.batch b ORDER BY b.id
"""
SEEN = "SELECT interval_start, batch, count(*), sum(probability), sum(stock) FROM shops.published GROUP BY 1, 2 ORDER BY 1"
NIGHTS, TIMES = ["2024-01-03", "2024-01-04"], 4


@pytest.fixture
def house(shops: Definition, settings: Settings, owner: sa.Engine, writer: sa.Engine, database: str) -> Definition:
    """Two published nights, each of which was replaced several times, long ago."""
    path = settings.deployments / "shops" / "pipeline.yaml"
    path.write_text(path.read_text() + "keep: {batches: 10 days, rejected: 5 days, training: none}\n")
    definition = load_definition(settings.deployments, "shops")
    register(owner, definition.pipeline, expectations=[])
    ledger = Ledger(definition, writer)
    model = ledger.train("2024-01-03")
    for time in range(TIMES):
        for night in NIGHTS:
            ledger.publish(night, model=model, salt=str(time), rows=40 + time)
    engine = sa.create_engine(parse_url(database), poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text("SET LOCAL session_replication_role = replica"))
        connection.execute(sa.text("UPDATE overnight.batch SET sealed_at = sealed_at - interval '20 days'"))
        connection.execute(sa.text("UPDATE overnight.publication SET at = at - interval '20 days'"))
    return definition


class Watcher(threading.Thread):
    """A reader who asks again and again for what is published, and keeps each answer that is not the first one."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.engine, self.stopping, self.polls = create_engine(url, role="reader", pool_size=1), threading.Event(), 0
        self.first = self._ask()
        self.others: list[Any] = []

    def _ask(self) -> list[Any]:
        with transaction(self.engine) as connection:
            return [tuple(line) for line in connection.execute(sa.text(SEEN))]

    def run(self) -> None:
        while not self.stopping.wait(0.01):  # without a pause it would take a core from the pruning that it watches
            seen = self._ask()
            self.polls += 1
            if seen != self.first:
                self.others.append(seen)


@pytest.fixture
def watcher(house: Definition, role_url: Callable[[str], str]) -> Iterator[Watcher]:
    reader = Watcher(role_url("reader"))
    reader.start()
    yield reader
    reader.stopping.set()
    reader.join()
    reader.engine.dispose()
    assert reader.first
    assert reader.others == []
    assert reader.polls > 20


def prune_in_a_process(settings: Settings, *, at_statement: int = 0, after: float | None = None) -> int:
    environment = {**os.environ, **settings_environment(settings), "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen([sys.executable, "-c", PRUNER, str(at_statement)], env=environment, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    try:
        return process.wait(after)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        return process.wait()


def check_whole(owner: sa.Engine) -> int:
    """Every batch is whole, or gone and told; returns how many have gone."""
    with transaction(owner) as connection:
        lines = connection.execute(sa.text(STATES)).all()
    for line in lines:
        gone = line.state == "dropped"
        assert line.has_rows is not gone, line
        assert line.told is gone, line
        assert line.has_rejects is (line.kind == "input" and not line.told_of_rejects), line
    return sum(line.state == "dropped" for line in lines)


@pytest.mark.parametrize("kills", [4, pytest.param(40, marks=pytest.mark.slow(35))])
def test_a_kill_while_pruning_leaves_each_batch_whole_or_gone(
    house: Definition, settings: Settings, owner: sa.Engine, watcher: Watcher, kills: int
) -> None:
    chance = random.Random(kills)
    died = 0
    for number in range(kills):
        if number % 2:
            died += prune_in_a_process(settings, after=chance.uniform(0, 0.15)) == -signal.SIGKILL
        else:
            died += prune_in_a_process(settings, at_statement=chance.randint(3, 14)) == -signal.SIGKILL
        check_whole(owner)
    assert died >= 2, "hardly any of the kills came before the end"
    while prune_in_a_process(settings):
        pass
    assert check_whole(owner) == 2 * len(NIGHTS) * (TIMES - 1)
