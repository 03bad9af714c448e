"""The yes/no question that turns a column into a label: one column, one comparison, one literal."""

import json
import re
from dataclasses import dataclass
from typing import Literal

Comparison = Literal["==", "!=", ">", ">=", "<", "<="]
_RULE = re.compile(r"^\s*(\w+)\s*(==|!=|>=|<=|>|<)\s*(.+?)\s*$")


@dataclass(frozen=True, slots=True)
class Rule:
    """`column comparison literal`; small enough to be read by SQL and pandas alike, and never evaluated as code."""

    column: str
    comparison: Comparison
    literal: float | str | bool


def parse_rule(text: str, *, column: str) -> Rule:
    """Reads `arr_delay > 15` or `status == "churned"`; raises ValueError for anything else."""
    match = _RULE.match(text)
    if not match or match[1] != column:
        raise ValueError(f"{text!r} is not a comparison of {column} with a value, such as '{column} > 15'")
    try:
        literal = json.loads(match[3])
    except json.JSONDecodeError:
        literal = match[3].strip("'")
    if not isinstance(literal, int | float | str | bool):
        raise ValueError(f"{text!r} compares with {match[3]}, which is no number, text or true/false")
    comparison: Comparison = match[2]  # type: ignore[assignment]  # the pattern admits these six only
    return Rule(match[1], comparison, literal)
