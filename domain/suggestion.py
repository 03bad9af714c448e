"""Expectations proposed from what earlier nights looked like. Pure: figures of nights in, lines with their reasons out.

Bounds are wide on purpose: a line that holds a clean night is worse than one that misses a small damage. Figures that hardly
vary between nights get narrow bounds, those that vary get wide ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, floor, log10
from statistics import fmean, pstdev
from typing import Any

Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ColumnShape:
    """One column on one night. `numbers` are min, max, mean and standard deviation; `categories` are there when few, with
    their `shares`; `shape` is the pattern that every text of the column meets, if a simple one does."""

    filled: float
    different: int
    numbers: tuple[float, float, float, float] | None = None
    lengths: tuple[int, int] | None = None
    categories: frozenset[str] | None = None
    shape: str = ""
    shares: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NightShape:
    """One night: its rows, its columns, and figures about pairs of them: `correlations`, and `per_value`, how many
    different values of the second there are for one of the first. Nights of the same `kind` can be compared: those of one
    weekday, at one time of day."""

    rows: int
    columns: Mapping[str, ColumnShape]
    correlations: Mapping[tuple[str, str], float] = field(default_factory=dict)
    per_value: Mapping[tuple[str, str], float] = field(default_factory=dict)
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One line of a suite, and what it was derived from."""

    line: Line
    why: str


def suggest_rules(nights: Sequence[NightShape], *, moments: Sequence[str] = ()) -> list[Suggestion]:
    """Lines that all of these nights would pass. `moments` are the timestamp columns that always lie in their interval."""
    if not nights:
        return []
    names = [name for name in nights[0].columns if all(name in night.columns for night in nights)]
    found = [_rows(nights)]
    for name in names:
        shapes = [night.columns[name] for night in nights]
        found += [*_filled(name, shapes), *_numbers(name, shapes), *_categories(name, shapes), *_texts(name, shapes)]
    found += [*_moments(moments), *_correlations(nights), *_dependencies(nights)]
    return found


def _rows(nights: Sequence[NightShape]) -> Suggestion:
    low, high = min(night.rows for night in nights), max(night.rows for night in nights)
    line = {"expect": "table_row_count_to_be_between", "min_value": floor(low * 0.7), "max_value": ceil(high * 1.4)}
    return Suggestion(line, f"{low:,} to {high:,} rows")


def _filled(name: str, shapes: Sequence[ColumnShape]) -> list[Suggestion]:
    """How much of a column is filled, from a quarter of the least: real nights of few values happen (a blizzard)."""
    least, most = min(shape.filled for shape in shapes), max(shape.filled for shape in shapes)
    if most == 0:
        return []
    line: Line = {"expect": "column_proportion_of_non_null_values_to_be_between", "column": name, "min_value": _down(least / 4)}
    if least == 1:
        line["min_value"] = 0.9
    return [Suggestion(line, f"{least:.1%} to {most:.1%} filled")]


def _numbers(name: str, shapes: Sequence[ColumnShape]) -> list[Suggestion]:
    known = [shape.numbers for shape in shapes if shape.numbers is not None]
    if len(known) < len(shapes) or not known:
        return []
    low, high = min(one[0] for one in known), max(one[1] for one in known)
    reach = high - low
    floor_ = 0.0 if low >= 0 else _down(low - reach)
    rows = {"expect": "column_values_to_be_between", "column": name, "min_value": floor_, "max_value": _up(high + reach)}
    found = [Suggestion(rows, f"{low:g} to {high:g}")]
    means, spreads = [one[2] for one in known], [one[3] for one in known]
    within, whole = fmean(spreads), min(shape.filled for shape in shapes) == 1
    if within > 0:
        found += [
            _between("column_mean_to_be_between", name, means, slack=_slack(means, within, whole=whole)),
            _between(
                "column_stdev_to_be_between", name, spreads, slack=_slack(spreads, within, whole=whole), least=min(spreads) * 0.2
            ),
        ]
    return found


def _slack(figures: Sequence[float], within: float, *, whole: bool) -> float:
    """How far a nightly figure may leave what was seen: little where it hardly varied against the spread within a night.

    Not so for a column that is empty at times: on a bad night those that are left are no fair sample.
    """
    varied = pstdev(figures)
    return max(4 * varied, 0.08 * within) if whole and varied < 0.1 * within else 4 * varied + 1.5 * within


def _between(expect: str, name: str, figures: Sequence[float], *, slack: float, least: float | None = None) -> Suggestion:
    low, high = min(figures) - slack, max(figures) + slack
    if least is not None:
        low = max(low, least)
    line = {"expect": expect, "column": name, "min_value": _down(low), "max_value": _up(high)}
    return Suggestion(line, f"{min(figures):.4g} to {max(figures):.4g}")


def _categories(name: str, shapes: Sequence[ColumnShape]) -> list[Suggestion]:
    if any(shape.categories is None for shape in shapes):
        return []
    every = sorted(frozenset().union(*(shape.categories or frozenset() for shape in shapes)))
    if not every or len(every) > 60:
        return []
    always = all(shape.categories == shapes[0].categories for shape in shapes)
    if always:
        line: Line = {"expect": "column_values_to_be_in_set", "column": name, "value_set": every}
        return [Suggestion(line, f"the same {len(every)} values every night")]
    listed = ", ".join("'" + value.replace("'", "''") + "'" for value in every)
    line = {
        "expect": "query_value_to_be_between", "name": f"share of unseen {name}",
        "sql": f'select coalesce(avg(("{name}" not in ({listed}))::int), 0) from {{batch}}', "max_value": 0.05,
    }  # fmt: skip
    return [Suggestion(line, f"{len(every)} values in all")]


def _texts(name: str, shapes: Sequence[ColumnShape]) -> list[Suggestion]:
    if any(shape.lengths is None for shape in shapes):
        return []
    patterns = {shape.shape for shape in shapes}
    shortest = min(shape.lengths[0] for shape in shapes if shape.lengths)
    longest = max(shape.lengths[1] for shape in shapes if shape.lengths)
    if len(patterns) == 1 and (kind := patterns.pop()):
        size = f"{{{shortest}}}" if shortest == longest else f"{{{max(shortest - 1, 1)},{longest + 1}}}"
        regex = f"^{kind}{size}$"
        return [Suggestion({"expect": "column_values_to_match_regex", "column": name, "regex": regex}, "every value so far")]
    line = {
        "expect": "column_value_lengths_to_be_between", "column": name, "min_value": max(floor(shortest * 0.5), 1),
        "max_value": ceil(longest * 1.5),
    }  # fmt: skip
    return [Suggestion(line, f"{shortest} to {longest} characters")]


def _moments(moments: Sequence[str]) -> list[Suggestion]:
    return [
        Suggestion(
            {"expect": "column_values_to_be_between", "column": name, "min_value": "{interval.start}",
             "max_value": "{interval.end}", "strict_max": True},
            "always inside the interval",
        )
        for name in moments
    ]  # fmt: skip


def _correlations(nights: Sequence[NightShape]) -> list[Suggestion]:
    """Pairs of figures that always go together: what shuffles or swaps one of them breaks it."""
    found = []
    for pair in nights[0].correlations:
        figures = [night.correlations[pair] for night in nights if pair in night.correlations]
        if len(figures) < len(nights) or min(figures) < 0.8:
            continue
        line = {
            "expect": "query_value_to_be_between", "name": f"correlation of {pair[0]} and {pair[1]}",
            "sql": f'select corr("{pair[0]}", "{pair[1]}") from {{batch}}', "min_value": _down(min(figures) * 0.4),
        }  # fmt: skip
        found.append(Suggestion(line, f"{min(figures):.2f} to {max(figures):.2f}"))
    return found


def _dependencies(nights: Sequence[NightShape]) -> list[Suggestion]:
    """Pairs in which one value goes with few of the other."""
    found = []
    for pair in nights[0].per_value:
        figures = [night.per_value[pair] for night in nights if pair in night.per_value]
        rows_each = min(night.rows / max(night.columns[pair[0]].different, 1) for night in nights)
        if len(figures) < len(nights) or max(figures) > 3.5 or rows_each < 2.5 * max(figures):
            continue
        one, other = pair
        line = {
            "expect": "query_value_to_be_between", "name": f"different {other} for one {one}",
            "sql": f'select count(distinct ("{one}", "{other}"))::float / nullif(count(distinct "{one}"), 0) from {{batch}}',
            "max_value": _up(max(figures) * 1.5),
        }  # fmt: skip
        found.append(Suggestion(line, f"{min(figures):.2f} to {max(figures):.2f}"))
    return found


def _down(value: float) -> float:
    return _rounded(value, floor)


def _up(value: float) -> float:
    return _rounded(value, ceil)


def _rounded(value: float, towards: Any) -> float:
    """Three digits that matter, rounded away from what was seen."""
    if value == 0:
        return 0.0
    step = 10.0 ** (floor(log10(abs(value))) - 2)
    rounded = float(f"{towards(value / step) * step:.6g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded
