"""What Prefect adds to a night: the same nights of real flights through the flow `nightly`, and by calling the stages directly.

In turn, in a home of their own each, with a Postgres of its own and one Prefect server. `ratio` is seconds of ours / seconds of
the other: lower is better, 1 would mean that orchestration costs nothing. Measured in a process that has taken nights before, and
in a new one for each night, as a schedule and the command line start them. Importing Prefect is never counted.
"""

import json
import logging
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from time import perf_counter
from typing import Any

from bench.clock import own_peak
from bench.flights import PIPELINE, flights_home, timed, trains
from bench.scaling.house import nights_of
from domain.report import NightReport
from domain.words import Stage
from infra.prefect_home import prefect_environment, settings_environment
from infra.services import PREFECT, run_services
from infra.settings import Settings, load_settings
from tasks.night import take_night
from tasks.prepare import prepare

WARM_UP = 8  # nights before the first that counts: imports, the first model, filled caches
COUNTED = {"small": 6, "full": 20}
ALONE = {"small": 3, "full": 9}  # nights that have a process each; the first does not count


def night_vs_plain_calls(size: str = "small") -> dict[str, dict[str, Any]]:
    with flights_home("plain") as plain, flights_home("flows") as through, _prefect(through):
        from bench.one_night import take_through_prefect

        (definition,) = prepare(plain, PIPELINE)
        every = nights_of(definition, WARM_UP + 2 * COUNTED[size] + ALONE[size])
        ours, other, nothing = [], [], []
        empty = _empty_flow()
        for night in every[: WARM_UP + COUNTED[size]]:
            label = definition.pipeline.calendar.label(night)
            other.append(timed(partial(take_night, definition, night, plain, trigger="command")))
            ours.append(timed(partial(take_through_prefect, label)))
            nothing.append(_seconds_of(empty))
        labels = [definition.pipeline.calendar.label(night) for night in every[WARM_UP + COUNTED[size] :]]
        backfill = _backfill_seconds(labels[: COUNTED[size]])
        alone = [
            (_take_alone("flow", label, through), _take_alone("plain", label, plain)) for label in labels[COUNTED[size] :]
        ]  # fmt: skip
    counted = [number for number in range(WARM_UP, len(other)) if not trains(other[number][1])]
    warm = [(ours[number][0], other[number][0]) for number in counted]
    rows = round(statistics.fmean(other[number][1].rows_read for number in counted))
    seconds, plain_seconds = (statistics.median(side) for side in zip(*warm, strict=True))
    return {
        "night_vs_plain_calls": _ratio(warm) | {
            "rows": rows,
            "added_seconds_a_night": round(seconds - plain_seconds, 3),
            "added_seconds_a_night_in_a_backfill": round(backfill - plain_seconds, 3),
            "empty_flow_seconds": round(statistics.median(nothing[number] for number in counted), 3),
            "peak_mb": round(own_peak()),
        },
        "new_process_vs_plain_calls": _ratio(
            [(one["seconds"], two["seconds"]) for one, two in alone[1:] if not (one["trains"] or two["trains"])]
        ) | {"rows": rows},
    }  # fmt: skip


def _ratio(pairs: list[tuple[float, float]]) -> dict[str, Any]:
    ours, other = (statistics.median(side) for side in zip(*pairs, strict=True))
    return {
        "ratio": round(ours / other, 3), "ours": round(ours, 3), "other": round(other, 3),
        "seconds": round(sum(one for one, _ in pairs), 3), "rounds": len(pairs),
    }  # fmt: skip


def _empty_flow() -> Any:
    """Prefect's own part: a flow as ours are, with as many tasks as a night has stages, which do nothing."""
    from prefect import flow, task

    from flows.policy import KEEPS_NOTHING, POLICY

    @task(**POLICY)
    def step(run: int) -> None: ...

    @flow(name="empty", **KEEPS_NOTHING)
    def empty() -> None:
        for number in range(len(Stage)):
            step(number, return_state=True)

    return empty


def _seconds_of(flow: Any) -> float:
    began = perf_counter()
    flow(return_state=True)
    return perf_counter() - began


def _take_alone(how: str, label: str, settings: Settings) -> dict[str, Any]:
    """One night in a new process, which says how long it took."""
    environment = os.environ | settings_environment(settings)
    done = subprocess.run(
        [sys.executable, "-m", "bench.one_night", how, label], env=environment, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert not done.returncode, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _backfill_seconds(labels: list[str]) -> float:
    """Seconds per night of a backfill that goes on where the single nights ended, nights that train left out."""
    from flows.backfill import backfill
    from flows.outcome import listening

    ends = [perf_counter()]
    reports: list[NightReport] = []

    def listen(report: NightReport, *_: int) -> None:
        ends.append(perf_counter())
        reports.append(report)

    with listening(listen):
        backfill(PIPELINE, labels[0], labels[-1], return_state=True)
    spans = [after - before for before, after in pairwise(ends)]
    return statistics.median(span for span, report in zip(spans, reports, strict=True) if not trains(report))


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
    print(json.dumps(night_vs_plain_calls(sys.argv[1] if len(sys.argv) > 1 else "small"), indent=2), flush=True)
