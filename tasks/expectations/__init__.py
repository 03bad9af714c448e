"""Great Expectations behind one file: a suite is read strictly, linted on no rows, and judged inside Postgres.

`suite` reads the lines of `expectations.yaml`; `engine` is the only file that imports Great Expectations, when it is
first needed; `audit` shows it a batch through a temporary view; `rejects` moves the rows that rules caught.
"""

import importlib
import threading


def preload() -> threading.Thread:
    """Imports Great Expectations in the background (about 3 s of one core), so that it overlaps what comes before.

    Safe to call twice; whoever needs it first waits for the import and no longer.
    """
    # Great Expectations imports SQLAlchemy's mapper, which hooks itself into statements of other threads half imported.
    importlib.import_module("sqlalchemy.orm")
    thread = threading.Thread(target=_import, name="preload great_expectations", daemon=True)
    thread.start()
    return thread


def _import() -> None:
    importlib.import_module("tasks.expectations.engine")
