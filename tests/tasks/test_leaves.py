"""Trees as tables say what scikit-learn says, to the last bit, or are not used."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.pipeline import Pipeline as Steps

from tasks.encoding import ContractEncoder
from tasks.leaves import Tables, by_tables

MANY = 1_000_000


def rows(count: int = 3000, *, seed: int = 0) -> pd.DataFrame:
    """Numbers with gaps and infinities, one that is the same for all, and categories, of which a later seed has new ones."""
    made = np.random.default_rng(seed)
    frame = pd.DataFrame({name: made.normal(size=count).round(2) for name in ("a", "b")} | {"same": 1.0})
    frame.loc[made.random(count) < 0.1, "a"] = np.nan
    frame.loc[::500, "b"] = np.inf
    names = [f"c{number}" for number in range(10 + seed)]
    return frame.assign(kind=pd.Categorical(made.choice(names, count)), few=pd.Categorical(made.choice(["x", "y", None], count)))


def answers(frame: pd.DataFrame, *, classes: int) -> np.ndarray:
    value = frame["a"].fillna(0.3) * 2 + frame["kind"].cat.codes % 4 + (frame["few"] == "x")
    return np.asarray(pd.qcut(value, classes, labels=False, duplicates="drop"))


def fitted(model: Any, *, classes: int) -> Steps:
    frame = rows()
    return Steps([("encode", ContractEncoder()), ("model", model)]).fit(frame, answers(frame, classes=classes))


@pytest.mark.parametrize(("leaves", "classes"), [(2, 2), (31, 4), (32, 2), (33, 4), (64, 2)])
def test_probabilities_are_equal_to_the_last_bit(leaves, classes):
    model = fitted(HistGradientBoostingClassifier(max_iter=6, max_leaf_nodes=leaves, min_samples_leaf=5), classes=classes)
    quick = by_tables(model, rows=MANY)
    assert isinstance(quick, Tables)
    assert (quick.predict_proba(rows(34_000, seed=2)) == model.predict_proba(rows(34_000, seed=2))).all()
    assert list(quick.classes_) == list(model.classes_)


@pytest.mark.parametrize("loss", ["squared_error", "poisson"])
def test_numbers_are_equal_to_the_last_bit(loss):
    model = fitted(HistGradientBoostingRegressor(max_iter=6, loss=loss), classes=20)
    assert (by_tables(model, rows=MANY).predict(rows(seed=3)) == model.predict(rows(seed=3))).all()


def test_without_its_encoder_a_model_is_asked_about_encoded_rows():
    model = fitted(HistGradientBoostingClassifier(max_iter=6), classes=4)
    matrix = model[0].transform(rows(seed=2))
    quick = by_tables(model[1:], rows=MANY)
    assert isinstance(quick, Tables)
    assert (quick.predict_proba(matrix) == model[1:].predict_proba(matrix)).all()


def test_trees_that_found_nothing_to_ask_are_equal_too():
    model = fitted(HistGradientBoostingRegressor(max_iter=3, min_samples_leaf=2000), classes=4)
    quick = by_tables(model, rows=MANY)
    assert isinstance(quick, Tables)
    assert (quick.predict(rows(seed=1)) == model.predict(rows(seed=1))).all()


@pytest.mark.parametrize(
    "model",
    [
        HistGradientBoostingRegressor(max_iter=2, max_leaf_nodes=65, min_samples_leaf=1),
        HistGradientBoostingClassifier(max_iter=2, categorical_features=[3]),
        RandomForestClassifier(2, max_depth=2),
    ],
)
def test_what_has_no_tables_answers_for_itself(model):
    steps = fitted(model, classes=20 if isinstance(model, HistGradientBoostingRegressor) else 2)
    assert by_tables(steps, rows=MANY) is steps


def test_few_rows_are_not_worth_tables():
    steps = fitted(HistGradientBoostingRegressor(max_iter=2), classes=4)
    assert by_tables(steps, rows=100) is steps
