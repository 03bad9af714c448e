"""What is prepared once for all samples of a bootstrap gives what measuring each sample anew would give."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.words import Task
from tasks import evidence
from tasks.evidence import interval
from tasks.predictions import Said

SIZES, SEEDS = st.integers(3, 60), st.integers(0, 10_000)


def question(kind: str, rows: int, seed: int, *, steps: int) -> Said:
    """Answers beside what was said of them in so many different values, so that there are ties."""
    chance = np.random.default_rng(seed)
    if kind == "number":
        return Said(chance.integers(0, 9, rows).astype(float), chance.integers(0, steps, rows) / 2, Task.REGRESSION)
    if kind == "yes or no":
        return Said(chance.random(rows) < 0.4, chance.integers(0, steps, rows) / steps, Task.CLASSIFICATION)
    classes = ("a", "b", "c")
    each = chance.integers(1, steps + 1, (rows, 3)).astype(float)
    answers = np.array(classes, dtype=object)[chance.integers(0, 3, rows)]
    return Said(answers, each / each.sum(axis=1, keepdims=True), Task.CLASSIFICATION, classes)


def one_by_one(said: Said, metric: str, other: Said) -> list[float]:
    chance = np.random.default_rng(0)
    found = []
    for _ in range(evidence.RESAMPLES):
        rows = chance.integers(0, len(said), len(said))
        value, against = said.only(rows).figures().get(metric), other.only(rows).figures().get(metric)
        if value is not None and against is not None:
            found.append(value - against)
    return found


@pytest.mark.parametrize(
    ("kind", "metric"),
    [("yes or no", name) for name in ("roc_auc", "log_loss", "accuracy", "f1")]
    + [("classes", name) for name in ("roc_auc", "log_loss", "accuracy", "f1")]
    + [("number", name) for name in ("rmse", "mae", "r2")],
)
@settings(max_examples=8, deadline=None)
@given(rows=SIZES, seed=SEEDS)
def test_an_interval_is_that_of_samples_measured_anew(kind: str, metric: str, rows: int, seed: int) -> None:
    said, other = question(kind, rows, seed, steps=5), question(kind, rows, seed, steps=7)
    expected = one_by_one(said, metric, other)
    given = interval(said, metric, other=other)
    if len(expected) < evidence.RESAMPLES / 2:
        assert given is None
        return
    low, high = np.percentile(expected, [2.5, 97.5])
    worse_is_higher = metric in ("log_loss", "rmse", "mae")
    assert given == pytest.approx((-high, -low) if worse_is_higher else (low, high), abs=1e-9)


@given(rows=SIZES, seed=SEEDS)
@settings(max_examples=20, deadline=None)
def test_an_area_is_the_same_from_counts_and_from_ranks(rows: int, seed: int) -> None:
    said = question("yes or no", rows, seed, steps=5)
    counted = interval(said, "roc_auc")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evidence, "RESAMPLED_ROWS", 1)  # so many different probabilities that ranks are quicker
        few = evidence._area_of_samples(said)
    places = np.arange(rows)
    assert few(places) == evidence._area_of_samples(said)(places) == said.figure("roc_auc")
    assert counted is None or 0 <= counted[0] <= counted[1] <= 1


def test_the_same_model_twice_differs_by_nothing() -> None:
    said = question("yes or no", 50, 1, steps=6)
    assert interval(said, "roc_auc", other=said) == (0.0, 0.0)
    assert interval(said, "log_loss", other=said) == (0.0, 0.0)
