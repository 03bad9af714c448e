"""A backfill's nights on the workers of a Dask scheduler: each a Prefect task, as many side by side as may be."""

import logging
from collections.abc import Iterator, Sequence
from typing import Any

from prefect import task
from prefect.client.schemas.objects import State
from prefect.states import Failed
from prefect_dask import DaskTaskRunner

from deployments.catalogue import Definition
from domain.errors import OrchestratorUnavailable, OvernightError
from domain.interval import Interval
from domain.planning import ModelMode
from domain.report import NightReport
from domain.words import RunState
from flows.nights import give_way
from flows.occasion import on_errand
from flows.outcome import tell
from flows.policy import POLICY
from infra.settings import Settings
from tasks.spread import next_wave, take_there

log = logging.getLogger("overnight.night")


@task(name="night", task_run_name="{pipeline} {label}", **POLICY)
def night(pipeline: str, label: str, model: ModelMode) -> NightReport | State[Any]:
    """One night, on the worker that Dask gives it to."""
    try:
        return take_there(pipeline, label, model, "backfill")
    except OvernightError as error:
        return Failed(message=str(error), data=error)


def take_nights_on_dask(
    definition: Definition, nights: Sequence[Interval], settings: Settings, *, address: str, model: ModelMode
) -> list[NightReport]:
    """Takes the nights in waves: those that no training separates side by side, the next wave when all of them have ended."""
    reports: list[NightReport] = []
    with DaskTaskRunner(address=address) as runner:
        _reach(runner, address)
        while left := nights[len(reports) :]:
            give_way(settings)
            wave = left[: next_wave(definition, left, settings, model=model)]
            for report in _take_wave(runner, definition, wave, model=model):
                reports.append(report)
                with on_errand("backfill", number=len(reports), total=len(nights)):
                    tell(definition, report)
    return reports


def _reach(runner: Any, address: str) -> None:
    try:
        assert runner.client is not None
    except OSError as error:
        raise OrchestratorUnavailable(f"no Dask scheduler answers at {address}", hint="dask scheduler") from error


def _take_wave(
    runner: Any, definition: Definition, wave: Sequence[Interval], *, model: ModelMode
) -> Iterator[NightReport]:  # fmt: skip
    name, label = definition.pipeline.name, definition.pipeline.calendar.label
    futures = [runner.submit(night, parameters={"pipeline": name, "label": label(interval), "model": model}) for interval in wave]
    for interval, future in zip(wave, futures, strict=True):
        try:
            outcome: Any = future.result(raise_on_failure=False)
        except Exception as error:  # Dask's own word, when each worker that it gave the night to has died
            outcome = error
        if isinstance(outcome, NightReport):
            yield outcome
            continue
        reason = str(outcome) or type(outcome).__name__
        exit_code = outcome.exit_code if isinstance(outcome, OvernightError) else 1
        yield NightReport(0, name, interval, RunState.FAILED, reason, exit_code=exit_code)
