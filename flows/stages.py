"""The one place where stages become Prefect tasks."""

from contextvars import ContextVar
from functools import cache
from typing import Any

from prefect import Task, task
from prefect.client.schemas.objects import State
from prefect.states import Failed

from domain.errors import OvernightError
from domain.report import StageReport
from domain.words import Stage
from flows.policy import POLICY
from infra.settings import Settings
from tasks.night import StageCall
from tasks.perform import perform

_performer: ContextVar[tuple[StageCall, Settings]] = ContextVar("performer")


def stage_tasks(settings: Settings, *, call: StageCall = perform) -> StageCall:
    """A way of calling stages, for `take_night`, in which each is a Prefect task of its name under the one policy.

    A task is handed the number of its run and nothing else.
    """

    def call_through_prefect(stage: Stage, run_id: int, _: Settings) -> StageReport:
        token = _performer.set((call, settings))
        try:
            state: State[StageReport | OvernightError] = _task_of(stage)(run_id, return_state=True)
        finally:
            _performer.reset(token)
        outcome = state.result(raise_on_failure=False)
        if isinstance(outcome, BaseException):
            raise outcome
        assert isinstance(outcome, StageReport)
        return outcome

    return call_through_prefect


@cache
def _task_of(stage: Stage) -> Task[[int], Any]:
    """Made once a process: Prefect reads a task's source and hashes it, which takes as long as a small stage."""

    # A failure is returned as a state instead of raised: Prefect then shows our sentence, retries by the same policy,
    # and prints no traceback of an error that is already explained.
    def perform_stage(run: int) -> StageReport | State[Any]:
        call, settings = _performer.get()
        try:
            return call(stage, run, settings)
        except OvernightError as error:
            return Failed(message=str(error), data=error)

    return task(name=str(stage), task_run_name=str(stage), **POLICY)(perform_stage)
