"""What a container of its own adds to each stage: the same nights of real flights, inline and in containers, by the stopwatch.

`python -m bench.containers [IMAGE]` measures (the image is built first: `overnight image build`) and writes profile.json.
"""

import json
import statistics
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bench.profile_page import PATH, read_profile
from bench.results import today
from bench.scaling.house import define, home, nights_of
from domain.report import StageReport
from domain.words import RunState, Stage
from infra.airline import drop_flights
from infra.containers import identify_image
from infra.settings import Settings
from tasks.night import StageCall, take_night
from tasks.perform import perform
from tasks.runners import perform_in_container

WARM_UP, ROUNDS = 9, 5  # the first nights train; a warm-up night in containers comes before those that count
CGROUPS = Path("/sys/fs/cgroup")
Taken = dict[str, list[tuple[float, float]]]


def measure(image: str) -> dict[str, Any]:
    """Medians of seconds by the clock, inline (in a process that is warm) and in a container, and of the container's CPU."""
    inline, boxed = Taken(), Taken()
    with home() as own:
        settings = own.model_copy(update={"image": identify_image(image)})
        drop_flights(settings.data_folder / "flights")
        _take_nights(settings, "inline", lambda taken: _watched(perform, taken), into=inline, boxed_from=None)
        _take_nights(settings, "boxed", lambda taken: _watched(perform_in_container, taken), into=boxed, boxed_from=WARM_UP)
    return {
        stage: {
            "inline_s": _median(inline[stage], 0),
            "container_s": _median(boxed[stage], 0),
            "container_cpu_s": _median(boxed[stage], 1),
        }
        for stage in map(str, Stage)
    }


def _median(taken: list[tuple[float, float]], figure: int) -> float:
    return round(statistics.median(one[figure] for one in taken), 2)


def _take_nights(
    settings: Settings, name: str, calling: Callable[[Taken], StageCall], *, into: Taken, boxed_from: int | None
) -> None:
    """Nights of flights under a name of its own; the last ROUNDS of them count."""
    flights = Settings().deployments / "flights"
    text, rules = ((flights / file).read_text() for file in ("pipeline.yaml", "expectations.yaml"))
    definition = define(settings, name, text.replace("name: flights", f"name: {name}"), rules=rules)
    nights = nights_of(definition, WARM_UP + 1 + ROUNDS)
    for number, night in enumerate(nights):
        taken: Taken = defaultdict(list)
        call = calling(taken) if boxed_from is None or number >= boxed_from else perform
        report = take_night(definition, night, settings, trigger="backfill", call=call)
        assert report.state is RunState.PUBLISHED, report.reason
        for stage, figures in taken.items() if number > WARM_UP else ():
            into.setdefault(stage, []).extend(figures)


def _watched(call: StageCall, taken: Taken) -> StageCall:
    def watched(stage: Stage, run: int, settings: Settings) -> StageReport:
        began = time.perf_counter()
        with _container_cpu(run, stage) as spent:
            report = call(stage, run, settings)
        taken[str(stage)].append((time.perf_counter() - began, spent[0]))
        return report

    return watched


@contextmanager
def _container_cpu(run: int, stage: Stage) -> Iterator[list[float]]:
    """CPU seconds of the stage's container, its start included, as the kernel counts them; read until it is gone."""
    spent, over = [0.0], threading.Event()
    watcher = threading.Thread(target=_follow, args=(run, stage, spent, over), daemon=True)
    watcher.start()
    try:
        yield spent
    finally:
        over.set()
        watcher.join()


def _follow(run: int, stage: Stage, spent: list[float], over: threading.Event) -> None:
    import docker

    client = docker.from_env()
    wanted: dict[str, str | list[str] | bool] = {"label": [f"overnight.run={run}", f"overnight.stage={stage}"]}
    counters: list[Path] = []
    while not over.wait(0.01):
        if not counters and (found := client.containers.list(filters=wanted)):
            counters = [path for name in ("cpuacct.usage", "cpu.stat") for path in CGROUPS.glob(f"**/*{found[0].id}*/{name}")]
        for counter in counters[:1]:
            with suppress(OSError):
                spent[0] = _seconds(counter.read_text())
    client.close()


def _seconds(counted: str) -> float:
    """Of the older cgroups one number, of nanoseconds; of the newer ones lines, of microseconds."""
    if counted.strip().isdigit():
        return int(counted) / 1e9
    return next(int(line.split()[1]) / 1e6 for line in counted.splitlines() if line.startswith("usage_usec"))


def main() -> None:
    image = sys.argv[1] if len(sys.argv) > 1 else Settings().image
    found = {**read_profile(), "containers": {"day": today(), "stages": measure(image)}}
    print(json.dumps(found["containers"], indent=1))
    PATH.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    from bench.page import write_pages

    write_pages()


if __name__ == "__main__":
    main()
