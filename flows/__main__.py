"""`python -m flows nightly|backfill …`: takes nights in this process and shows them on the Prefect server that runs.

Progress goes to stderr. With --json, stdout has one JSON object a night, as each night ends.
"""

import argparse
import atexit
import gc
import json
import logging
import os
import signal
import sys
from typing import Any, get_args

from domain.errors import EXIT_FAILED, OvernightError
from domain.planning import ModelMode
from domain.report import NightReport, worst_exit_code
from infra.prefect_api import need_server
from infra.prefect_home import prefect_environment, prefect_folder
from infra.settings import Settings, load_settings
from tasks.stopping import stopping_between_imports


def main() -> int:
    arguments = _parser().parse_args()
    atexit.register(gc.freeze)  # what ends anyway need not be taken apart
    _log_to_stderr(logging.WARNING if arguments.quiet else logging.INFO)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a night that is stopped closes its line in the ledger
    try:
        with stopping_between_imports():
            _face_the_server(load_settings())
            return _run(arguments)
    except OvernightError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("stopped by hand; what was published stays, and the next run goes on from there", file=sys.stderr)
        return EXIT_FAILED


def _log_to_stderr(level: int) -> None:
    """Our lines go to stderr from `level` on; all of them go to Prefect, which shows them beside their run."""
    handler = logging.StreamHandler()
    handler.setLevel(level)
    handler.setFormatter(logging.Formatter("%(message)s"))
    log = logging.getLogger("overnight")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m flows", description=__doc__)
    commands = parser.add_subparsers(dest="flow", required=True)
    nightly = commands.add_parser("nightly", help="one night")
    nightly.add_argument("--interval", help="the night; without it, the newest that has ended")
    backfill = commands.add_parser("backfill", help="many nights, oldest first")
    backfill.add_argument("--from", dest="start", required=True, help="the first night")
    backfill.add_argument("--to", dest="end", required=True, help="the last night")
    backfill.add_argument("--mode", choices=["missing", "failed", "changed", "all"], default="all", help="which of them")
    backfill.add_argument("--nights", type=lambda text: text.split(","), help="these alone, commas between them")
    backfill.add_argument("--parallel", type=int, default=1, help="at most so many nights side by side")
    for command in (nightly, backfill):
        command.add_argument("--tell", action="store_true", help="wake messages and webhook as a night of the schedule does")
        command.add_argument("pipeline")
        command.add_argument("--model", choices=get_args(ModelMode), default="as-due", help="which model scores")
        command.add_argument("--json", action="store_true", help="one JSON object a night on stdout")
        command.add_argument("--quiet", action="store_true", help="no progress on stderr, for a caller that shows its own")
    return parser


def _face_the_server(settings: Settings) -> None:
    """Sets Prefect up for this process, before anything imports it: Prefect reads its settings from the environment."""
    os.environ.update(prefect_environment(settings, url=need_server(settings)))
    prefect_folder(settings).mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")


def _run(arguments: argparse.Namespace) -> int:
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    from flows.backfill import backfill
    from flows.nightly import nightly
    from flows.outcome import listening, outcome_of

    def listen(report: NightReport, number: int, total: int) -> None:
        if arguments.json:
            about = {"exit_code": report.exit_code, "number": number, "of": total}
            print(json.dumps(report.to_json() | about, default=str), flush=True)

    # A heartbeat is for runs that a worker started; ours would cost a second to stop.
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}), listening(listen):
        if arguments.flow == "nightly":
            state: Any = nightly(arguments.pipeline, arguments.interval, arguments.model, tell=arguments.tell, return_state=True)
        else:
            asked = (arguments.pipeline, arguments.start, arguments.end, arguments.mode, arguments.nights)
            how = {"model": arguments.model, "parallel": arguments.parallel, "tell": arguments.tell}
            state = backfill(*asked, **how, return_state=True)
    if state.is_cancelled():
        print(state.message, file=sys.stderr)
        return EXIT_FAILED
    return _exit_code(outcome_of(state))


def _exit_code(outcome: object) -> int:
    if isinstance(outcome, OvernightError):
        print(outcome, file=sys.stderr)
        return outcome.exit_code
    if isinstance(outcome, Exception):
        print(f"unexpected {type(outcome).__name__}: {outcome}", file=sys.stderr)
    if isinstance(outcome, NightReport):
        return outcome.exit_code
    return worst_exit_code(one.exit_code for one in outcome) if isinstance(outcome, list) else EXIT_FAILED


if __name__ == "__main__":
    sys.exit(main())
