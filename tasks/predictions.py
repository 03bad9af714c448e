"""What a fitted model says of prepared rows, in the forms that batches keep, and what that is worth."""

import json
from collections.abc import Mapping, Sequence
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
class Shown:
    """What readers are shown of rows: predictions, and for classes the probability of the one named, beside one column of `each`
    for every one of `classes`. A yes/no question has P(true) alone, a number nothing."""

    prediction: "Array"
    probability: "Array | None" = None
    classes: Sequence[str] = ()
    each: "Array | None" = None

    @property
    def watched(self) -> "Array":
        """The probability of true for a yes/no question, else the prediction itself."""
        return self.prediction if self.probability is None or self.each is not None else self.probability


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

    def only(self, rows: "Array | slice") -> "Said":
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


def truth(model: Any, matrix: "Array") -> "Array":
    """The probability of true out of what `predict_proba` gave; 0 from a model that was taught no true at all."""
    classes = [bool(value) for value in model.classes_]
    return matrix[:, classes.index(True)] if True in classes else matrix[:, 0] * 0.0


def predict(model: Any, frame: "pd.DataFrame", pipeline: Pipeline) -> Shown:
    """Booleans with P(true), or the most probable class as text with its probability, or numbers without one."""
    import numpy as np

    if pipeline.target.task is Task.REGRESSION:
        return Shown(np.asarray(model.predict(frame), dtype=np.float64))
    matrix = model.predict_proba(frame)
    if pipeline.target.rule is not None:
        probability = truth(model, matrix)
        return Shown(probability > 0.5, probability)
    best, names = matrix.argmax(axis=1), np.asarray(model.classes_, dtype=object)
    return Shown(names[best], matrix[np.arange(len(best)), best], [str(name) for name in names], matrix)


def predict_folded(models: Mapping[int, Any], places: "Array", frame: "pd.DataFrame", pipeline: Pipeline) -> Shown:
    """As `predict`, each row by the model of its place; a class that this one was not taught has probability 0."""
    import numpy as np

    parts = {place: places == place for place in np.unique(places)}
    said = {place: predict(models[int(place)], frame[rows], pipeline) for place, rows in parts.items()}
    if len(said) == 1:
        return next(iter(said.values()))
    prediction, probability = np.empty(len(frame), dtype=object), np.empty(len(frame))
    classes = sorted({name for one in said.values() for name in one.classes})
    each = np.zeros((len(frame), len(classes)))
    for place, rows in parts.items():
        one = said[place]
        prediction[rows], probability[rows] = one.prediction, np.nan if one.probability is None else one.probability
        if one.each is not None:
            each[rows] = spread(one.each, one.classes, classes)
    if pipeline.target.task is Task.REGRESSION:
        return Shown(prediction.astype(np.float64))
    if pipeline.target.rule is not None:
        return Shown(prediction.astype(bool), probability)
    return Shown(prediction, probability, classes, each)


def spell(classes: Sequence[str], each: "Array") -> Any:
    """`{"class": probability, …}` for each row as an Arrow column of JSON, of the digits that a float of 32 bits holds."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import compute

    pieces: list[Any] = []
    for place, name in enumerate(classes):
        known = np.isfinite(each[:, place])
        number = compute.cast(pa.array(each[:, place].astype(np.float32)), pa.string())
        pieces.append(pa.scalar(("{" if not place else ", ") + json.dumps(name, ensure_ascii=False) + ": "))
        pieces.append(number if known.all() else compute.if_else(pa.array(known), number, "null"))
    return compute.binary_join_element_wise(*pieces, "}", "")


def judge(model: Any, frame: "pd.DataFrame", answers: "Array", pipeline: Pipeline, *, classes: Sequence[str] = ()) -> Said:
    """What the model says of rows whose answers are known; `classes` are all that there are, where the model may know fewer."""
    task = pipeline.target.task
    if task is Task.REGRESSION:
        return Said(answers, model.predict(frame), task)
    matrix = model.predict_proba(frame)
    if pipeline.target.rule is not None:
        return Said(answers, truth(model, matrix), task)
    known = [str(name) for name in model.classes_]
    return Said(answers, spread(matrix, known, classes or known), task, classes or known)


def spread(matrix: "Array", known: Sequence[str], classes: Sequence[str]) -> "Array":
    """Probabilities of the `known` classes as columns of all `classes`, which hold them; 0 for the others."""
    import numpy as np

    if list(known) == list(classes):
        return matrix
    places = {name: place for place, name in enumerate(classes)}
    wide = np.zeros((len(matrix), len(classes)))
    wide[:, [places[name] for name in known]] = matrix
    return wide


def joined(parts: "Sequence[tuple[Array, Said]]", rows: int) -> "tuple[Array, Said]":
    """What was said of parts of `rows` rows, as one in the order of the rows, and which rows these are. Each part comes with
    the mask of its rows; no row is in two."""
    import numpy as np

    places = np.concatenate([np.flatnonzero(mask) for mask, _ in parts])
    order, one = np.argsort(places, kind="stable"), parts[0][1]
    answers = np.concatenate([said.answers for _, said in parts])[order]
    values = np.concatenate([said.values for _, said in parts])[order]
    mask = np.zeros(rows, dtype=bool)
    mask[places] = True
    return mask, Said(answers, values, one.task, one.classes)
