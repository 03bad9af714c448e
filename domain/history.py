"""Whether a night is as nights usually are: its figures beside those of the last published ones. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from domain.verdict import percent

LEAST = 3  # nights below which nothing is usual yet


@dataclass(frozen=True, slots=True)
class Usual:
    """What the last published nights left: of each figure the median, and how many of them had it.

    `figures` are found by column (none for the night itself) and name; `shares` are a column's values with their mean
    shares, `shared` in how many nights they were taken. `nights` says which ones in words.
    """

    nights: str
    figures: Mapping[tuple[str, str], tuple[float, int]] = field(default_factory=dict)
    shares: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    shared: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Judged:
    """What was said: whether it could be judged at all, the figure, what was usual, and the sentence."""

    state: Literal["passed", "failed", "not judged"]
    sentence: str
    observed: Any = None


def judge_number(
    said: str, figure: float | None, usual: Usual, place: tuple[str, str], *, within: float, points: bool = False
) -> Judged:
    """A figure beside its usual value: no further from it than `within` of it, or than so many points of a share."""
    median, nights = usual.figures.get(place, (0.0, 0))
    if nights < LEAST:
        return _too_few(usual, nights)
    if figure is None:
        return Judged("failed", f"{said.format('nothing')}, usually {_written(median, points)} ({usual.nights})")
    off = abs(figure - median) if points else _relative(figure, median)
    limit = f"{round(100 * within, 4):g} points" if points else percent(within)
    sentence = (
        f"{said.format(_written(figure, points))}, usually {_written(median, points)} ({usual.nights}), limit {limit} from that"
    )
    return Judged("passed" if off <= within else "failed", sentence, {"figure": figure, "usual": median, "nights": nights})


def judge_shares(column: str, shares: Mapping[str, float] | None, usual: Usual, *, within: float) -> Judged:
    """A column's categories beside their usual shares: the sum of what moved, which is half of all differences."""
    before, nights = usual.shares.get(column, {}), usual.shared.get(column, 0)
    if nights < LEAST:
        return _too_few(usual, nights)
    now = shares or {}
    moved = {value: now.get(value, 0.0) - before.get(value, 0.0) for value in {*before, *now}}
    off = sum(map(abs, moved.values())) / 2 if now else 1.0
    most = max(moved, key=lambda value: (abs(moved[value]), value))
    sentence = (
        f"{percent(off)} of {column} is another value than usual, most of all {most} with {percent(now.get(most, 0.0))}, "
        f"usually {percent(before.get(most, 0.0))} ({usual.nights}), limit {percent(within)}"
    )
    observed = {"moved": round(off, 6), "most": most, "nights": nights}
    return Judged("passed" if off <= within else "failed", sentence, observed)


def _too_few(usual: Usual, nights: int) -> Judged:
    return Judged("not judged", f"not enough history yet: {nights} of {usual.nights} are published, {LEAST} are needed")


def _relative(figure: float, median: float) -> float:
    if figure == median:
        return 0.0
    return abs(figure - median) / abs(median) if median else float("inf")


def _written(figure: float, points: bool) -> str:
    if points:
        return percent(figure)
    return f"{figure:,.0f}" if float(figure).is_integer() else f"{figure:,.4g}"
