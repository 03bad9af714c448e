"""What predictions were worth against answers: one set of formulas for held-out nights and for realised quality.

The formulas are scikit-learn's (sklearn.metrics, user guide 3.4); what a set of rows cannot give is left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from domain.words import Task

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

CLASSIFICATION = ("roc_auc", "log_loss", "accuracy", "f1", "brier")
REGRESSION = ("rmse", "mae", "r2")


@dataclass(frozen=True, slots=True)
class Prior:
    """What the dummy knows: the share of each class, or the mean, of the answers it learned from. Classes are text."""

    task: Task
    shares: Mapping[str, float]
    mean: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return {"task": str(self.task), "shares": dict(self.shares), "mean": self.mean}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Prior":
        return cls(Task(document["task"]), document["shares"], document["mean"])


def prior_of(answers: "Array", task: Task) -> Prior:
    """scikit-learn's DummyClassifier(strategy='prior') and DummyRegressor(strategy='mean'), as figures."""
    import numpy as np

    if task is Task.REGRESSION:
        return Prior(task, {}, float(answers.mean()))
    values, counts = np.unique(answers, return_counts=True)
    return Prior(task, {str(value): int(count) / len(answers) for value, count in zip(values, counts, strict=True)})


def measure_yes_no(answers: "Array", probability: "Array", predicted: "Array | None" = None) -> dict[str, float]:
    """`answers` are booleans and `probability` is that of true. `roc_auc` is left out when there is one class only."""
    import numpy as np
    from sklearn import metrics

    said = probability > 0.5 if predicted is None else predicted
    clipped = np.clip(probability, 1e-15, 1 - 1e-15)
    figures = {
        "log_loss": float(metrics.log_loss(answers, clipped, labels=[False, True])),
        "accuracy": float((said == answers).mean()),
        "f1": float(metrics.f1_score(answers, said, zero_division=0.0)),
        "brier": float(np.square(probability - answers).mean()),
    }
    if 0 < answers.sum() < len(answers):
        figures["roc_auc"] = float(metrics.roc_auc_score(answers, probability))
    return figures


def measure_classes(answers: "Array", matrix: "Array", classes: Sequence[str]) -> dict[str, float]:
    """For classes as text: `f1` is the macro average, `roc_auc` the mean over classes of one against the rest."""
    import numpy as np
    from sklearn import metrics

    places = {name: place for place, name in enumerate(classes)}
    row_place = np.array([places.get(answer, -1) for answer in answers])
    given = np.where(row_place >= 0, matrix[np.arange(len(answers)), row_place], 0.0)
    said = np.asarray(classes, dtype=object)[matrix.argmax(axis=1)]
    figures = {
        "log_loss": float(-np.log(np.clip(given, 1e-15, 1.0)).mean()),
        "accuracy": float((said == answers).mean()),
        "f1": float(metrics.f1_score(answers.astype(str), said.astype(str), average="macro", zero_division=0.0)),
    }
    mixed = [place for place in range(len(classes)) if 0 < (row_place == place).sum() < len(answers)]
    if mixed:
        each = [metrics.roc_auc_score(row_place == place, matrix[:, place]) for place in mixed]
        figures["roc_auc"] = float(np.mean(each))
    return figures


def measure_numbers(answers: "Array", predicted: "Array") -> dict[str, float]:
    """`r2` is left out when the answers do not vary, for it is then undefined."""
    import numpy as np

    error = predicted - answers
    figures = {"rmse": float(np.sqrt(np.square(error).mean())), "mae": float(np.abs(error).mean())}
    spread = float(np.square(answers - answers.mean()).sum())
    if spread > 0:
        figures["r2"] = 1 - float(np.square(error).sum()) / spread
    return figures


def measure_said(answers: "Array", said: "Array") -> dict[str, float]:
    """For classes of which only the most probable one is known."""
    from sklearn import metrics

    macro = metrics.f1_score(answers.astype(str), said.astype(str), average="macro", zero_division=0.0)
    return {"accuracy": float((said == answers).mean()), "f1": float(macro)}


def measure_prior(answers: "Array", prior: Prior) -> dict[str, float]:
    """The dummy's figures on the same rows."""
    import numpy as np

    if prior.task is Task.REGRESSION:
        return measure_numbers(answers, np.full(len(answers), prior.mean))
    if answers.dtype == bool:
        return measure_yes_no(answers, np.full(len(answers), prior.shares.get("True", 0.0)))
    classes = sorted(prior.shares)
    return measure_classes(answers, np.tile([prior.shares[name] for name in classes], (len(answers), 1)), classes)
