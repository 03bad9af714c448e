"""Great Expectations behind one file: a suite is read strictly, linted on no rows, and judged inside Postgres.

`suite` reads the lines of `expectations.yaml`; `engine` is the only file that imports Great Expectations, when it is
first needed; `audit` shows it a batch through a temporary view; `rejects` moves the rows that rules caught.
"""

import importlib
import sys
import threading
from types import ModuleType
from typing import Any

_import: threading.Thread | None = None
_allowed = False
_SELDOM_NEEDED = ("scipy.stats", "altair")  # by one expectation each: a distribution's test, and the drawing of one


def put_off_what_is_seldom_needed() -> None:
    """Lets what Great Expectations imports for single expectations wait until one of them asks: nearly half of the time that
    its import takes. For a process of one thread that will do nothing but validate."""
    for name in _SELDOM_NEEDED:
        if name not in sys.modules:
            _stand_in(name)


def _stand_in(name: str) -> None:
    """A module in its name's place that imports it when it is first asked for anything."""

    def ask(attribute: str) -> Any:
        if attribute.startswith("__") and attribute != "__path__":  # whoever looks through all modules wants nothing of it
            raise AttributeError(attribute)
        if sys.modules.get(name) is module:
            del sys.modules[name]
        return getattr(importlib.import_module(name), attribute)

    module = ModuleType(name)
    module.__getattr__ = ask  # type: ignore[method-assign]  # PEP 562
    sys.modules[name] = module
    parent, _, last = name.rpartition(".")
    if parent:
        setattr(importlib.import_module(parent), last, module)


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
