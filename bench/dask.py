"""A backfill of real flights on two Dask workers against one: the same nights, the same result, in turn where it matters.

`ratio` is nights per second of two workers / of one: higher is better, 2 would be all that two can give. Each backfill has a
home, a Postgres, a scheduler and workers of its own; workers have one thread each, so that a worker means a core.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic, perf_counter, sleep

import psutil

from bench.clock import beside, median_of
from deployments.catalogue import Definition
from domain.report import NightReport
from domain.words import RunState
from infra.airline import drop_flights
from infra.postgres import stop_server
from infra.prefect_home import settings_environment
from infra.settings import Settings
from tasks.prepare import prepare
from tasks.spread import take_nights_there

PIPELINE = "flights"
WARM_UP = 8  # nights, on the same workers: imports, the first model
COUNTED = {"small": 10, "full": 20}  # nights in a row, one backfill
ROUNDS = {"small": 1, "full": 5}


def dask_2_workers(size: str = "small") -> dict[str, dict[str, float]]:
    count = COUNTED[size]
    taken = [(_measure(1, count), _measure(2, count)) for _ in range(ROUNDS[size])]
    other, ours = (median_of(side) for side in zip(*taken, strict=True))
    return {
        "dask_2_workers": {
            "ratio": round(other["seconds"] / ours["seconds"], 3), "ours": round(ours["seconds"], 2),
            "other": round(other["seconds"], 2), "nights": count, "rows": round(ours["rows"]),
            **beside(ours | {"rounds": ROUNDS[size]}, other),
        }
    }  # fmt: skip


def _measure(workers: int, count: int) -> dict[str, float]:
    """A backfill of `count` nights in a home of its own: seconds, what the workers spent of their cores, and the rows read."""
    with _home() as settings, cluster(settings, workers) as (address, processes):
        (definition,) = prepare(settings, PIPELINE)
        _take(definition, address, skip=0, count=WARM_UP)
        before, began = _cpu(processes), perf_counter()
        reports = _take(definition, address, skip=WARM_UP, count=count)
        seconds = perf_counter() - began
        return {
            "seconds": seconds, "cpu_seconds": _cpu(processes) - before, "rows": sum(report.rows_read for report in reports),
            "peak_mb": sum(process.memory_info().rss for process in processes) / 2**20,
        }  # fmt: skip


def _take(definition: Definition, address: str, *, skip: int, count: int) -> list[NightReport]:
    calendar = definition.pipeline.calendar
    nights = [calendar.first]
    while len(nights) < skip + count:
        nights.append(calendar.after(nights[-1]))
    reports = list(take_nights_there(definition, nights[skip:], address=address, model="as-due"))
    failed = [report.reason for report in reports if report.state is not RunState.PUBLISHED]
    assert not failed, failed
    return reports


def _cpu(processes: Sequence[psutil.Process]) -> float:
    times = [process.cpu_times() for process in processes]
    return sum(each.user + each.system for each in times)


@contextmanager
def _home() -> Iterator[Settings]:
    with tempfile.TemporaryDirectory(prefix="overnight-bench-") as folder:
        settings = Settings(home=Path(folder) / "home", deployments=Path("deployments"), data=Path(folder) / "data", threads=1)
        drop_flights(settings.data_folder / "flights")
        prepare(settings, PIPELINE)
        try:
            yield settings
        finally:
            stop_server(settings.postgres_folder)


@contextmanager
def cluster(settings: Settings, workers: int) -> Iterator[tuple[str, list[psutil.Process]]]:
    """A scheduler and its workers, as processes, for a home whose Postgres is up."""
    file = settings.home / "scheduler.json"
    root = Path(__file__).parents[1]
    ours = {"PYTHONPATH": str(root), "DASK_CONFIG": str(root / "infra" / "dask.yaml")}
    environment = {**os.environ, **settings_environment(settings), **ours}
    with ExitStack() as stack:

        def start(*words: str) -> psutil.Process:
            command = [
                sys.executable,
                "-m",
                "dask",
                *words,
                "--scheduler-file",
                str(file),
                "--no-dashboard",
                "--host",
                "127.0.0.1",
            ]
            process = subprocess.Popen(
                command, cwd=Path.cwd(), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            return psutil.Process(process.pid)

        start("scheduler", "--port", "0")
        until = monotonic() + 60
        while not file.exists():
            assert monotonic() < until, "the scheduler did not start"
            sleep(0.1)
        folder = str(settings.home)
        processes = [start("worker", "--no-nanny", "--nthreads", "1", "--local-directory", folder) for _ in range(workers)]
        address = str(json.loads(file.read_text())["address"])
        _wait_for_workers(address, workers)
        yield address, processes


def _wait_for_workers(address: str, count: int) -> None:
    from infra.cluster import connect, count_workers

    with connect(address) as client:
        client.wait_for_workers(count, timeout=120)
        assert count_workers(client) == count


if __name__ == "__main__":
    print(json.dumps(dask_2_workers(sys.argv[1] if len(sys.argv) > 1 else "small"), indent=2))
