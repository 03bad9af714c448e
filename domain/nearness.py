"""Expectations that compare a night with earlier ones of its kind, proposed from how far nights were from each other. Pure."""

from collections.abc import Callable, Mapping, Sequence
from math import ceil
from statistics import fmean, median
from typing import Any

from domain.history import LEAST
from domain.suggestion import NightShape, Suggestion

NIGHTS = 6
_ENOUGH = 2 * LEAST  # comparisons below which nothing is known of how far nights are from each other
_LEFT = 2  # earlier nights of its kind that a night needs, to be compared while proposing

Earlier = Sequence[tuple[NightShape, Sequence[NightShape]]]


def suggest_nearness(nights: Sequence[NightShape]) -> list[Suggestion]:
    """Lines about rows, means and shares beside the last nights, of the same weekday where there were weeks enough."""
    same = [(night, [one for one in nights[:place] if one.kind == night.kind][-NIGHTS:]) for place, night in enumerate(nights)]
    pairs: Earlier = [(night, before) for night, before in same if len(before) >= _LEFT]
    same_weekday = len(pairs) >= _ENOUGH and len({night.kind for night in nights}) > 1
    if not same_weekday:
        pairs = [(night, nights[max(0, place - NIGHTS) : place]) for place, night in enumerate(nights) if place >= LEAST]
    if len(pairs) < _ENOUGH:
        return []
    usual: dict[str, Any] = {"nights": NIGHTS} if same_weekday else {"nights": NIGHTS, "same_weekday": False}
    told = "the earlier nights of the same weekday" if same_weekday else f"the {NIGHTS} nights before"
    names = [name for name in nights[-1].columns if all(name in night.columns for night in nights)]
    found = [_rows(pairs, usual, told)]
    for name in names:
        found += [_mean(name, pairs, usual, told), _empty(name, pairs, usual, told), _shares(name, pairs, usual, told)]
    return [suggestion for suggestion in found if suggestion is not None]


def _furthest(pairs: Earlier, figure: Callable[[NightShape], float], *, points: bool = False) -> float:
    """How far the furthest night was from the median of those before it."""
    found = []
    for night, before in pairs:
        middle = median(map(figure, before))
        off = abs(figure(night) - middle)
        found.append(off if points else off / abs(middle) if middle else 0.0 if off == 0 else float("inf"))
    return max(found)


def _rows(pairs: Earlier, usual: Mapping[str, Any], told: str) -> Suggestion | None:
    off = _furthest(pairs, lambda night: night.rows)
    return _line({"expect": "row_count_to_be_near_history", **usual}, off, _allowed(off, least=0.3, times=2), told, most=1.0)


def _mean(name: str, pairs: Earlier, usual: Mapping[str, Any], told: str) -> Suggestion | None:
    """Of columns that are always filled: what is left of the others on a bad night is no fair sample."""
    every = [shape.columns[name] for night, before in pairs for shape in (night, *before)]
    if any(shape.numbers is None or shape.filled < 1 for shape in every):
        return None
    off = _furthest(pairs, lambda night: (night.columns[name].numbers or (0, 0, 0, 0))[2])
    line = {"expect": "column_mean_to_be_near_history", "column": name, **usual}
    return _line(line, off, _allowed(off, least=0.05, times=3), told, most=0.3)


def _empty(name: str, pairs: Earlier, usual: Mapping[str, Any], told: str) -> Suggestion | None:
    """Of columns that are empty at times. It only tells: bad nights of that kind happen (a blizzard)."""
    if all(night.columns[name].filled in (0, 1) for night, _ in pairs):
        return None
    off = _furthest(pairs, lambda night: 1 - night.columns[name].filled, points=True)
    line = {"expect": "column_null_share_to_be_near_history", "column": name, **usual}
    return _line(line, off, _allowed(off, least=0.05, times=3), told, most=0.3, points=True, severity="warning")


def _shares(name: str, pairs: Earlier, usual: Mapping[str, Any], told: str) -> Suggestion | None:
    every = [shape.columns[name].shares for night, before in pairs for shape in (night, *before)]
    if any(not shares or len(shares) < 2 for shares in every):
        return None
    off = max(_moved(night.columns[name].shares, [one.columns[name].shares for one in before]) for night, before in pairs)
    line = {"expect": "column_shares_to_be_near_history", "column": name, **usual}
    return _line(line, off, _allowed(off, least=0.05, times=2.5), told, most=0.5, points=True)


def _moved(now: Mapping[str, float], before: Sequence[Mapping[str, float]]) -> float:
    """Half of all differences between a night's shares and the mean shares of others."""
    values = {value for one in (now, *before) for value in one}
    return sum(abs(now.get(value, 0.0) - fmean(one.get(value, 0.0) for one in before)) for value in values) / 2


def _allowed(off: float, *, least: float, times: float) -> float:
    """How far a night may be: some times what was seen, in steps of 5%."""
    return max(least, ceil(20 * times * off) / 20) if off < float("inf") else float("inf")


def _line(
    line: dict[str, Any], off: float, within: float, told: str, *, most: float, points: bool = False, severity: str = ""
) -> Suggestion | None:
    """The suggestion; none for a figure that differs so much from night to night that nothing is usual."""
    if within > most:
        return None
    written = {**line, "within": f"{100 * within:g}%"} | ({"severity": severity} if severity else {})
    seen = f"{100 * off:.1f} points" if points else f"{100 * off:.1f}%"
    return Suggestion(written, f"never more than {seen} from {told}")
