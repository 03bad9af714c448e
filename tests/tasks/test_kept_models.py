"""A model that this process has loaded is loaded once, under the same checks every time, and stays what it was."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline as Steps

from domain.errors import EnvironmentRefused
from infra.settings import Settings
from tasks import artifacts
from tasks.artifacts import Artifact, libraries_here, pack, unpack
from tasks.encoding import ContractEncoder


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "_kept", {})


def rows() -> pd.DataFrame:
    made = np.random.default_rng(0)
    return pd.DataFrame({"x": made.normal(size=400), "c": pd.Categorical(made.choice(list("abc"), 400))})


def fitted(seed: int) -> Artifact:
    frame = rows()
    model = HistGradientBoostingClassifier(max_iter=3, random_state=seed, learning_rate=0.1 + seed / 100)
    return pack(Steps([("encode", ContractEncoder()), ("model", model)]).fit(frame, (frame.x > 0) | (frame.c == "a")))


def load(artifact: Artifact, **other: Any) -> Any:
    recorded: dict[str, Any] = {
        "sha256": artifact.sha256, "trusted_types": artifact.trusted_types, "libraries": libraries_here(), "settings": Settings(),
    }  # fmt: skip
    return unpack(artifact.data, **{**recorded, **other}, label="version 1 of x", retrain="overnight run x")


def test_equal_bytes_are_loaded_once() -> None:
    first = fitted(1)
    assert load(first) is load(first)
    assert load(fitted(2)) is not load(first)


def test_the_two_asked_for_last_are_kept() -> None:
    one, two, three = fitted(1), fitted(2), fitted(3)
    for artifact in (one, two, one, three):
        load(artifact)
    assert list(artifacts._kept) == [one.sha256, three.sha256]


def test_a_large_model_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "_SMALL", 10)
    first = fitted(1)
    assert load(first) is not load(first)


@pytest.mark.parametrize(
    "other",
    [{"sha256": "0" * 64}, {"trusted_types": ()}, {"libraries": {**libraries_here(), "scikit-learn": "0.1"}}],
    ids=["bytes", "types", "libraries"],
)
def test_what_is_kept_is_refused_as_if_it_were_not(other: dict[str, Any]) -> None:
    first = fitted(1)
    load(first)
    with pytest.raises(EnvironmentRefused):
        load(first, **other)


def test_a_model_that_was_asked_is_what_it_was() -> None:
    model = load(fitted(1))
    before = pack(model).sha256
    model.predict_proba(rows())
    model[0].count_unseen(rows())
    assert pack(model).sha256 == before
