"""Nights side by side: processes that take one each, oldest first, and are given their turns so that the result is that of
one after the other.

A night's rows are taken in and validated without a turn, unless its suite compares it with the nights before. It goes on to
its training when every earlier night's training has ended, waits until they are published if it may train itself, and
publishes behind them. So the model that scores, what it has learned from, and what a night is compared with before readers
get it are the same as with one lane.
"""

import json
import logging
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from selectors import EVENT_READ, DefaultSelector
from typing import Any

from deployments.catalogue import Definition
from domain.errors import OvernightError
from domain.interval import Interval
from domain.planning import ModelMode
from domain.report import NightReport
from infra.prefect_home import settings_environment
from infra.settings import Settings
from store.recovery import close_dead_runs
from tasks.context import writer_engine
from tasks.lane import ALONE, PUBLISH, TRAIN
from tasks.night import whoami
from tasks.recovery import is_holder_alive

ATTEMPTS_AT_MOST = 2  # of a night whose process dies
LOOK_EVERY = 2.0  # seconds between two looks for the right of way
ENDS_WITHIN = 30.0  # seconds for a lane that is stopped to close its run
log = logging.getLogger("overnight.night")


@dataclass(slots=True)
class _Lane:
    """A process, the night that it is at (its place in the order), and the gate that it waits before."""

    process: "subprocess.Popen[str]"
    answers: int
    place: int | None = None
    gate: str = ""
    unread: bytes = b""

    def hear(self) -> list[str] | None:
        """The whole lines that have come, None when the other side is gone. Not through a file: what it had read ahead, no
        selector would tell of."""
        found = os.read(self.answers, 1 << 20)
        *lines, self.unread = (self.unread + found).split(b"\n")
        return [line.decode() for line in lines] if found else None

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        with suppress(OSError):  # a lane that died says so by the end of its answers
            print(line, file=self.process.stdin, flush=True)


class Lanes:
    """Made and used by `take_side_by_side`."""

    def __init__(
        self,
        definition: Definition,
        nights: Sequence[Interval],
        settings: Settings,
        *,
        order: Mapping[str, Any],
        may_begin: Callable[[], bool],
    ) -> None:
        self.definition, self.nights, self.settings, self.order = definition, nights, settings, order
        self.may_begin = may_begin
        self.waiting = deque(range(len(nights)))
        self.passed: dict[str, set[int]] = {TRAIN: set(), PUBLISH: set()}
        self.attempts = [0] * len(nights)
        self.lanes: list[_Lane] = []
        self.selector = DefaultSelector()

    def open(self, count: int) -> None:
        for _ in range(min(count, len(self.nights))):
            self._open_one()

    def _open_one(self) -> None:
        reading, writing = os.pipe()
        process = subprocess.Popen(
            [sys.executable, "-m", "tasks.lane", str(writing)], stdin=subprocess.PIPE, text=True, pass_fds=[writing],
            stdout=subprocess.DEVNULL, env={**os.environ, **settings_environment(self.settings)}, start_new_session=True,
        )  # fmt: skip
        os.close(writing)
        lane = _Lane(process, reading)
        self.lanes.append(lane)
        self.selector.register(lane.answers, EVENT_READ, lane)

    def run(self) -> Iterator[NightReport]:
        while self.waiting or any(lane.place is not None for lane in self.lanes):
            self._hand_out()
            for key, _ in self.selector.select(LOOK_EVERY):
                yield from self._hear(key.data)
            self._open_gates()

    def _hand_out(self) -> None:
        for lane in self.lanes:
            if lane.place is None and self.waiting and self.may_begin():
                lane.place, lane.gate = self.waiting.popleft(), ""
                self.attempts[lane.place] += 1
                night = self.definition.pipeline.calendar.label(self.nights[lane.place])
                lane.tell(json.dumps({**self.order, "night": night}))

    def _hear(self, lane: _Lane) -> Iterator[NightReport]:
        lines = lane.hear()
        if lines is None:
            yield from self._bury(lane)
        for line in lines or []:
            yield from self._heed(lane, json.loads(line))

    def _heed(self, lane: _Lane, said: Mapping[str, Any]) -> Iterator[NightReport]:
        assert lane.place is not None
        if "asks" in said:
            lane.gate = said["asks"]
        elif "passed" in said:
            self.passed[said["passed"]].add(lane.place)
        else:
            place, lane.place = lane.place, None
            self._pass_all(place)
            if "report" in said:
                yield NightReport.from_json(said["report"], exit_code=said["exit_code"])
            else:
                yield self._failure(place, said["error"], exit_code=said["exit_code"])

    def _bury(self, lane: _Lane) -> Iterator[NightReport]:
        """A lane that died is replaced; its night is taken again, in its old place, once."""
        self.selector.unregister(lane.answers)
        os.close(lane.answers)
        lane.process.wait()
        self.lanes.remove(lane)
        self._open_one()
        if lane.place is None:
            return
        with suppress(OvernightError):  # whoever takes the night over closes it too
            close_dead_runs(writer_engine(self.settings), is_alive=is_holder_alive)
        if self.attempts[lane.place] < ATTEMPTS_AT_MOST:
            self.waiting.appendleft(lane.place)
            return
        self._pass_all(lane.place)
        yield self._failure(lane.place, "the process that took it ended without a word", exit_code=1)

    def _pass_all(self, place: int) -> None:
        for done in self.passed.values():
            done.add(place)

    def _failure(self, place: int, why: str, *, exit_code: int) -> NightReport:
        return NightReport.without_run(self.definition.pipeline.name, self.nights[place], why, exit_code=exit_code)

    def _open_gates(self) -> None:
        for lane in self.lanes:
            if lane.gate and lane.place is not None and self._is_open(lane.gate, lane.place):
                lane.gate = ""
                lane.tell("go")

    def _is_open(self, gate: str, place: int) -> bool:
        done = self.passed[TRAIN if gate == TRAIN else PUBLISH]
        assert gate in (TRAIN, ALONE, PUBLISH)
        return all(earlier in done for earlier in range(place))

    def close(self) -> None:
        """Ends every lane: one that is at a night is stopped as by Ctrl-C, so that it closes its run and frees its night."""
        for lane in self.lanes:
            if lane.place is not None:
                lane.process.send_signal(signal.SIGTERM)
            assert lane.process.stdin is not None
            with suppress(OSError):
                lane.process.stdin.close()
        for lane in self.lanes:
            try:
                lane.process.wait(ENDS_WITHIN)
            except subprocess.TimeoutExpired:
                lane.process.kill()
                lane.process.wait()
            os.close(lane.answers)
        self.selector.close()


def take_side_by_side(
    definition: Definition,
    nights: Sequence[Interval],
    settings: Settings,
    *,
    lanes: int,
    trigger: str,
    model: ModelMode = "as-due",
    holder: Mapping[str, Any] | None = None,
    may_begin: Callable[[], bool] = lambda: True,
) -> Generator[NightReport, None, None]:
    """Takes the nights, which must be oldest first, at most `lanes` at a time; yields each one's report as it ends.

    `may_begin` is asked before each night, and again later when it says no. Closing the generator, or a signal, stops what is
    under way.
    """
    who = {key: value for key, value in (holder or {}).items() if key != "born"} | {"leader": whoami()}
    order = {"pipeline": definition.pipeline.name, "trigger": trigger, "model": model, "holder": who}
    taking = Lanes(definition, nights, settings, order=order, may_begin=may_begin)
    try:
        taking.open(lanes)
        yield from taking.run()
    finally:
        taking.close()


def lanes_for(definition: Definition, asked: int) -> int:
    """Snapshots are told by what changed since the one before, so they are taken one by one."""
    return 1 if definition.pipeline.source.mode == "snapshot" else max(1, asked)
