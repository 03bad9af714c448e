"""How tonight's predictions differ from the last published night's, and whether that keeps them from readers. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import log
from typing import Any

from domain.spec.running import HoldIf
from domain.verdict import percent


@dataclass(frozen=True, slots=True)
class Diff:
    """Tonight against `against`, the label of the last published night. Rows and keys are counted; `moves` are the keys
    whose figure moved most; `before` and `after` count the same ranges (or classes) of what was said; `columns` holds, for
    each input column, its empty share and its mean, then and now.
    """

    against: str
    batch: int
    rows: int
    rows_before: int
    common: int
    flips: int
    before: tuple[int, ...]
    after: tuple[int, ...]
    ranges: tuple[str, ...]
    mean: float | None = None
    mean_before: float | None = None
    moves: tuple[Mapping[str, Any], ...] = ()
    columns: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def added(self) -> int:
        return self.rows - self.common

    @property
    def gone(self) -> int:
        return self.rows_before - self.common

    @property
    def flipped(self) -> float | None:
        """The share of the keys of both nights whose prediction is another one; None when they share no keys."""
        return self.flips / self.common if self.common else None

    @property
    def psi(self) -> float | None:
        return population_stability(self.before, self.after)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "added": self.added, "gone": self.gone, "flipped": self.flipped, "psi": self.psi}


def population_stability(before: Sequence[int], after: Sequence[int]) -> float | None:
    """The population stability index of two counts of the same ranges: the sum of (p - q) ln(p / q).

    Under 0.1 is usually called the same, over 0.25 another population (Siddiqi, Credit Risk Scorecards, 2006). An empty
    range counts as half a row. None when either side has no rows.
    """
    if not sum(before) or not sum(after):
        return None
    shares = [(max(q, 0.5) / sum(before), max(p, 0.5) / sum(after)) for q, p in zip(before, after, strict=True)]
    return sum((p - q) * log(p / q) for q, p in shares)


def decide_hold(diff: Diff, limits: HoldIf) -> str | None:
    """The sentence that holds tonight's predictions, None when no limit is passed. Limits that cannot be judged
    (flips between nights that share no keys) pass."""
    change = abs(diff.rows - diff.rows_before) / diff.rows_before if diff.rows_before else 0.0
    if limits.rows_change is not None and change > limits.rows_change:
        word = "fewer" if diff.rows < diff.rows_before else "more"
        return (
            f"held: {percent(change)} {word} rows than {diff.against} ({diff.rows:,} against {diff.rows_before:,}), "
            f"limit {percent(limits.rows_change)}"
        )
    if limits.flips is not None and diff.flipped is not None and diff.flipped > limits.flips:
        return (
            f"held: {percent(diff.flipped)} of the predictions changed since {diff.against} "
            f"({diff.flips:,} of {diff.common:,}), limit {percent(limits.flips)}"
        )
    if limits.psi is not None and diff.psi is not None and diff.psi > limits.psi:
        return f"held: predictions are distributed unlike those of {diff.against} (PSI {diff.psi:.2f}), limit {limits.psi:g}"
    return None
