"""`python -m bench.one_night flow|plain NIGHT`: one night in this new process; prints its seconds, and whether it trained.

Both ways have imported Prefect before the clock starts, and what a night itself imports is counted for both.
"""

import json
import logging
import sys

from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

from bench.flights import PIPELINE, timed, trains
from domain.report import NightReport
from flows.nightly import nightly
from flows.outcome import outcome_of
from infra.settings import load_settings
from tasks.expectations import allow_preload
from tasks.night import take_night
from tasks.prepare import prepare


def take_plainly(label: str) -> NightReport:
    settings = load_settings()
    (definition,) = prepare(settings, PIPELINE)
    allow_preload()
    return take_night(definition, definition.pipeline.calendar.named(label), settings, trigger="command")


def take_through_prefect(label: str) -> NightReport:
    report = outcome_of(nightly(PIPELINE, label, return_state=True))
    assert isinstance(report, NightReport), report
    return report


if __name__ == "__main__":
    logging.getLogger("overnight").propagate = False
    how, night = sys.argv[1:]
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        seconds, report = timed(lambda: (take_through_prefect if how == "flow" else take_plainly)(night))
    print(json.dumps({"seconds": seconds, "trains": trains(report)}), flush=True)
