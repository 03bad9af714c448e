"""What Prefect adds to a night, and whether nights get slower as they pile up.

Nights of real flights, in a home of its own with its own Postgres and Prefect server. `ratio` is seconds of ours /
seconds of the other: lower is better, 1 would mean that orchestration, or age, costs nothing.
"""

import json
import logging
import os
import resource
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Any

from bench.clock import database_cpu, own_cpu
from deployments.catalogue import Definition
from domain.interval import Interval
from domain.report import NightReport
from domain.words import RunState, Stage, StageState
from infra.airline import drop_flights
from infra.postgres import find_server, stop_server
from infra.prefect_home import prefect_environment, settings_environment
from infra.services import PREFECT, run_services
from infra.settings import Settings, load_settings
from tasks.night import take_night
from tasks.prepare import prepare

PIPELINE = "flights"
WARM_UP = 8  # nights before the first that counts: imports, the first model, filled caches
COUNTED = {"small": 6, "full": 20}
AGES = {"small": (30, 90), "full": (30, 365)}
PORT = 4398


def night_vs_plain_calls(size: str = "small") -> dict[str, dict[str, float]]:
    """The same nights as one `nightly` flow each, as one backfill, and by calling the stages directly, taken in turn."""
    with _home("plain") as plain, _home("flows") as through, _prefect(through):
        from flows.nightly import nightly
        from flows.outcome import outcome_of

        (definition,) = prepare(plain, PIPELINE)
        nights = _nights(definition, WARM_UP + COUNTED[size])
        ours, other = [], []
        for night in nights:
            label = definition.pipeline.calendar.label(night)
            other.append(_timed(lambda night=night: take_night(definition, night, plain, trigger="command")))
            ours.append(_timed(lambda label=label: outcome_of(nightly(PIPELINE, label, return_state=True))))
        backfill = _backfill_seconds(definition, size)
    counted = [number for number in range(WARM_UP, len(nights)) if not _trains(other[number][1])]
    seconds = statistics.median(ours[number][0] for number in counted)
    plain_seconds = statistics.median(other[number][0] for number in counted)
    return {
        "night_vs_plain_calls": {
            "ratio": round(seconds / plain_seconds, 3),
            "ours": round(seconds, 3), "other": round(plain_seconds, 3),
            "rows": round(statistics.fmean(other[number][1].rows_read for number in counted)),
            "seconds": round(sum(ours[number][0] for number in counted), 3), "rounds": len(counted),
            "added_seconds_a_night": round(seconds - plain_seconds, 3),
            "added_seconds_a_night_in_a_backfill": round(backfill - plain_seconds, 3),
            "peak_mb": _peak_mb(),
        }
    }  # fmt: skip


def night_365_vs_night_30(size: str = "small") -> dict[str, dict[str, float]]:
    """One backfill; the CPU seconds, the database's included, of the ten nights that end at each age, the median of those that do
    not train: seconds by the clock would tell what else the machine did an hour later."""
    young, old = AGES[size]
    with _home("aged") as settings:
        (definition,) = prepare(settings, PIPELINE)
        server = find_server(settings.postgres_folder)
        assert server is not None
        began, rows, spent = perf_counter(), 0, dict[int, list[float]]({young: [], old: []})
        for number, night in enumerate(_nights(definition, old), start=1):
            age = next((age for age in spent if age - 10 < number <= age), None)
            before = own_cpu() + database_cpu(server) if age else 0.0
            _, report = _timed(lambda night=night: take_night(definition, night, settings, trigger="backfill"))
            rows += report.rows_read
            if age and not _trains(report):
                spent[age].append(own_cpu() + database_cpu(server) - before)
        seconds = perf_counter() - began
    then, now = statistics.median(spent[young]), statistics.median(spent[old])
    return {
        "night_365_vs_night_30": {
            "ratio": round(now / then, 3), "ours": round(now, 3), "other": round(then, 3), "nights": old, "rows": rows,
            "seconds": round(seconds, 1), "rounds": min(map(len, spent.values())), "peak_mb": _peak_mb(),
        }
    }  # fmt: skip


def _nights(definition: Definition, count: int) -> list[Interval]:
    calendar = definition.pipeline.calendar
    nights = [calendar.first]
    while len(nights) < count:
        nights.append(calendar.after(nights[-1]))
    return nights


def _timed(take: Any) -> tuple[float, NightReport]:
    began = perf_counter()
    report = take()
    assert isinstance(report, NightReport)
    assert report.state is RunState.PUBLISHED, report.reason
    return perf_counter() - began, report


def _trains(report: NightReport) -> bool:
    return any(stage.stage is Stage.TRAIN and stage.state is StageState.DONE for stage in report.stages)


def _backfill_seconds(definition: Definition, size: str) -> float:
    """Seconds per night of a backfill that goes on where the single nights ended, nights that train left out."""
    from flows.backfill import backfill
    from flows.outcome import listening

    calendar = definition.pipeline.calendar
    nights = _nights(definition, WARM_UP + 2 * COUNTED[size])[-COUNTED[size] :]
    ends = [perf_counter()]
    reports: list[NightReport] = []

    def listen(report: NightReport, *_: int) -> None:
        ends.append(perf_counter())
        reports.append(report)

    with listening(listen):
        backfill(PIPELINE, calendar.label(nights[0]), calendar.label(nights[-1]), return_state=True)
    spans = [after - before for before, after in pairwise(ends)]
    return statistics.median(span for span, report in zip(spans, reports, strict=True) if not _trains(report))


def _peak_mb() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


@contextmanager
def _home(name: str) -> Iterator[Settings]:
    with tempfile.TemporaryDirectory(prefix=f"ov-{name}") as folder:
        settings = Settings(home=Path(folder), prefect_port=PORT)
        drop_flights(settings.data_folder / PIPELINE)
        try:
            yield settings
        finally:
            stop_server(settings.postgres_folder)


@contextmanager
def _prefect(settings: Settings) -> Iterator[None]:
    """A server of its own, and this process as its client; flows read their settings from the environment."""
    with run_services(settings, say=lambda _: None, parts={PREFECT}) as services:
        os.environ.update(settings_environment(settings) | prefect_environment(settings, url=services.prefect_url))
        os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "CRITICAL"
        load_settings.cache_clear()
        from prefect.context import SyncClientContext
        from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

        logging.getLogger("overnight").propagate = False
        # Prefect's client, which reads a bundle of certificates, is made once: a process that takes one night makes one.
        with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}), SyncClientContext.get_or_create():
            yield
        from prefect.logging.handlers import APILogWorker

        APILogWorker.drain_all()  # lines still on their way to a server that ends are tried again for minutes


if __name__ == "__main__":
    size = sys.argv[1] if len(sys.argv) > 1 else "small"
    for measure in (night_vs_plain_calls, night_365_vs_night_30):
        print(json.dumps(measure(size), indent=2), flush=True)
