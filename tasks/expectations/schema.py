"""The JSON Schema of `expectations.yaml`: every expectation's name, and the arguments that each of them takes."""

from typing import Any

from deployments.schema import DIALECT
from domain.words import Severity
from tasks.expectations import history

_OWN: dict[str, Any] = {
    "name": {"type": "string", "description": "what rejects and pages call the rule"},
    "severity": {"enum": [str(one) for one in Severity], "description": "critical holds the night, warning only tells"},
    "notes": {"type": "string", "description": "for those who read the verdict"},
    "at_most": {"type": ["string", "integer", "number"], "description": "rows that may fail: a share such as 1%, or a number"},
}
_COLUMN = {"type": "string", "description": "a column of the contract"}
_KNOWN: dict[str, Any] = {
    "column": _COLUMN,
    "column_A": _COLUMN,
    "column_B": _COLUMN,
    "mostly": {"type": "number", "minimum": 0, "maximum": 1, "description": "the share of rows that must hold"},
    "row_condition": {"type": "string", "description": "the rows that the rule is about"},
    "sql": {"type": "string", "description": "a condition on one row, as SQL"},
    "nights": {"type": "integer", "minimum": 1, "description": "how many earlier nights it is compared with"},
    "same_weekday": {"type": "boolean", "description": "whether only nights of the same weekday count"},
    "within": {"type": ["string", "number"], "description": "how far it may be from them, such as 40%"},
}


def expectations_schema() -> dict[str, Any]:
    """A list of lines; for each expectation, no argument that it does not take."""
    from tasks.expectations import engine

    arguments = {name: engine.argument_names(name) or frozenset() for name in engine.expectation_names()}
    arguments |= history.EXPECTATIONS
    lines = [_line(name, taken) for name, taken in sorted(arguments.items())]
    return {
        "$schema": DIALECT,
        "title": "expectations.yaml",
        "description": "What a night's rows must look like, a line each.",
        "type": ["array", "null"],
        "items": {
            "type": "object",
            "required": ["expect"],
            "properties": {"expect": {"enum": sorted(arguments)}},
            "allOf": lines,
        },
    }


def _line(name: str, taken: frozenset[str]) -> dict[str, Any]:
    keys = {"expect": True} | {key: _KNOWN.get(key, True) for key in sorted(taken)} | _OWN
    return {
        "if": {"properties": {"expect": {"const": name}}},
        "then": {"properties": keys, "additionalProperties": False},
    }
