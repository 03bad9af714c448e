"""Nights of real flights, in a home of its own with its own Postgres, and what each takes by the clock."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

from domain.report import NightReport
from domain.words import RunState, Stage, StageState
from infra.airline import drop_flights
from infra.postgres import stop_server
from infra.settings import Settings

PIPELINE = "flights"
PORT = 4398


@contextmanager
def flights_home(name: str) -> Iterator[Settings]:
    with tempfile.TemporaryDirectory(prefix=f"ov-{name}") as folder:
        settings = Settings(home=Path(folder), prefect_port=PORT)
        drop_flights(settings.data_folder / PIPELINE)
        try:
            yield settings
        finally:
            stop_server(settings.postgres_folder)


def timed(take: Callable[[], NightReport]) -> tuple[float, NightReport]:
    began = perf_counter()
    report = take()
    seconds = perf_counter() - began
    assert report.state is RunState.PUBLISHED, report.reason
    return seconds, report


def trains(report: NightReport) -> bool:
    return any(stage.stage is Stage.TRAIN and stage.state is StageState.DONE for stage in report.stages)
