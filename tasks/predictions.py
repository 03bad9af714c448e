"""What a fitted model says of prepared rows, in the three forms that batches keep."""

from typing import TYPE_CHECKING, Any

from domain.pipeline import Pipeline
from domain.words import Task
from tasks.metrics import measure_classes, measure_numbers, measure_yes_no

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Array = np.ndarray[Any, Any]


def true_place(model: Any) -> int:
    """Which column of `predict_proba` is the probability of true."""
    return [bool(value) for value in model.classes_].index(True)


def predict(model: Any, frame: "pd.DataFrame", pipeline: Pipeline) -> "tuple[Array, Array | None]":
    """Predictions and probabilities: booleans with P(true), or the most probable class as text with its probability, or
    numbers without one."""
    import numpy as np

    if pipeline.target.task is Task.REGRESSION:
        return np.asarray(model.predict(frame), dtype=np.float64), None
    matrix = model.predict_proba(frame)
    if pipeline.target.rule is not None:
        probability = matrix[:, true_place(model)]
        return probability > 0.5, probability
    best = matrix.argmax(axis=1)
    return np.asarray(model.classes_, dtype=object)[best], matrix[np.arange(len(best)), best]


def judge(model: Any, frame: "pd.DataFrame", answers: "Array", pipeline: Pipeline) -> dict[str, float]:
    """The model's figures on rows whose answers are known."""
    if pipeline.target.task is Task.REGRESSION:
        return measure_numbers(answers, model.predict(frame))
    matrix = model.predict_proba(frame)
    if pipeline.target.rule is not None:
        return measure_yes_no(answers, matrix[:, true_place(model)])
    return measure_classes(answers, matrix, [str(name) for name in model.classes_])
