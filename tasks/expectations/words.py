"""Values as people write them."""

import re
from typing import Any

_MOMENT = re.compile(r"^(\d{4}-\d\d-\d\d)T(\d\d:\d\d)")


def listed(value: Any) -> str:
    """A value as it stands in a sentence; long lists are cut, moments lose what nobody reads."""
    if isinstance(value, list | tuple):
        texts = [listed(one) for one in value[:8]]
        return ", ".join(texts) + (f" and {len(value) - 8} more" if len(value) > 8 else "")
    if isinstance(value, dict):
        return ", ".join(f"{key} {listed(one)}" for key, one in value.items())
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.1f}".removesuffix(".0")
    if isinstance(value, str) and (moment := _MOMENT.match(value)):
        return f"{moment[1]} {moment[2]}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
