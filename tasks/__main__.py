"""`python -m tasks STAGE --run ID`: one stage, alone, as a container runs it."""

import argparse
import json
import logging
import sys

from domain.errors import OvernightError, UsageError
from domain.words import Stage
from infra.settings import load_settings
from tasks.perform import perform


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tasks", description=__doc__)
    parser.add_argument("stage", choices=[str(stage) for stage in Stage])
    parser.add_argument("--run", type=int, required=True, help="the number of a run that is open in the ledger")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        report = perform(Stage(arguments.stage), arguments.run, load_settings())
    except LookupError as error:
        print(UsageError(str(error), hint="overnight runs"), file=sys.stderr)
        return UsageError.exit_code
    except OvernightError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(json.dumps(report.to_json(), default=str))
    return 0


if __name__ == "__main__":
    sys.exit(main())
