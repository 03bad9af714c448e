"""What the rules found, read from Great Expectations' results, which come in several shapes."""

import re
from dataclasses import dataclass
from typing import Any

from tasks.expectations.suite import Rule

_DRIVER = re.compile(r"^\((?:psycopg|psycopg2)\.[\w.]+\) ")


@dataclass(frozen=True, slots=True)
class Finding:
    """What one rule found. `unexpected` is None for rules about the whole table, `error` empty unless it could not judge."""

    rule: Rule
    success: bool
    unexpected: int | None
    judged: int | None
    observed: Any
    error: str = ""


def finding_of(rule: Rule, result: Any, *, row_level: bool) -> Finding:
    """Great Expectations' result for one rule, None when it gave none, as a finding."""
    if result is None:
        return Finding(rule, False, None, None, None, "Great Expectations gave no answer for this rule")
    error = _error_of(result.exception_info)
    found = result.result or {}
    if not error and row_level and found.get("unexpected_count") is None and found.get("element_count"):
        error = "Great Expectations gave no count for this rule"
    unexpected = found.get("unexpected_count") if row_level else None
    return Finding(
        rule,
        success=bool(result.success) and not error,
        unexpected=None if error else (unexpected or 0) if row_level else None,
        judged=_judged(found),
        observed=_observed(found),
        error=error,
    )


def _observed(found: dict[str, Any]) -> Any:
    value = found.get("observed_value")
    if value is None and "unexpected_count" in found and "element_count" not in found:
        return {"unexpected values": found["unexpected_count"]}
    return _json(value)


def _judged(found: dict[str, Any]) -> int | None:
    """The rows that the rule looked at: empty values are none of its business unless it is about emptiness."""
    elements = found.get("element_count")
    return None if elements is None else int(elements) - int(found.get("missing_count") or 0)


def _json(value: Any) -> Any:
    """Figures as JSON holds them: NumPy's and the database's own number types among them."""
    if isinstance(value, dict):
        return {str(key): _json(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set):
        return [_json(one) for one in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    try:
        return float(value)
    except (TypeError, ValueError):
        return str(value)


def _error_of(info: Any) -> str:
    """The message of an exception, in whichever of its two shapes it is reported; empty when there was none."""
    if not info:
        return ""
    if "raised_exception" in info:
        return _readable(info) if info["raised_exception"] else ""
    return "; ".join(dict.fromkeys(_readable(one) for one in info.values() if one.get("raised_exception", True)))


def _readable(info: Any) -> str:
    return _DRIVER.sub("", first_line(info.get("exception_message") or "it failed without a message"))


def first_line(error: object) -> str:
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0][:300]
