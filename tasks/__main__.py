"""`python -m tasks STAGE --run ID`: one stage, alone, as a container runs it."""

import argparse
import json
import logging
import os
import sys
import threading

from domain.errors import OvernightError, UsageError
from domain.words import Stage
from infra.passages import use_passage
from infra.settings import Settings, load_settings
from tasks.collector import collect_late
from tasks.expectations import put_off_what_is_seldom_needed
from tasks.perform import perform


def main() -> int:
    collect_late()
    parser = argparse.ArgumentParser(prog="python -m tasks", description=__doc__)
    parser.add_argument("stage", choices=[str(stage) for stage in Stage])
    parser.add_argument("--run", type=int, required=True, help="the number of a run that is open in the ledger")
    parser.add_argument("--attached", action="store_true", help="settings come on standard input, whose end ends the stage")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("overnight").setLevel(logging.INFO)
    try:
        use_passage()
        settings = read_settings() if arguments.attached else load_settings()
        if arguments.stage == Stage.VALIDATE:
            put_off_what_is_seldom_needed()
        report = perform(Stage(arguments.stage), arguments.run, settings)
    except LookupError as error:
        print(UsageError(str(error), hint="overnight runs"), file=sys.stderr)
        return UsageError.exit_code
    except OvernightError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(json.dumps(report.to_json(), default=str))
    return 0


def read_settings() -> Settings:
    """Takes what may stand in no environment or file from standard input, and ends this process when the other side goes."""
    with open(0, "rb", buffering=0, closefd=False) as unbuffered:
        given = json.loads(unbuffered.readline())
    os.environ.update(given.pop("environment", {}))
    threading.Thread(target=_end_with_input, name="lifeline", daemon=True).start()
    return load_settings().model_copy(update=given)


def _end_with_input() -> None:
    while os.read(0, 4096):  # not through sys.stdin, whose lock Python wants when it ends
        pass
    os._exit(143)


if __name__ == "__main__":
    sys.exit(main())
