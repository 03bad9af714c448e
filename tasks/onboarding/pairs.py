"""The answer as the difference or the sum of two columns that tell little alone: an end less its start, a total less its parts.

Only what is all but exact counts: two measures may well tell much together and be known in time.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from tasks.onboarding.leaks import Array, Leak, correlate, rank, rank_auc
from tasks.onboarding.table import Seen
from tasks.onboarding.target import Goal

_EXACT, _CLOSE = {"yes or no": 0.9995, "classes": 0.9995, "number": 0.9985}, 0.995
_COLUMNS, _ROWS, _FEWEST = 40, 5_000, 100


def find_pairs(columns: Sequence[Seen], goal: Goal) -> list[Leak]:
    """The columns of such pairs that are known only with the answer: of two moments the one that ends, of numbers both."""
    answers = goal.answers
    known = np.flatnonzero(~np.isnan(answers))
    rows = np.random.default_rng(0).permutation(known)[:_ROWS]
    if len(rows) < _FEWEST:
        return []
    found: dict[str, Leak] = {}
    for one, other in _pairs(columns):
        for sign, word in ((-1, "less"), (1, "and")):
            if (one.is_moment and sign > 0) or (goal.kind != "number" and sign > 0):
                continue
            worth = _worth(one.numbers[rows] + sign * other.numbers[rows], answers[rows], goal)
            if abs(worth) >= _EXACT[goal.kind]:
                for leak in _told(one, other, word, worth, goal):
                    found.setdefault(leak.column, leak)
    return sorted(found.values(), key=lambda leak: (-leak.worth, leak.column))


def _pairs(columns: Sequence[Seen]) -> Iterator[tuple[Seen, Seen]]:
    moments = [column for column in columns if column.is_moment and column.different > 2]
    numbers = [column for column in columns if column.is_number and column.type != "bool" and column.different > 2]
    yield from combinations(moments[:_COLUMNS], 2)
    yield from combinations(numbers[:_COLUMNS], 2)


def _worth(together: Array, answers: Array, goal: Goal) -> float:
    """From -1 to 1; its sign says which way."""
    there = ~np.isnan(together)
    if there.mean() < 0.5 or there.sum() < _FEWEST:
        return 0.0
    together, answers = together[there], answers[there]
    if goal.kind == "yes or no":
        return 2 * rank_auc(answers, together) - 1
    if goal.kind == "number":
        # the plain correlation is cheap and tells most pairs away
        return correlate(rank(answers), rank(together)) if abs(correlate(answers, together)) > _CLOSE else 0.0
    return _in_stretches(together, answers)


def _in_stretches(together: Array, answers: Array) -> float:
    """1 when each class has a stretch of the number line to itself."""
    order = np.argsort(together, kind="stable")
    borders = np.flatnonzero(np.diff(answers[order]) != 0)
    classes = len(np.unique(answers))
    if classes < 2 or len(borders) + 1 != classes:
        return 0.0
    ordered = together[order]
    return float(all(ordered[border] < ordered[border + 1] for border in borders))


def _told(one: Seen, other: Seen, word: str, worth: float, goal: Goal) -> list[Leak]:
    said, value = goal.column.spelled, round(abs(worth), 3)
    first, second = (one, other) if worth > 0 or word == "and" else (other, one)
    why = f"{first.spelled} {word} {second.spelled} tells {said} almost exactly, so it is probably known only afterwards"
    out: list[Any] = [first] if one.is_moment or (word == "less" and goal.kind == "number") else [first, second]
    return [Leak(column.name, value, True, why) for column in out]
