"""A home of its own with a Postgres, pipelines that are written into it, and what their nights cost, stage by stage."""

import multiprocessing
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

from bench.clock import database_cpu, own_cpu, own_peak
from deployments.catalogue import Definition
from domain.interval import Interval
from domain.report import NightReport, StageReport
from domain.words import RunState, Stage
from infra.postgres import Postmaster, ensure_database, find_server, stop_server
from infra.settings import Settings, load_settings
from tasks.night import take_night
from tasks.perform import perform
from tasks.prepare import prepare


@contextmanager
def home() -> Iterator[Settings]:
    with tempfile.TemporaryDirectory(prefix="ov") as folder:
        here = Path(folder)
        settings = Settings(home=here / "home", deployments=here / "deployments", data=here / "data", threads=2)
        ensure_database(settings)
        try:
            yield settings
        finally:
            stop_server(settings.postgres_folder)


def server_of(settings: Settings) -> Postmaster:
    server = find_server(settings.postgres_folder)
    assert server is not None
    return server


def define(settings: Settings, name: str, text: str, *, rules: str = "") -> Definition:
    folder = settings.deployments / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pipeline.yaml").write_text(text)
    (folder / "expectations.yaml").write_text(rules or "[]\n")
    (settings.data_folder / name).mkdir(parents=True, exist_ok=True)
    return prepare(settings, name)[0]


def nights_of(definition: Definition, count: int) -> list[Interval]:
    calendar = definition.pipeline.calendar
    nights = [calendar.first]
    while len(nights) < count:
        nights.append(calendar.after(nights[-1]))
    return nights


def take(definition: Definition, night: Interval, settings: Settings) -> NightReport:
    report = take_night(definition, night, settings, trigger="backfill")
    assert report.state is RunState.PUBLISHED, report.reason
    return report


def take_measured(definition: Definition, night: Interval, settings: Settings) -> tuple[NightReport, dict[str, float]]:
    """The CPU seconds of each stage, the database's included, and by the clock of all."""
    server, spent = server_of(settings), dict[str, float]()

    def call(stage: Stage, run: int, settings: Settings) -> StageReport:
        before = own_cpu() + database_cpu(server)
        report = perform(stage, run, settings)
        spent[str(stage)] = own_cpu() + database_cpu(server) - before
        spent["seconds"] = spent.get("seconds", 0.0) + report.seconds
        return report

    report = take_night(definition, night, settings, trigger="bench", call=call)
    assert report.state is RunState.PUBLISHED, report.reason
    return report, spent


def cost_of(server: Postmaster, work: Callable[[], Any], *, times: int = 10) -> float:
    """CPU seconds of one call, the database's included; a call before that is not counted."""
    work()
    before = own_cpu() + database_cpu(server)
    for _ in range(times):
        work()
    return (own_cpu() + database_cpu(server) - before) / times


def apart(what: Callable[..., dict[str, float]], *arguments: Any) -> dict[str, float]:
    """Calls it in a fresh process and adds that process's `peak MB`."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measured, (what, arguments))


def _measured(what: Callable[..., dict[str, float]], arguments: Sequence[Any]) -> dict[str, float]:
    load_settings()  # as every process of Overnight does
    return {**what(*arguments), "peak MB": round(own_peak())}


def timed(work: Callable[[], Any]) -> float:
    began = perf_counter()
    work()
    return perf_counter() - began
