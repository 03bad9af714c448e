"""The formulas of drift, against the libraries that they are cited from."""

import doctest

import pytest

import domain.drift
from domain.drift import is_shift, jensen_shannon, stability_index

CASES = [
    ([0.5, 0.5], [0.5, 0.5]),
    ([0.1, 0.2, 0.7], [0.3, 0.3, 0.4]),
    ([1.0, 0.0], [0.0, 1.0]),
    ([0.25] * 4, [0.97, 0.01, 0.01, 0.01]),
]


@pytest.mark.parametrize(("then", "now"), CASES)
def test_the_distance_is_scipys(then: list[float], now: list[float]) -> None:
    from scipy.spatial.distance import jensenshannon

    assert jensen_shannon(then, now) == pytest.approx(jensenshannon(then, now, base=2), abs=1e-9)


def test_the_index_is_nothing_for_equal_shares_and_finite_for_empty_bins() -> None:
    assert stability_index([0.3, 0.7], [0.3, 0.7]) == 0
    assert 10 < stability_index([1.0, 0.0], [0.0, 1.0]) < 20
    assert doctest.testmod(domain.drift).failed == 0


def test_few_rows_say_nothing() -> None:
    assert not is_shift(3.0, rows=50)
    assert is_shift(0.25, rows=200)
    assert not is_shift(0.24, rows=10_000)
