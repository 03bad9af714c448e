"""SIGKILL of the run, the worker, Prefect's server and Postgres in turn, at random instants, while nights of real flights are
taken one after the other through `overnight up` and a reader asks; the same nights quietly before. `python -m bench.kills`.

It stands for the machine's init system, which starts `overnight up` again when it ends, and for whoever asks for a night again
that three attempts did not bring to its end. It prints one JSON object, and exits 1 when anything did not hold.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import psutil
import sqlalchemy as sa

from deployments.catalogue import Definition
from domain.errors import OvernightError
from infra.airline import drop_flights
from infra.postgres import database_url, find_server, stop_server
from infra.prefect_api import FlowRun, PrefectApi
from infra.prefect_home import clean_environment, settings_environment
from infra.services import PROJECT
from infra.settings import Settings
from store.engine import create_engine, transaction
from tasks.drill.guarantees import check_guarantees, content_of
from tasks.drill.reader import Poller
from tasks.night import take_night
from tasks.prepare import prepare

PIPELINE, PORT = "flights", 4396
TARGETS = ("run", "worker", "server", "postgres")
UP = "from cli.main import main; main()"
_COMMANDS = {"worker": "worker start", "server": "server start"}
_RUNNING = "SELECT holder->>'pid' FROM overnight.run WHERE state = 'running' ORDER BY id DESC LIMIT 1"
_PUBLISHED = """
SELECT EXISTS (SELECT FROM overnight.pointer WHERE pipeline = :pipeline AND kind = 'input' AND interval_start = :start)
    AND NOT EXISTS (SELECT FROM overnight.run WHERE pipeline = :pipeline AND interval_start = :start AND state = 'running')
    AND EXISTS (SELECT FROM overnight.run WHERE pipeline = :pipeline AND interval_start = :start
        AND state IN ('published', 'skipped'))
"""


@dataclass
class House:
    """`overnight up` in a home of its own, kept running."""

    settings: Settings
    log: Path
    process: "subprocess.Popen[bytes] | None" = None
    starts: int = 0

    def keep(self) -> None:
        if self.process is None or self.process.poll() is not None:
            environment = {**clean_environment(), **settings_environment(self.settings), "PYTHONPATH": str(PROJECT)}
            with self.log.open("ab") as log:
                self.process = subprocess.Popen(
                    [sys.executable, "-c", UP, "up"],
                    env=environment,
                    cwd=PROJECT,
                    stdout=log,
                    stderr=log,
                    stdin=subprocess.DEVNULL,
                )
            self.starts += 1

    def process_of(self, target: str) -> int | None:
        """The number of a part's process, among the children of `overnight up`."""
        if target == "postgres":
            server = find_server(self.settings.postgres_folder)
            return server.pid if server else None
        with suppress(psutil.Error):
            for child in psutil.Process(self.process.pid).children(recursive=True) if self.process else []:
                if _COMMANDS[target] in " ".join(child.cmdline()):
                    return child.pid
        return None

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(90)
            except subprocess.TimeoutExpired:
                self.process.kill()
        if find_server(self.settings.postgres_folder) is not None:
            stop_server(self.settings.postgres_folder)


@dataclass
class Storm:
    """Kills in turn, as many in each night; one that finds nothing to kill waits for it."""

    house: House
    chance: random.Random
    most: int
    killed: Counter[str] = field(default_factory=Counter)
    due: float = 0.0

    def blow(self, *, share: float) -> None:
        """Kills if it is time, and no more than this share of all kills has been."""
        if self.killed.total() >= self.most * share or monotonic() < self.due:
            return
        target = TARGETS[self.killed.total() % len(TARGETS)]
        victim = self._running() if target == "run" else self.house.process_of(target)
        if victim is None:
            return
        with suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
            self.killed[target] += 1
            print(f"{monotonic():.0f} kill {self.killed.total()} of {self.most}: {target}", file=sys.stderr)
        self.due = monotonic() + self.chance.uniform(0.5, 6)

    def _running(self) -> int | None:
        found = ask(self.house.settings, _RUNNING)
        return int(found) if found else None


def ask(settings: Settings, query: str, **values: object) -> Any:
    """One value from the ledger, None while it does not answer."""
    if find_server(settings.postgres_folder) is None:
        return None
    try:
        engine = create_engine(database_url(settings, role="writer"), role="writer", pool_size=1)
        with transaction(engine) as connection:
            return connection.scalar(sa.text(query), values)
    except OvernightError:
        return None
    finally:
        with suppress(UnboundLocalError):
            engine.dispose()


def brave(house: House, definition: Definition, storm: Storm, *, nights: list[Any], deadline: float) -> int:
    """Asks for each night until it is published, as the schedule would; returns how often it had to ask."""
    asked = 0
    with PrefectApi(f"http://127.0.0.1:{PORT}/api", timeout=5) as api:
        for number, night in enumerate(nights, start=1):
            label = definition.pipeline.calendar.label(night)
            run: FlowRun | None = None
            while not ask(house.settings, _PUBLISHED, pipeline=PIPELINE, start=night.start):
                if monotonic() > deadline:
                    return asked
                house.keep()
                storm.blow(share=number / len(nights))
                with suppress(OvernightError):
                    run = api.read_run(run.id) if run else None
                    if run is None or (run.is_final and not _comes_back(run)):
                        run = api.create_run(PIPELINE, interval=label)
                        asked += 1
                sleep(0.2)
            print(f"{monotonic():.0f} {label} is published", file=sys.stderr)
    return asked


def _comes_back(run: FlowRun) -> bool:
    """A crashed run is tried again by the house itself, a few times."""
    return run.state == "CRASHED" and run.attempts < 3


def measure(*, kills: int, nights: int, seed: int, at_most: float) -> dict[str, Any]:
    with _home("storm") as settings, _home("quiet") as calm:
        (definition,) = prepare(calm, PIPELINE)
        wanted = [definition.pipeline.calendar.first]
        while len(wanted) < nights:
            wanted.append(definition.pipeline.calendar.after(wanted[-1]))
        for night in wanted:
            take_night(definition, night, calm, trigger="command")
        quiet = content_of(_with_urls(calm), PIPELINE)
        stop_server(calm.postgres_folder)
        prepare(settings, PIPELINE)
        house = House(settings, settings.home / "up.log")
        storm, poller = Storm(house, random.Random(seed), kills), Poller(_with_urls(settings), PIPELINE)
        began = monotonic()
        poller.start()
        try:
            asked = brave(house, definition, storm, nights=wanted, deadline=began + at_most)
            seconds, stuck = monotonic() - began, _wait_for_calm(house)
            broke = check_guarantees(_with_urls(settings), PIPELINE, quiet=quiet)
        finally:
            poller.stop()
            house.stop()
        broke |= {"whole": "; ".join(poller.faults[:3]), "slots": stuck}
    return {
        "kills": storm.killed.total(), "by_target": dict(storm.killed), "nights": nights, "published": len({q[1] for q in quiet}),
        "seconds": round(seconds), "asked": asked, "starts_of_up": house.starts, "polls": poller.polls, "away": poller.away,
        "broke": {name: why for name, why in broke.items() if why},
    }  # fmt: skip


def _wait_for_calm(house: House, *, within: float = 200.0) -> str:
    """Whether the house gets rid of every run that was left open, here and in Prefect, by itself."""
    ends, left = monotonic() + within, "Prefect's server never answered"
    while monotonic() < ends:
        house.keep()
        with suppress(OvernightError), PrefectApi(f"http://127.0.0.1:{PORT}/api", timeout=5) as api:
            runs = [run.name for run in api.unfinished_runs()]
            held = ask(house.settings, "SELECT count(*) FROM overnight.run WHERE state = 'running'")
            left = f"still open in Prefect: {', '.join(runs)}; in the ledger: {held}" if runs or held != 0 else ""
            if not left:
                return ""
        sleep(1)
    return left


def _with_urls(settings: Settings) -> Settings:
    urls = {"database_url": "admin", "writer_url": "writer", "reader_url": "reader"}
    return settings.model_copy(update={name: database_url(settings, role=role) for name, role in urls.items()})  # type: ignore[arg-type]


@contextmanager
def _home(name: str) -> Iterator[Settings]:
    with tempfile.TemporaryDirectory(prefix=f"ov-{name}", ignore_cleanup_errors=True) as folder:
        here = Path(folder)
        here.chmod(0o755)
        shutil.copytree(PROJECT / "deployments" / PIPELINE, here / "deployments" / PIPELINE)
        settings = Settings(home=here / "home", deployments=here / "deployments", prefect_port=PORT, web_port=PORT + 1)
        drop_flights(settings.data_folder / PIPELINE)
        try:
            yield settings
        finally:
            if find_server(settings.postgres_folder) is not None:
                stop_server(settings.postgres_folder)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--nights", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--at-most", type=float, default=4 * 3600.0, help="seconds")
    arguments = parser.parse_args()
    found = measure(kills=arguments.kills, nights=arguments.nights, seed=arguments.seed, at_most=arguments.at_most)
    print(json.dumps(found, indent=2))
    return 1 if found["broke"] else 0


if __name__ == "__main__":
    sys.exit(main())
