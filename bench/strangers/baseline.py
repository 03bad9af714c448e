"""What anyone gets in ten lines: histogram gradient boosting as it comes, five folds, words as their places."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bench.strangers.made import Brought

METRICS = {"yes or no": "roc_auc", "classes": "accuracy", "number": "r2"}


@dataclass(frozen=True, slots=True)
class Figure:
    """The mean over the folds and its deviation; `dummy` is what guessing gets."""

    mean: float
    deviation: float
    dummy: float


def measure_baseline(brought: Brought) -> Figure:
    """Learned from what the maker knows: no leak, no unit, no word for nothing stands in its way."""
    from sklearn.model_selection import KFold, StratifiedKFold

    there = brought.answers.notna().to_numpy()
    rows, answers = _numbers(brought.known)[there], brought.answers[there].to_numpy()
    regression = brought.task == "number"
    answers = answers.astype(float) if regression else pd.factorize(answers)[0]
    folds = KFold(5, shuffle=True, random_state=0) if regression else StratifiedKFold(5, shuffle=True, random_state=0)
    scores = [_score(brought.task, rows, answers, fit, judged) for fit, judged in folds.split(rows, answers)]
    dummy = {"yes or no": 0.5, "number": 0.0, "classes": np.bincount(answers.astype(int).clip(0)).max() / len(answers)}
    return Figure(float(np.mean(scores)), float(np.std(scores)), float(dummy[brought.task]))


def _numbers(known: pd.DataFrame) -> Any:
    columns = []
    for name in known:
        column = known[name]
        if pd.api.types.is_datetime64_any_dtype(column):
            columns.append(column.astype("int64").to_numpy().astype(float))
        elif pd.api.types.is_numeric_dtype(column):
            columns.append(column.to_numpy().astype(float))
        else:
            codes = pd.factorize(column, sort=False)[0].astype(float)
            columns.append(np.where(codes < 0, np.nan, codes))
    return np.column_stack(columns)


def _score(task: str, rows: Any, answers: Any, fit: Any, judged: Any) -> float:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.metrics import accuracy_score, r2_score, roc_auc_score

    if task == "number":
        model = HistGradientBoostingRegressor(random_state=0).fit(rows[fit], answers[fit])
        return float(r2_score(answers[judged], model.predict(rows[judged])))
    model = HistGradientBoostingClassifier(random_state=0, early_stopping="auto").fit(rows[fit], answers[fit])
    if task == "classes":
        return float(accuracy_score(answers[judged], model.predict(rows[judged])))
    return float(roc_auc_score(answers[judged], model.predict_proba(rows[judged])[:, 1]))
