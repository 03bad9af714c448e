"""What a model leans on: shuffling a feature's part of the prepared matrix says the same as shuffling the feature."""

import numpy as np
import pandas as pd
import pytest

from tasks import evidence
from tasks.predictions import Said


def _frame(rows: int) -> pd.DataFrame:
    chance = np.random.default_rng(1)
    words = [
        f"{a} {b}" for a, b in zip(chance.choice(["red", "green"], rows), chance.choice(["cup", "plate"], rows), strict=True)
    ]
    return pd.DataFrame(
        {
            "size": chance.normal(size=rows), "nothing": np.full(rows, np.nan), "noise": chance.normal(size=rows),
            "shop": pd.Categorical(chance.choice(["a", "b", "c"], rows)), "title": pd.array(words, dtype="str"),
        }
    )  # fmt: skip


@pytest.mark.parametrize("count", [400, 900], ids=["trees walked", "trees as tables"])
def test_features_are_shuffled_where_they_stand_and_prepared_only_once(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import Pipeline

    from domain.words import Task
    from tasks.encoding import ContractEncoder

    frame = _frame(count)
    answers = (frame["size"] + (frame["shop"] == "a") + frame["title"].str.contains("cup") > 1).to_numpy()
    model = Pipeline([("encode", ContractEncoder().fit(frame)), ("model", HistGradientBoostingClassifier(max_iter=10))])
    model.fit(frame, answers)
    said = Said(answers, model.predict_proba(frame)[:, 1], Task.CLASSIFICATION)
    expected, chance = {}, np.random.default_rng(0)
    rows = chance.permutation(len(said))[: evidence.SHUFFLED_ROWS]
    base = said.only(rows).figure("roc_auc")
    for name in frame.columns:
        losses = []
        for _ in range(evidence.SHUFFLES):
            shuffled = frame.iloc[rows].assign(**{name: frame.iloc[rows][name].array[chance.permutation(len(rows))]})
            found = Said(answers[rows], model.predict_proba(shuffled)[:, 1], Task.CLASSIFICATION).figure("roc_auc")
            losses.append(base - found)
        expected[name] = round(float(np.mean(losses)), 6)
    prepared, transform = [], ContractEncoder.transform
    monkeypatch.setattr(ContractEncoder, "transform", lambda self, rows: prepared.append(len(rows)) or transform(self, rows))
    assert {line["feature"]: line["loss"] for line in evidence.importance(model, frame, said, "roc_auc")} == expected
    assert prepared == [count]
    assert expected["nothing"] == 0.0
    assert min(expected[name] for name in ("size", "shop", "title")) > 0.01
