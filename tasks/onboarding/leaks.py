"""How much each column tells of the answer all alone: the answer in disguise is found before anything learns from it.

From 0 (nothing) to 1 (the answer itself): for yes or no 2·AUC - 1, for classes the share of mistakes that it takes away, for a
number the rank correlation. Half of the rows tell what each value means, the other half judge it.
"""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from tasks.onboarding.table import Seen
from tasks.onboarding.target import Goal

NOTED = {"yes or no": 0.9, "classes": 0.95, "number": 0.98}
TAKEN_OUT = {"yes or no": 0.98, "classes": 0.99, "number": 0.997}
_SUSPICIOUS = 0.6  # what a column must tell that is, by its name, known afterwards only
_ROWS, _BINS = 50_000, 64
_AFTER = re.compile(
    r"(^|_)(after|outcome|result|resol\w*|closed?|closing|settle\w*|payout|paid|refund\w*|cancel\w*|churn\w*|reason|actual|final|returned|"
    r"exit\w*|discharge\w*|death|deceased|died|approved|decision|verdict|post|recover\w*|collection\w*|chargeback\w*)(_|$)"
)
Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Leak:
    """`out` when the column is no feature; `worth` is what it tells alone."""

    column: str
    worth: float
    out: bool
    why: str


def find_leaks(columns: list[Seen], goal: Goal) -> list[Leak]:
    """The columns that tell too much, the worst first."""
    answers = goal.answers
    known = np.flatnonzero(~np.isnan(answers))
    if len(known) < 20:
        return []
    order = np.random.default_rng(0).permutation(known)[:_ROWS]
    found = [leak for column in columns if (leak := _judge(column, goal, answers[order], order)) is not None]
    return sorted(found, key=lambda leak: (-leak.worth, leak.column))


def _judge(column: Seen, goal: Goal, answers: Array, rows: Array) -> Leak | None:
    if column.different < 2 or column.type in ("", "json"):
        return None
    worth = round(worth_of(column, goal, answers, rows), 3)
    said = goal.column.spelled
    plain = re.sub(r"[^a-z0-9]+", "_", column.spelled.lower())
    stem = re.sub(r"[^a-z0-9]+", "_", said.lower()).strip("_")
    named = bool(_AFTER.search(plain)) or (len(stem) > 3 and stem in plain)
    if worth >= TAKEN_OUT[goal.kind]:
        return Leak(
            column.name, worth, True, f"tells {said} almost alone ({worth:.2f} of 1), so it is probably known only afterwards"
        )
    if named and worth >= _SUSPICIOUS:
        return Leak(column.name, worth, True, f"by its name known only after {said}, of which it tells much ({worth:.2f} of 1)")
    if worth >= NOTED[goal.kind]:
        return Leak(column.name, worth, False, f"tells much of {said} alone ({worth:.2f} of 1); kept, but is it known in time?")
    if named and worth >= _SUSPICIOUS / 3:
        return Leak(
            column.name,
            worth,
            False,
            f"by its name perhaps known only after {said}; kept, it tells little alone ({worth:.2f} of 1)",
        )
    return None


def worth_of(column: Seen, goal: Goal, answers: Array, rows: Array) -> float:
    """`rows` are the rows looked at, in random order, and `answers` theirs."""
    half = len(rows) // 2
    bins = _bins(column, rows)
    fit, judged = slice(None, half), slice(half, None)
    if goal.kind == "classes":
        return _of_classes(bins, answers.astype(np.int64), fit, judged)
    means = _means(bins[fit], answers[fit])
    said = means[np.minimum(bins[judged], len(means) - 1)]
    numbers = column.numbers[rows] if column.is_number or column.is_moment else None
    if goal.kind == "yes or no":
        worth = abs(2 * rank_auc(answers[judged], said) - 1)
        if numbers is not None and (known := ~np.isnan(numbers)).sum() >= 20:
            worth = max(worth, abs(2 * rank_auc(answers[known], numbers[known]) - 1) * float(known.mean()))
        return worth
    worth = abs(correlate(rank(answers[judged]), rank(said))) if column.type in ("text", "bool") else 0.0
    if numbers is not None and (known := ~np.isnan(numbers)).sum() >= 20:
        worth = max(worth, abs(correlate(rank(answers[known]), rank(numbers[known]))) * float(known.mean()))
    return worth


def _bins(column: Seen, rows: Array) -> Array:
    """Each row's bin: its category, or where its number falls; the last one holds those without a value."""
    if not (column.is_number or column.is_moment) or column.different <= _BINS:
        codes = column.codes[rows]
        return np.where(codes < 0, column.different, codes)
    numbers = column.numbers[rows]
    known = ~np.isnan(numbers)
    edges = np.unique(np.quantile(numbers[known], np.linspace(0, 1, min(_BINS, max(4, len(rows) // 40)) + 1)[1:-1]))
    return np.where(known, np.searchsorted(edges, np.where(known, numbers, 0), side="right"), len(edges) + 1)


def _means(bins: Array, answers: Array) -> Array:
    """The mean answer of each bin, drawn to that of all where a bin holds few rows; one more for bins never seen."""
    size = int(bins.max(initial=0)) + 2
    sums, counts = np.bincount(bins, answers, size), np.bincount(bins, minlength=size)
    result: Array = (sums + answers.mean()) / (counts + 1)
    return result


def _of_classes(bins: Array, answers: Array, fit: slice, judged: slice) -> float:
    size, classes = int(bins.max()) + 1, int(answers.max()) + 1
    if size * classes > 20_000_000:
        return 0.0
    counts = np.bincount(bins[fit] * classes + answers[fit], minlength=size * classes).reshape(size, classes)
    usual = np.bincount(answers[fit], minlength=classes).argmax()
    said = np.where(counts.sum(1) > 0, counts.argmax(1), usual)[bins[judged]]
    base = float((answers[judged] == usual).mean())
    return max(0.0, (float((answers[judged] == said).mean()) - base) / max(1e-9, 1 - base))


def rank(values: Array) -> Array:
    """Ranks from 0, equal values sharing their mean."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    result: Array = (last - (counts + 1) / 2)[places]
    return result


def rank_auc(answers: Array, values: Array) -> float:
    yes = answers > 0.5
    many, few = int(yes.sum()), int((~yes).sum())
    if not many or not few:
        return 0.5
    return float((rank(values)[yes].sum() - many * (many - 1) / 2) / (many * few))


def correlate(one: Array, other: Array) -> float:
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])
