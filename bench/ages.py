"""Whether nights get slower as they pile up: an old home and a young one take the same nights of real flights in turn.

The young home's pipeline begins so late that both come to the same dates, which have the same rows, and both meet the same
weather on the machine. `ratio` is the median of old / young, night by night: lower is better, 1 means that age costs nothing.
"""

import json
import re
import shutil
import statistics
import sys
from time import perf_counter

from bench.clock import own_peak
from bench.flights import PIPELINE, flights_home, timed, trains
from bench.scaling.house import nights_of
from deployments.catalogue import Definition
from domain.interval import Interval
from domain.report import NightReport
from infra.settings import Settings
from tasks.night import take_night
from tasks.prepare import prepare

AGES = {"small": (30, 90), "full": (30, 365)}
COUNTED = 20  # nights at the end of both, of which those that train are left out


def night_365_vs_night_30(size: str = "small") -> dict[str, dict[str, float]]:
    young_age, old_age = AGES[size]
    with flights_home("old") as grown, flights_home("young") as fresh:
        (old,) = prepare(grown, PIPELINE)
        nights = nights_of(old, old_age)
        began = perf_counter()
        rows = sum(_take(old, night, grown)[1].rows_read for night in nights[:-COUNTED])
        backfill = perf_counter() - began
        settings, young = _begin_at(fresh, nights[-young_age])
        for night in nights[-young_age:-COUNTED]:
            _take(young, night, settings)
        pairs = list[tuple[float, float]]()
        for number, night in enumerate(nights[-COUNTED:]):
            sides = {"old": (old, grown), "young": (young, settings)}
            order = ("old", "young") if number % 2 else ("young", "old")
            taken = {side: _take(sides[side][0], night, sides[side][1]) for side in order}
            rows, backfill = rows + taken["old"][1].rows_read, backfill + taken["old"][0]
            if not any(trains(report) for _, report in taken.values()):
                pairs.append((taken["old"][0], taken["young"][0]))
    return {
        "night_365_vs_night_30": {
            "ratio": round(statistics.median(now / then for now, then in pairs), 3),
            "ours": round(statistics.median(now for now, _ in pairs), 3),
            "other": round(statistics.median(then for _, then in pairs), 3),
            "nights": old_age, "rows": rows, "seconds": round(backfill, 1), "rounds": len(pairs), "peak_mb": round(own_peak()),
        }
    }  # fmt: skip


def _take(definition: Definition, night: Interval, settings: Settings) -> tuple[float, NightReport]:
    return timed(lambda: take_night(definition, night, settings, trigger="backfill"))


def _begin_at(settings: Settings, first: Interval) -> tuple[Settings, Definition]:
    """The same pipeline in a folder of this home, from that night on."""
    begun = settings.model_copy(update={"deployments": settings.home / "deployments"})
    shutil.copytree(settings.deployments / PIPELINE, begun.deployments / PIPELINE)
    path = begun.deployments / PIPELINE / "pipeline.yaml"
    path.write_text(re.sub(r"from: [\d-]+", f"from: {first.start:%Y-%m-%d}", path.read_text(), count=1))
    return begun, prepare(begun, PIPELINE)[0]


if __name__ == "__main__":
    print(json.dumps(night_365_vs_night_30(sys.argv[1] if len(sys.argv) > 1 else "small"), indent=2), flush=True)
