"""Takes nights in forked children, so that a test can kill many of them without paying for the imports each time.

Reads one JSON object a line: {"pipeline", "day", and at most one of "die_before": a stage, "die_after": a stage,
"die_at_statement": a number, "die_after_seconds": a number}. Answers with one: {"signal", "report"}.
"""

import json
import os
import signal
import sys
import threading
from typing import Any

import sqlalchemy as sa

import tasks.ingest
import tasks.observe
import tasks.publish
import tasks.score
import tasks.train
import tasks.validate  # noqa: F401  # imported before the fork
from deployments.catalogue import load_definition
from domain.report import StageReport
from domain.words import Stage
from infra.settings import Settings, load_settings
from tasks.night import take_night
from tasks.perform import perform


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _count_statements(limit: int) -> None:
    seen = 0

    def count(*_: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == limit:
            _die()

    sa.event.listen(sa.Engine, "before_cursor_execute", count)
    sa.event.listen(sa.Engine, "commit", count)


def _take(order: dict[str, Any], answer: int) -> None:
    settings = load_settings()
    definition = load_definition(settings.deployments, order["pipeline"])
    if "die_at_statement" in order:
        _count_statements(order["die_at_statement"])

    def call(stage: Stage, run_id: int, settings: Settings) -> StageReport:
        if order.get("die_before") == stage:
            _die()
        report = perform(stage, run_id, settings)
        if order.get("die_after") == stage:
            _die()
        return report

    report = take_night(definition, definition.pipeline.calendar.named(order["day"]), settings, trigger="test", call=call)
    os.write(answer, json.dumps(report.to_json(), default=str).encode())


def main() -> None:
    import skops.io  # noqa: F401

    import tasks.expectations.engine  # noqa: F401

    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        read_end, write_end = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(read_end)
            _take(order, write_end)
            os._exit(0)
        os.close(write_end)
        timer = threading.Timer(order.get("die_after_seconds", 3600), os.kill, (child, signal.SIGKILL))
        timer.start()
        with os.fdopen(read_end) as pipe:
            told = pipe.read()
        _, status = os.waitpid(child, 0)
        timer.cancel()
        timer.join()
        print(json.dumps({"signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0,
                          "report": json.loads(told) if told else None}), flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
