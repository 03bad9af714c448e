"""The formulas are scikit-learn's, whatever blocks the rows come in."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.words import Task
from tasks.metrics import (
    Chances,
    Errors,
    measure_classes,
    measure_numbers,
    measure_prior,
    measure_yes_no,
    prior_of,
    tell_yes_no,
)

# Few different ones, so that most are ties, and the ends, where a logarithm has none.
CHANCES = st.sampled_from([0.0, 1e-18, 0.1, 0.3, 0.30000000000000004, 0.5, 0.7, 1 - 1e-16, 1.0]) | st.floats(0, 1)
LINES = st.lists(st.tuples(st.booleans(), CHANCES), min_size=1, max_size=60)
NUMBERS = st.floats(-1e6, 1e6).map(lambda value: round(value, 3))


def of_sklearn(answers: np.ndarray, chance: np.ndarray) -> dict[str, float]:
    from sklearn import metrics

    said = chance > 0.5
    found = {
        "log_loss": metrics.log_loss(answers, np.clip(chance, 1e-15, 1 - 1e-15), labels=[False, True]),
        "accuracy": metrics.accuracy_score(answers, said),
        "f1": metrics.f1_score(answers, said, zero_division=0.0),
        "brier": metrics.brier_score_loss(answers, chance, pos_label=True),
    }
    if len(set(answers)) == 2:
        found["roc_auc"] = metrics.roc_auc_score(answers, chance)
    return found


@settings(max_examples=100)
@given(LINES)
def test_yes_and_no_are_measured_as_scikit_learn_does(lines: list[tuple[bool, float]]) -> None:
    answers, chance = (np.array(column) for column in zip(*lines, strict=True))
    assert measure_yes_no(answers, chance) == pytest.approx(of_sklearn(answers, chance), rel=1e-9, abs=1e-12)


@settings(max_examples=100)
@given(LINES, st.integers(1, 7))
def test_blocks_add_up_to_the_whole(lines: list[tuple[bool, float]], size: int) -> None:
    answers, chance = (np.array(column) for column in zip(*lines, strict=True))
    values = np.unique(chance)
    yes, no = (np.array([((chance == value) & (answers == kind)).sum() for value in values]) for kind in (True, False))
    chances, said = Chances(), chance > 0.5
    for start in range(0, len(values), size):
        block = slice(start, start + size)
        chances.add(values[block], yes[block], no[block])
    told = tell_yes_no(chances, hits=int((said & answers).sum()), alarms=int((said & ~answers).sum()))
    assert told == pytest.approx(measure_yes_no(answers, chance), rel=1e-12, abs=1e-15)
    assert told.get("roc_auc") == measure_yes_no(answers, chance).get("roc_auc")  # to the last digit


@settings(max_examples=100)
@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c", "new"]), *[CHANCES] * 3), min_size=1, max_size=40))
def test_classes_are_measured_as_scikit_learn_does(lines: list[tuple[str, float, float, float]]) -> None:
    from sklearn import metrics

    classes, answers = ["a", "b", "c"], np.array([line[0] for line in lines], dtype=object)
    matrix = np.array([line[1:] for line in lines])
    said = np.asarray(classes)[matrix.argmax(axis=1)]
    given_ = [chances[classes.index(answer)] if answer in classes else 0 for answer, chances in zip(answers, matrix, strict=True)]
    expected = {
        "accuracy": metrics.accuracy_score(answers.astype(str), said),
        "f1": metrics.f1_score(answers.astype(str), said, average="macro", zero_division=0.0),
        "log_loss": -np.log(np.clip(given_, 1e-15, 1.0)).mean(),
    }
    mixed = [place for place, name in enumerate(classes) if 0 < (answers == name).sum() < len(answers)]
    if mixed:
        areas = [metrics.roc_auc_score((answers == classes[place]).astype(int), matrix[:, place]) for place in mixed]
        expected["roc_auc"] = np.mean(areas)
    assert measure_classes(answers, matrix, classes) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@settings(max_examples=100)
@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=2, max_size=40), st.integers(1, 7))
def test_numbers_are_measured_as_scikit_learn_does_whatever_the_blocks(lines: list[tuple[float, float]], size: int) -> None:
    from sklearn import metrics

    answers, said = (np.array(column) for column in zip(*lines, strict=True))
    errors = Errors()
    for start in range(0, len(answers), size):
        errors.add(answers[start : start + size], said[start : start + size])
    expected = {
        "rmse": metrics.root_mean_squared_error(answers, said), "mae": metrics.mean_absolute_error(answers, said)
    }  # fmt: skip
    if len(set(answers)) > 1:
        expected["r2"] = metrics.r2_score(answers, said)
    assert errors.figures() == pytest.approx(expected, rel=1e-6, abs=1e-9)


@settings(max_examples=60)
@given(LINES, LINES)
def test_the_dummy_is_measured_as_scikit_learns_dummy_is(
    learned: list[tuple[bool, float]], lines: list[tuple[bool, float]]
) -> None:
    from sklearn.dummy import DummyClassifier

    past, answers = (np.array([answer for answer, _ in some]) for some in (learned, lines))
    dummy = DummyClassifier(strategy="prior").fit(np.zeros((len(past), 1)), past)
    said = dummy.predict_proba(np.zeros((len(answers), 1)))
    chance = said[:, list(dummy.classes_).index(True)] if True in dummy.classes_ else np.zeros(len(answers))
    prior = prior_of(past, Task.CLASSIFICATION)
    assert measure_prior(answers, prior) == pytest.approx(of_sklearn(answers, chance), rel=1e-9, abs=1e-12)


def test_the_dummy_of_many_classes_says_the_most_frequent_one() -> None:
    from sklearn import metrics

    past, answers = np.array(list("aabbbc"), dtype=object), np.array(list("abcabd"), dtype=object)
    figures, named = measure_prior(answers, prior_of(past, Task.CLASSIFICATION)), np.array(list("bbbbbb"))
    assert figures["f1"] == pytest.approx(metrics.f1_score(answers.astype(str), named, average="macro", zero_division=0.0))
    assert (figures["accuracy"], figures["roc_auc"]) == (pytest.approx(2 / 6), 0.5)


def test_a_probability_that_is_no_number_takes_the_figures_that_need_it() -> None:
    answers, chance = np.array([True, False, True, False]), np.array([0.9, 0.2, np.nan, 0.7])
    assert measure_yes_no(answers, chance) == {"accuracy": 0.5, "f1": 0.5}


def test_answers_that_are_all_the_same_have_no_r2_whatever_their_mean_is_rounded_to() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert set(measure_numbers(np.full(10, 0.1), np.linspace(0, 1, 10))) == {"rmse", "mae"}


def test_an_error_past_all_numbers_is_left_out() -> None:
    with np.errstate(over="ignore"):
        assert set(measure_numbers(np.array([1e300, -1e300]), np.array([0.0, 0.0]))) == {"mae"}
