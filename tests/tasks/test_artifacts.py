"""What artifacts promise: equal bytes for equal models, in every process, and nothing loaded that was not recorded."""

import os
import subprocess
import sys

import pytest

TRAIN = """
import numpy as np, pandas as pd, sys
from domain.pipeline import Pipeline
from infra.settings import Settings
from tasks.artifacts import pack
from tasks.estimators import fit_model, threads
pipeline = Pipeline.model_validate({
    "name": "a", "title": "a", "interval": {"from": "2024-01-01"}, "source": {"kind": "csv", "path": "x"},
    "columns": {"k": {"type": "text", "key": True}, "x": {"type": "float"}, "c": {"type": "text"}, "y": {"type": "float"}},
    "target": {"column": "y", "as": "y > 0", "task": "classification"},
    "features": {"numeric": ["x"], "categorical": ["c"]}, "model": {"estimator": sys.argv[1]},
})
chance = np.random.default_rng(1)
frame = pd.DataFrame({"x": chance.normal(size=12000), "c": pd.Categorical(chance.choice(list("abcdef"), 12000))})
answers = (frame.x + (frame.c == "a") + chance.normal(size=12000) > 0).to_numpy()
settings = Settings(threads=int(sys.argv[2]))
with threads(settings, rows=10**6):
    print(pack(fit_model(frame, answers, pipeline=pipeline, settings=settings)).sha256)
"""


def learn(estimator: str, *, threads: int, hash_seed: int) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed)}
    command = [sys.executable, "-c", TRAIN, estimator, str(threads)]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.strip()


@pytest.mark.parametrize(
    "estimator",
    [
        "sklearn.ensemble.HistGradientBoostingClassifier",
        "sklearn.linear_model.LogisticRegression",
        "sklearn.ensemble.ExtraTreesClassifier",
    ],
)
def test_the_same_rows_give_the_same_hash_in_two_processes_whatever_their_threads(estimator: str) -> None:
    first = learn(estimator, threads=1, hash_seed=1)
    assert len(first) == 64
    assert learn(estimator, threads=2, hash_seed=2) == first


def test_a_change_of_what_an_encoder_stores_raises_its_form() -> None:
    import pandas as pd

    from tasks.artifacts import ENCODER_FORM
    from tasks.encoding import ContractEncoder

    stored = set(vars(ContractEncoder().fit(pd.DataFrame({"x": [1.0], "c": pd.Categorical(["a"])}))))
    known = {"2": {"max_categories", "text_parts", "inputs_", "columns_", "categories_", "words_", "parts_", "n_features_in_"}}
    assert stored == known[ENCODER_FORM]


def test_the_stages_are_cheap_to_import() -> None:
    heavy = "('sklearn', 'skops', 'pandas', 'pyarrow')"
    code = f"import sys, tasks.train, tasks.score, tasks.observe; print(*(n for n in {heavy} if n in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""
