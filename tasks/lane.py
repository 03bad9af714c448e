"""`python -m tasks.lane FD`: takes one night after the other, as a backfill with `--parallel` tells it on standard input.

Rows are taken in, and validated if no expectation looks back, whenever there is time; training, scoring and publishing wait for
their turn, so that the nights side by side come out as they do one by one. What is said goes to the file descriptor FD, a JSON
object a line: `{"asks": gate}` waits for a line in answer, `{"passed": gate}` does not, `{"report": …}` or `{"error": …}` ends a
night.
"""

import json
import logging
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from time import sleep
from typing import Any

import sqlalchemy as sa

from deployments.catalogue import Definition, load_definition
from domain.errors import LockHeld, OvernightError
from domain.interval import Interval
from domain.planning import RETRY_DELAYS, ModelMode
from domain.report import NightReport, StageReport
from domain.words import Stage
from infra.settings import Settings, load_settings
from store.engine import transaction
from store.models import champion_for, newest_trained
from tasks.context import writer_engine
from tasks.expectations import allow_preload
from tasks.expectations.history import EXPECTATIONS
from tasks.night import StageCall, take_night
from tasks.runners import runner_for
from tasks.stopping import stopping_between_imports

TRAIN, ALONE, PUBLISH = "train", "alone", "publish"  # the gates: behind earlier nights' training, their publishing, and again
PATIENCE = (1.0, 2.0, 4.0, 8.0, 16.0)  # seconds, as Postgres may need to free the lock of a process that died
log = logging.getLogger("overnight.night")


class Lane:
    """One end of the conversation."""

    def __init__(self, descriptor: int, settings: Settings) -> None:
        self.settings = settings
        self._answers = os.fdopen(descriptor, "w", buffering=1)

    def say(self, **what: Any) -> None:
        with suppress(BrokenPipeError):  # nobody listens any more, which the next question finds out
            print(json.dumps(what, default=str), file=self._answers, flush=True)

    def ask(self, gate: str) -> None:
        """Waits for the turn; when the one who gives it is gone, the night is stopped as by a signal."""
        self.say(asks=gate)
        if not sys.stdin.readline():
            raise KeyboardInterrupt

    def take(self, order: Mapping[str, Any]) -> None:
        how = {name: order[name] for name in ("trigger", "holder", "model")}
        try:
            report = self.take_one(order["pipeline"], order["night"], **how)
        except OvernightError as error:
            self.say(error=str(error), exit_code=error.exit_code)
        else:
            self.say(report=report.to_json(), exit_code=report.exit_code)

    def take_one(
        self, pipeline: str, label: str, *, trigger: str, holder: Mapping[str, Any], model: ModelMode
    ) -> NightReport:  # fmt: skip
        """A night that a dead process still seems to hold, or whose ledger is away, is asked for again."""
        definition = load_definition(self.settings.deployments, pipeline)
        night = definition.pipeline.calendar.named(label)
        call = self._in_turn(definition, night, model, call=runner_for(definition.pipeline, self.settings))
        take = partial(take_night, definition, night, self.settings, trigger=trigger, call=call, holder=holder, model=model)
        return _take_over(take)

    def _in_turn(self, definition: Definition, night: Interval, model: str, *, call: StageCall) -> StageCall:
        def perform_in_turn(stage: Stage, run_id: int, settings: Settings) -> StageReport:
            if stage is Stage.VALIDATE and looks_back(definition):
                self.ask(ALONE)
            if stage is Stage.TRAIN:
                self.ask(TRAIN)
                if may_train(writer_engine(settings), definition, night, model=model):
                    self.ask(ALONE)
            if stage is Stage.PUBLISH:
                self.ask(PUBLISH)
            report = _with_patience(call, stage, run_id, settings)
            if stage in (Stage.TRAIN, Stage.PUBLISH):
                self.say(passed=str(stage))
            return report

        return perform_in_turn


def _take_over(take: Callable[[], NightReport]) -> NightReport:
    for pause in PATIENCE:
        try:
            return take()
        except OvernightError as error:
            if not (isinstance(error, LockHeld) or error.retryable):
                raise
            log.info("%s; tried again in %.0f s", error, pause)
        sleep(pause)
    return take()


def looks_back(definition: Definition) -> bool:
    """Whether its suite compares a night with those before it, which must then be published."""
    names = {str(line["expect"]).removeprefix("expect_") for line in definition.expectations}
    return bool(names & set(EXPECTATIONS))


def may_train(engine: sa.Engine, definition: Definition, night: Interval, *, model: str) -> bool:
    """Whether the night's training may do more than say that it is not due. Asked when every earlier night's has ended."""
    from tasks.due import definition_of, why_unusable

    wanted = definition.pipeline.model
    if model == "as-was":
        return False
    with transaction(engine) as connection:
        newest = newest_trained(connection, definition.pipeline.name, night=night.start)
        champion = champion_for(connection, definition.pipeline.name, night=night.start)
    if model == "as-if" or newest is None or wanted.drift_limit is not None or newest.trained_for == night.start:
        return True
    if newest.params.get("definition") != definition_of(definition) or why_unusable(champion, definition):
        return True
    return wanted.retrain_after is not None and night.start - newest.trained_for >= wanted.retrain_after


def _with_patience(call: StageCall, stage: Stage, run_id: int, settings: Settings) -> StageReport:
    """While the ledger does not answer, the stage is called again, as Prefect would."""
    for delay in RETRY_DELAYS:
        try:
            return call(stage, run_id, settings)
        except OvernightError as error:
            if not error.retryable:
                raise
            log.info("%s; tried again in %.0f s", error, delay)
        sleep(delay)
    return call(stage, run_id, settings)


def main() -> int:
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    settings = load_settings()
    lane = Lane(int(sys.argv[1]), settings)
    allow_preload()
    try:
        with stopping_between_imports():
            while line := sys.stdin.readline():
                lane.take(json.loads(line))
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
