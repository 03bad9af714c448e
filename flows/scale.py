"""A backfill's nights on the workers of a Dask scheduler: each a Prefect task, as many side by side as may be."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from prefect import task
from prefect.client.schemas.objects import State
from prefect.states import Failed
from prefect_dask.task_runners import DaskTaskRunner

from deployments.catalogue import Definition
from domain.errors import EXIT_FAILED, OvernightError
from domain.interval import Interval
from domain.planning import BACKFILL, ModelMode
from domain.report import NightReport
from flows.occasion import on_errand
from flows.outcome import announce, stop_if_cancelled
from flows.policy import POLICY
from infra.cluster import work_in_turn
from infra.settings import Settings
from tasks.right_of_way import give_way
from tasks.spread import AHEAD, pieces_of, take_there
from tasks.telling import tell_everybody


@task(name="night", task_run_name="{pipeline} {label}", **POLICY)
def night(
    pipeline: str, label: str, model: ModelMode, backfill: str, holder: Mapping[str, Any], place: int
) -> NightReport | State[Any]:  # fmt: skip
    """One night, on the worker that Dask gives it to."""
    try:
        return take_there(pipeline, label, model, backfill, holder, place)
    except OvernightError as error:
        return Failed(message=str(error), data=error)


def take_nights_on_dask(
    definition: Definition, nights: Sequence[Interval], settings: Settings, *, address: str, model: ModelMode, tell_others: bool
) -> list[NightReport]:
    """Takes the nights oldest first, up to `AHEAD` on each worker, and goes on with the others when one is held or fails."""
    reports: list[NightReport] = []
    pieces, futures = pieces_of(definition, nights, model=model, tell=tell_others), dict[int, Any]()
    with DaskTaskRunner(address=address) as runner:

        def submit(*piece: Any) -> Any:
            give_way(settings)
            parameters = dict(zip(_NAMES, piece, strict=True))
            future = futures[parameters["place"]] = runner.submit(night, parameters=parameters)
            return future.wrapped_future

        for (*_, place), _ in work_in_turn(runner.client, submit, pieces, ahead=AHEAD):
            reports.append(_report(definition, nights[place], futures.pop(place)))
            with on_errand(BACKFILL, number=len(reports), total=len(nights)):
                announce(definition, reports[-1])
            tell_everybody(definition, reports[-1], settings, now=datetime.now(UTC), trigger=BACKFILL, asked=tell_others)
            stop_if_cancelled(reports)
    return reports


_NAMES = ("pipeline", "label", "model", "backfill", "holder", "place")


def _report(definition: Definition, interval: Interval, future: Any) -> NightReport:
    try:
        outcome = future.result(raise_on_failure=False)
    except Exception as error:  # Dask's own word, when each worker that it gave the night to has died
        outcome = error
    if isinstance(outcome, NightReport):
        return outcome
    reason = str(outcome) or type(outcome).__name__
    exit_code = outcome.exit_code if isinstance(outcome, OvernightError) else EXIT_FAILED
    return NightReport.without_run(definition.pipeline.name, interval, reason, exit_code=exit_code)
