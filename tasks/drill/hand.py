"""`python -m tasks.drill.hand`: takes nights in forked children that may be killed, without paying for imports each time.

Reads one JSON object a line: {"pipeline", "night", "settings", "retrain", and at most one of "die_before": a stage, "die_after":
a stage, "die_after_seconds": a number}. Answers with one: {"signal", "report" or "error", "seconds"}.
"""

import contextlib
import importlib
import json
import logging
import os
import signal
import sys
import threading
from time import monotonic
from typing import Any

from deployments.catalogue import load_definition
from domain.errors import OvernightError
from domain.report import StageReport
from domain.words import Stage
from infra.settings import Settings, load_settings
from tasks.night import take_night
from tasks.perform import perform, stage_function

_HEAVY = ("skops.io", "tasks.expectations.engine", "sklearn.ensemble", "pandas")  # imported before the fork


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _take(order: dict[str, Any]) -> dict[str, Any]:
    settings = load_settings().model_copy(update=order["settings"])
    definition = load_definition(settings.deployments, order["pipeline"])

    def call(stage: Stage, run_id: int, settings: Settings) -> StageReport:
        if order.get("die_before") == stage:
            _die()
        report = perform(stage, run_id, settings)
        if order.get("die_after") == stage:
            _die()
        return report

    night, holder = definition.pipeline.calendar.named(order["night"]), {"retrain": True} if order.get("retrain") else {}
    try:
        report = take_night(definition, night, settings, trigger="drill", call=call, holder=holder)
        return {"report": report.to_json(), "exit_code": report.exit_code}
    except OvernightError as error:
        return {"error": str(error), "exit_code": error.exit_code}


def _take_in_child(order: dict[str, Any]) -> dict[str, Any]:
    reading, writing = os.pipe()
    began = monotonic()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.write(writing, json.dumps(_take(order), default=str).encode())
        os._exit(0)
    os.close(writing)
    timer = threading.Timer(order.get("die_after_seconds", 3600), _kill, [child])
    timer.start()
    with os.fdopen(reading) as pipe:
        told = pipe.read()
    _, status = os.waitpid(child, 0)
    timer.cancel()
    timer.join()
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    return {"signal": number, "seconds": round(monotonic() - began, 3), **(json.loads(told) if told and not number else {})}


def _kill(child: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)


def main() -> None:
    logging.getLogger("overnight").setLevel(logging.CRITICAL)
    answers = os.fdopen(int(sys.argv[1]), "w", buffering=1)
    for stage in Stage:
        stage_function(stage)
    for name in _HEAVY:
        importlib.import_module(name)
    print("ready", file=answers)
    for line in sys.stdin:
        print(json.dumps(_take_in_child(json.loads(line))), file=answers)


if __name__ == "__main__":
    main()
