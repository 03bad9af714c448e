"""Rules that compare a night with earlier ones: what they are called, what they take, and what they say of a night.

They need no scan of their own: each night's figures are recorded when it is judged, and compared with those that the last
published nights left (`store.figures`). Too few of these, and a rule says so instead of judging.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from domain.history import LEAST, Judged, Usual, judge_number, judge_shares

if TYPE_CHECKING:
    from tasks.expectations.suite import Rule

__all__ = ["EXPECTATIONS", "LEAST", "NIGHTS", "can_judge", "judge_night"]

NIGHTS = 6
_EVERY = frozenset({"nights", "same_weekday", "within"})
EXPECTATIONS: Mapping[str, frozenset[str]] = {
    "row_count_to_be_near_history": _EVERY,
    "column_mean_to_be_near_history": _EVERY | {"column"},
    "column_null_share_to_be_near_history": _EVERY | {"column"},
    "column_shares_to_be_near_history": _EVERY | {"column"},
}
_KINDS = {
    "column_mean_to_be_near_history": ("int", "float", "decimal", "bool"),
    "column_shares_to_be_near_history": ("text", "bool"),
}


def can_judge(expectation: str, kind: str) -> bool:
    """Whether columns of a type have the figure that an expectation compares."""
    return kind in _KINDS.get(expectation, (kind,))


def judge_night(rule: "Rule", figures: Mapping[str, Any], usual: Usual) -> Judged:
    """What a rule says of a night's own figures beside the usual ones."""
    within = float(rule.arguments["within"])
    if rule.expectation == "row_count_to_be_near_history":
        return judge_number("the night has {} rows", figures["rows"], usual, ("", "rows"), within=within)
    column = rule.columns[0]
    own = figures["columns"].get(column, {})
    if rule.expectation == "column_mean_to_be_near_history":
        return judge_number(f"the mean of {column} is {{}}", own.get("mean"), usual, (column, "mean"), within=within)
    if rule.expectation == "column_null_share_to_be_near_history":
        place = (column, "null_share")
        return judge_number(f"{{}} of {column} is empty", own.get("null_share"), usual, place, within=within, points=True)
    return judge_shares(column, own.get("shares"), usual, within=within)
