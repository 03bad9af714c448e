"""How far tonight's values are from those a model learned from: pure formulas over shares of the same bins."""

from collections.abc import Sequence
from math import log, log2, sqrt

FLOOR = 0.0001  # an empty bin counts as this share, as in Evidently's population stability index
SHIFTED = 0.25  # the customary reading of the index: below 0.1 none, from 0.25 on a shift

ENOUGH_ROWS = 200  # below, ten bins differ by chance alone
NIGHTS_IN_A_ROW = 2  # that must have drifted before a model is trained for it: one odd night is no new world


def is_shift(index: float, *, rows: int, limit: float = SHIFTED) -> bool:
    """Whether an index of so many rows says that something has changed."""
    return rows >= ENOUGH_ROWS and index >= limit


def stability_index(then: Sequence[float], now: Sequence[float]) -> float:
    """The population stability index, Σ (now - then) · ln(now / then): Siddiqi, Credit Risk Scorecards (2006), with the floor
    that Evidently gives to empty bins.

    >>> round(stability_index([0.5, 0.5], [0.4, 0.6]), 4)
    0.0405
    """
    pairs = [(max(a, FLOOR), max(b, FLOOR)) for a, b in zip(then, now, strict=True)]
    return sum((b - a) * log(b / a) for a, b in pairs)


def jensen_shannon(then: Sequence[float], now: Sequence[float]) -> float:
    """The Jensen-Shannon distance with base 2, from 0 (equal) to 1 (nothing in common): scipy.spatial.distance.jensenshannon."""
    middle = [(a + b) / 2 for a, b in zip(then, now, strict=True)]
    return sqrt(max(0.0, (_divergence(then, middle) + _divergence(now, middle)) / 2))


def _divergence(shares: Sequence[float], base: Sequence[float]) -> float:
    return sum(a * log2(a / b) for a, b in zip(shares, base, strict=True) if a > 0)
