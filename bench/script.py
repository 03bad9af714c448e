"""A night of real flights, against the script that a data scientist would write for the same files and the same model.

Both take the same nights one after the other in this one process, so that what a process imports counts for neither. `ratio` is
CPU seconds of ours / the script's, the database's included, the median of nights that train on neither side: lower is better.
`python -m bench.script [small|full]` measures alone and prints JSON.
"""

import json
import sys
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any

from bench.clock import Figures, beside, database_cpu, median_of, own_cpu, own_peak
from bench.others.glue import Glue
from bench.scaling.house import home, nights_of, server_of
from domain.report import NightReport
from domain.words import RunState, Stage, StageState
from infra.airline import drop_flights
from infra.postgres import Postmaster, ensure_database
from infra.settings import Settings
from tasks.night import take_night
from tasks.prepare import prepare

WARM_UP = 8  # nights: imports, both first models
COUNTED = {"small": 6, "full": 20}


def night_vs_script(size: str = "small") -> dict[str, dict[str, Any]]:
    with home() as settings:
        return _measure(settings.model_copy(update={"deployments": Settings().deployments}), COUNTED[size])


def _measure(settings: Settings, count: int) -> dict[str, dict[str, Any]]:
    drop_flights(settings.data_folder / "flights")
    (definition,) = prepare(settings, "flights")
    glue, server = Glue(settings.data_folder / "flights", ensure_database(settings)), server_of(settings)
    ours, other = list[Figures](), list[Figures]()
    for number, night in enumerate(nights_of(definition, WARM_UP + count)):
        day, before = night.start.date(), glue.trained
        report, spent = _cost(server, partial(take_night, definition, night, settings, trigger="bench"))
        written, its = _cost(server, partial(glue.take, day))
        assert report.state is RunState.PUBLISHED, report.reason
        if number >= WARM_UP:
            assert written == report.rows_scored, (written, report.rows_scored)
            if not _trains(report) and glue.trained == before:
                ours.append(spent | {"rows": report.rows_read})
                other.append(its)
    mine, theirs = median_of(ours), median_of(other)
    return {
        "night_vs_script": {
            "ratio": round(mine["cpu_seconds"] / theirs["cpu_seconds"], 3),
            "ours": round(mine["cpu_seconds"], 3), "other": round(theirs["cpu_seconds"], 3), "rows": round(mine["rows"]),
            **beside(mine | {"rounds": len(ours)}, theirs), "peak_mb": round(own_peak()),
        }
    }  # fmt: skip


def _cost(server: Postmaster, work: Callable[[], Any]) -> tuple[Any, Figures]:
    before, began = own_cpu() + database_cpu(server), perf_counter()
    found = work()
    seconds = perf_counter() - began
    return found, {"seconds": seconds, "cpu_seconds": own_cpu() + database_cpu(server) - before}


def _trains(report: NightReport) -> bool:
    return any(stage.stage is Stage.TRAIN and stage.state is StageState.DONE for stage in report.stages)


if __name__ == "__main__":
    print(json.dumps(night_vs_script(sys.argv[1] if len(sys.argv) > 1 else "small"), indent=2))
