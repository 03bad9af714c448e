"""What is done to the copy, one thing after the other, each in a database of its own; and what held afterwards."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import sleep
from typing import Any

from psycopg2 import sql

from domain.errors import DatabaseUnavailable
from domain.words import Stage
from infra.postgres import find_server, start_server
from infra.prefect_home import settings_environment
from infra.settings import Settings
from tasks.drill.copy import Copy
from tasks.drill.damage import DAMAGES
from tasks.drill.guarantees import GUARANTEES, check_guarantees, content_of
from tasks.drill.reader import Poller
from tasks.drill.small_disk import NoSmallDisk, small_disk

Said = dict[str, Any]
FINISHES_WITHIN = 6  # tries of the next run, while a database that was cut comes back


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the drill's table. `broke` names each guarantee that did not hold, with how; `skipped` says why nothing was
    done; `polls` counts how often the reader asked meanwhile."""

    scenario: str
    did: str = ""
    broke: dict[str, str] = field(default_factory=dict)
    skipped: str = ""
    polls: int = 0

    def to_json(self) -> dict[str, Any]:
        held = {name: "skipped" if self.skipped else "broke" if name in self.broke else "held" for name in GUARANTEES}
        return {**asdict(self), "guarantees": held}


class Hand:
    """The process that takes nights and may be killed."""

    def __init__(self, copy: Copy) -> None:
        self._copy = copy
        reading, writing = os.pipe()
        environment = {**os.environ, **settings_environment(copy.settings), "OMP_WAIT_POLICY": "PASSIVE"}
        environment.pop("OVERNIGHT_DATABASE_URL", None)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tasks.drill.hand", str(writing)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
            pass_fds=[writing], env=environment,
        )  # fmt: skip
        os.close(writing)
        self._answers = os.fdopen(reading)
        self._ready = False

    def take(self, settings: Settings, night: str, **how: Any) -> Said:
        """One night on one database; `how` may ask for its death."""
        if not self._ready:
            self._answers.readline()
            self._ready = True
        urls = {name: getattr(settings, name) for name in ("database_url", "writer_url", "reader_url")}
        order = {"pipeline": self._copy.definition.pipeline.name, "night": night, "settings": urls, **how}
        assert self._process.stdin is not None
        print(json.dumps(order), file=self._process.stdin, flush=True)
        line = self._answers.readline()
        if not line:
            raise DatabaseUnavailable("the drill's own process has died", hint="overnight doctor")
        said: Said = json.loads(line)
        return said

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        self._answers.close()


class Drill:
    """Everything that the scenarios share. `kills` is how many random kills there are, `seed` makes them the same again."""

    def __init__(self, copy: Copy, hand: Hand, *, kills: int, seed: int) -> None:
        self.copy, self.hand, self.kills = copy, hand, kills
        self.chance = random.Random(seed)  # noqa: S311  # no secret: it decides when to kill
        self.name = copy.definition.pipeline.name
        self.quiet: list[tuple[Any, ...]] = []
        self.seconds = 1.0
        self._number = 0

    def prepare(self) -> Said:
        """The nights before the last, and a database with a quiet run of the last: what all others are compared with. Where the
        source is a file, readers have an older version of the last night already, so that each drill is a correction."""
        base = self.copy.make_base()
        label = self.copy.definition.pipeline.calendar.label
        for night in self.copy.nights[:-1]:
            said = self.hand.take(base, label(night))
            if said.get("exit_code") != 0:
                return said
        with self._older_source():
            self.hand.take(base, self.copy.last)
        here = self._database()
        said = self.hand.take(here, self.copy.last, retrain=True)
        self.quiet, self.seconds = content_of(here, self.name), said["seconds"]
        return said

    @contextmanager
    def _older_source(self) -> Iterator[None]:
        """The last night's files without their last row, where rows are lines."""
        kept = {path: path.read_bytes() for path in self.copy.files}
        for path, content in kept.items():
            if path.suffix in (".csv", ".jsonl", ".txt"):
                path.write_bytes(content[: content.rstrip(b"\n").rfind(b"\n") + 1])
        try:
            yield
        finally:
            for path, content in kept.items():
                path.write_bytes(content)

    def _database(self, **how: Any) -> Settings:
        self._number += 1
        return self.copy.make_database(f"drill_{self._number}", **how)

    def run(self) -> Iterator[Finding]:
        """Every scenario in turn."""
        yield self._judge("killed at each stage boundary", self._kill_at_boundaries)
        yield self._judge("killed at random instants", self._kill_at_random)
        yield self._judge("database cut", self._cut_database)
        yield self._fill_disk()
        for title, damage in DAMAGES.items():
            yield self._corrupt(title, damage)

    def _judge(self, title: str, do: Callable[[Settings], str], **how: Any) -> Finding:
        """Breaks something while a reader asks, lets the next run finish, and asks for every guarantee."""
        here = self._database(**how)
        poller = Poller(here, self.name)
        poller.start()
        try:
            did = do(here)
            unfinished = self._finish(here)
            sleep(0.05)
        finally:
            poller.stop()
        broke = check_guarantees(here, self.name, quiet=self.quiet)
        broke["whole"] = poller.faults[0] if poller.faults else "" if poller.polls else "the reader was never answered"
        broke["again"] = unfinished or broke["again"]
        self.copy.drop_database((here.writer_url or "").partition("?")[0].rpartition("/")[2])
        return Finding(title, did, {name: why for name, why in broke.items() if why}, polls=poller.polls)

    def _finish(self, here: Settings) -> str:
        """Takes the night to its end, as the next run does; the sentence why it cannot be, empty when it ended."""
        for _ in range(FINISHES_WITHIN):
            said = self.hand.take(here, self.copy.last, retrain=True)
            if said.get("exit_code") == 0:
                return ""
            sleep(0.5)
        return f"the night could not be finished: {said.get('error') or said.get('report', {}).get('reason') or said}"

    def _kill_at_boundaries(self, here: Settings) -> str:
        """One run after the other dies one boundary later than the one before."""
        deaths = [{when: str(stage)} for stage in Stage for when in ("die_before", "die_after")]
        for death in deaths:
            self.hand.take(here, self.copy.last, retrain=True, **death)
        return f"{len(deaths)} SIGKILLs"

    def _kill_at_random(self, here: Settings) -> str:
        killed = 0
        for _ in range(self.kills):
            after = self.chance.uniform(0.01, self.seconds)
            killed += self.hand.take(here, self.copy.last, retrain=True, die_after_seconds=after)["signal"] == signal.SIGKILL
        return f"{killed} SIGKILLs"

    def _cut_database(self, here: Settings) -> str:
        """The server is ended as by a power cut, twice, in the middle of a night, and comes back."""
        for _ in range(2):
            cut = threading.Timer(self.chance.uniform(0.1, self.seconds), self._cut)
            cut.start()
            self.hand.take(here, self.copy.last, retrain=True)
            cut.join()
        return "2 immediate shutdowns of Postgres"

    def _cut(self) -> None:
        folder = self.copy.settings.postgres_folder
        server = find_server(folder)
        if server is not None:
            os.kill(server.pid, signal.SIGQUIT)
            while find_server(folder) is not None:
                sleep(0.02)
        start_server(folder)

    def _fill_disk(self) -> Finding:
        """The database's disk takes nothing more, then has room again."""
        title = "disk full"
        size = self.copy.execute(sql.SQL("SELECT pg_database_size('base')"))[0]
        try:
            with small_disk(self.copy, size=size) as disk:

                def fill(here: Settings) -> str:
                    disk.fill()
                    said = self.hand.take(here, self.copy.last, retrain=True)
                    disk.free()
                    if said.get("exit_code") == 0:
                        raise NoSmallDisk("the night fitted on the full disk, so nothing was tried")
                    return str(said.get("error") or said["report"]["reason"])

                return self._judge(title, fill, tablespace=disk.tablespace)
        except NoSmallDisk as error:
            return Finding(title, skipped=str(error))

    def _corrupt(self, title: str, damage: Callable[[Path, Any], bool]) -> Finding:
        """The file comes damaged, then whole. A damaged one is refused or held, or what did not fit is counted and told."""
        if not self.copy.files:
            return Finding(title, skipped="the source is no file of this machine")
        path, told = self.copy.files[-1], ""
        content = path.read_bytes()

        def take_damaged(here: Settings) -> str:
            nonlocal told
            before = content_of(here, self.name)
            said = self.hand.take(here, self.copy.last)
            path.write_bytes(content)
            report = said.get("report", {})
            if said.get("exit_code") == 0 and report.get("rows", {}).get("rejected", 0) == 0:
                told = "damaged rows were published without a word"
            elif said.get("exit_code") != 0 and content_of(here, self.name) != before:
                told = "readers got something of a night that was refused"
            return f"{report.get('state', 'refused')}: {report.get('reason') or said.get('error')}"

        try:
            if not damage(path, self.copy.definition.pipeline):
                return Finding(title, skipped="the source's rows are no plain lines of text")
            found = self._judge(title, take_damaged)
        finally:
            path.write_bytes(content)
        return Finding(found.scenario, found.did, found.broke | ({"told": told} if told else {}), polls=found.polls)
