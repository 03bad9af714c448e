"""A rule of a suite in plain words, and its limits as figures that can be drawn."""

import re
from collections.abc import Mapping
from typing import Any

from web.words import plain

_WORDS = {
    "column_values_to_be_between": "{column} is {bounds}",
    "column_values_to_not_be_null": "{column} is filled",
    "column_values_to_be_null": "{column} is empty",
    "column_values_to_be_in_set": "{column} is one of {value_set}",
    "column_values_to_not_be_in_set": "{column} is none of {value_set}",
    "column_values_to_match_regex": "{column} looks like {regex}",
    "column_values_to_not_match_regex": "{column} does not look like {regex}",
    "column_values_to_be_unique": "no {column} comes twice",
    "column_value_lengths_to_be_between": "the length of {column} is {bounds}",
    "column_value_lengths_to_equal": "{column} is {value} characters long",
    "compound_columns_to_be_unique": "no pair of {columns} comes twice",
    "column_pair_values_a_to_be_greater_than_b": "{column_A} is above {column_B}",
    "column_pair_values_to_be_equal": "{column_A} equals {column_B}",
    "column_distinct_values_to_contain_set": "{column} has each of {value_set}",
    "column_distinct_values_to_be_in_set": "{column} has only {value_set}",
    "column_unique_value_count_to_be_between": "{column} has {bounds} different values",
    "column_mean_to_be_between": "the mean of {column} is {bounds}",
    "column_median_to_be_between": "the median of {column} is {bounds}",
    "column_stdev_to_be_between": "the spread of {column} is {bounds}",
    "column_min_to_be_between": "the smallest {column} is {bounds}",
    "column_max_to_be_between": "the largest {column} is {bounds}",
    "column_sum_to_be_between": "the sum of {column} is {bounds}",
    "column_proportion_of_non_null_values_to_be_between": "the filled share of {column} is {bounds}",
    "column_proportion_of_unique_values_to_be_between": "the share of {column} that is unique is {bounds}",
    "table_row_count_to_be_between": "the night has {bounds} rows",
    "table_row_count_to_equal": "the night has {value} rows",
}
_TIMES = {"{interval.start}": "the night's start", "{interval.end}": "its end"}
_NUMBER = r"(-?[\d,]*\.?\d+(?:e[-+]?\d+)?)"
_SHAPES = (
    (re.compile(rf"{_NUMBER}%"), (None, 0)),
    (re.compile(rf"{_NUMBER} to {_NUMBER}"), (0, 1)),
    (re.compile(rf"(?:at least|more than) {_NUMBER}"), (0, None)),
    (re.compile(rf"(?:at most|less than) {_NUMBER}"), (None, 0)),
)


def rule_title(result: Mapping[str, Any]) -> str:
    """What the rule asks, as people say it: the verdict's own sentence, and for verdicts that came before it had one, ours; there
    a rule that was given a name keeps it."""
    if result.get("says"):
        return str(result["says"])
    line = result.get("line")
    line = line if isinstance(line, Mapping) else {}
    name = str(result.get("expectation") or "")
    if line.get("name"):
        return str(line["name"])
    pattern = _WORDS.get(name)
    columns = [str(one) for one in result.get("columns") or [result.get("column")] if one]
    if pattern is None or not line:
        return str(result.get("rule") or name or "a rule").replace("_", " ")
    words = {key: _listed(value) for key, value in line.items()}
    try:
        return pattern.format(
            **{**words, "bounds": _bounds(line), "columns": " and ".join(columns), "column": ", ".join(columns)}
        )
    except KeyError:
        return str(result.get("rule") or name).replace("_", " ")


def _bounds(line: Mapping[str, Any]) -> str:
    low, high = line.get("min_value"), line.get("max_value")
    if low is not None and high is not None:
        return f"between {_listed(low)} and {_listed(high)}"
    if low is not None:
        return ("above " if line.get("strict_min") else "at least ") + _listed(low)
    return ("below " if line.get("strict_max") else "at most ") + _listed(high) if high is not None else "anything"


def _listed(value: Any) -> str:
    if isinstance(value, list):
        more = f" and {len(value) - 6} more" if len(value) > 6 else ""
        return ", ".join(_listed(one) for one in value[:6]) + more
    if isinstance(value, int | float) and not isinstance(value, bool):
        return plain(value)
    text = str(value)
    return _TIMES.get(text, text if len(text) <= 60 else f"{text[:59]}…")


def read_limit(limit: str) -> tuple[float | None, float | None]:
    """The lower and the upper bound of a limit's words, a share in percent; None for a side that has none."""
    for shape, places in _SHAPES:
        found = shape.fullmatch(limit.strip())
        if found:
            figures = [_figure(text) for text in found.groups()]
            low, high = (None if place is None else figures[place] for place in places)
            return low, high
    return None, None


def _figure(text: str) -> float | None:
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return None


def read_bounds(result: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """The bounds of single values that the rule draws, for the picture of its column; none for rules about anything else."""
    line = result.get("line")
    if result.get("expectation") != "column_values_to_be_between" or not isinstance(line, Mapping):
        return None, None
    low, high = (line.get("min_value"), line.get("max_value"))
    return _number(low), _number(high)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
