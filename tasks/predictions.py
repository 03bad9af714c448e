"""What a fitted model says of prepared rows, in the three forms that batches keep, and what that is worth."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from domain.pipeline import Pipeline
from domain.words import Task
from tasks.metrics import measure_classes, measure_numbers, measure_yes_no

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Said:
    """Answers beside what was said of them. `values` are numbers for a regression, P(true) for a yes/no question, else one
    column of probabilities for each of `classes`."""

    answers: "Array"
    values: "Array"
    task: Task
    classes: Sequence[str] = ()

    @property
    def is_yes_no(self) -> bool:
        return self.task is Task.CLASSIFICATION and not self.classes

    def __len__(self) -> int:
        return len(self.answers)

    def only(self, rows: "Array") -> "Said":
        """The rows that a mask or a list of places picks."""
        return Said(self.answers[rows], self.values[rows], self.task, self.classes)

    def figures(self) -> dict[str, float]:
        """Every metric that these rows can give."""
        if self.task is Task.REGRESSION:
            return measure_numbers(self.answers, self.values)
        if self.is_yes_no:
            return measure_yes_no(self.answers, self.values)
        return measure_classes(self.answers, self.values, self.classes)

    def figure(self, metric: str) -> float | None:
        """One metric, quickly where it is asked for many times; None when these rows cannot give it."""
        if metric == "roc_auc" and self.is_yes_no:
            return rank_auc(self.answers, self.values)
        return self.figures().get(metric)


def rank_auc(answers: "Array", values: "Array") -> float | None:
    """The area under the ROC curve from the ranks (Mann and Whitney's U), ties counted half; None for one class only."""
    from scipy.stats import rankdata

    positive = int(answers.sum())
    negative = len(answers) - positive
    if not positive or not negative:
        return None
    above = float(rankdata(values)[answers].sum()) - positive * (positive + 1) / 2
    return above / (positive * negative)


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


def judge(model: Any, frame: "pd.DataFrame", answers: "Array", pipeline: Pipeline) -> Said:
    """What the model says of rows whose answers are known."""
    task = pipeline.target.task
    if task is Task.REGRESSION:
        return Said(answers, model.predict(frame), task)
    matrix = model.predict_proba(frame)
    if pipeline.target.rule is not None:
        return Said(answers, matrix[:, true_place(model)], task)
    return Said(answers, matrix, task, [str(name) for name in model.classes_])
