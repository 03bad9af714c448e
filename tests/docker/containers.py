"""The containers of a test's own: other files' tests run beside it, on the same engine."""

from typing import Any

from infra.settings import Settings
from tasks.runners import _ledger_label


def containers(engine: Any, settings: Settings, **labels: object) -> list[Any]:
    """Those of the ledger of these settings that carry `labels`, in whatever state."""
    filters = {"label": [f"overnight.{name}={value}" for name, value in {**_ledger_label(settings), **labels}.items()]}
    return list(engine.containers.list(all=True, filters=filters, ignore_removed=True))
