"""Great Expectations behind one file: a suite is read strictly, linted on no rows, and judged inside Postgres.

`suite` reads the lines of `expectations.yaml`; `engine` is the only file that imports Great Expectations, when it is
first needed; `audit` shows it a batch through a temporary view; `rejects` moves the rows that rules caught.
"""

import importlib
import importlib.util
import sys
import threading

_import: threading.Thread | None = None
_allowed = False


def put_off_statistics() -> None:
    """Lets scipy.stats be imported when somebody first asks it for something: Great Expectations imports it for one expectation,
    and it is a third of the time. For a process of one thread that will do nothing but validate."""
    scipy, name = importlib.import_module("scipy"), "scipy.stats"
    spec = importlib.util.find_spec(name)
    if name in sys.modules or spec is None or spec.loader is None:
        return
    spec.loader = importlib.util.LazyLoader(spec.loader)
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    scipy.stats = module  # type: ignore[attr-defined]  # as an import would have


def allow_preload() -> None:
    """Says that this process will validate what it ingests, so that the import may begin while rows are loaded."""
    global _allowed
    _allowed = True


def preload() -> None:
    """Begins to import Great Expectations (about 3 s of one core) in the background, where `allow_preload` was called.

    Two threads that import at the same time can wait for each other for ever, so the one that calls this must have
    imported all that it needs until `settle`.
    """
    global _import
    if _allowed and _import is None:
        # Great Expectations imports SQLAlchemy's mapper, which hooks itself into other threads' statements half imported.
        importlib.import_module("sqlalchemy.orm")
        _import = threading.Thread(target=importlib.import_module, args=("tasks.expectations.engine",), daemon=True)
        _import.start()


def settle() -> None:
    """Waits for an import that has begun; called before any stage that imports."""
    if _import is not None:
        _import.join()
