"""What predictions were worth against answers: one set of formulas for held-out nights and for realised quality.

They are scikit-learn's (sklearn.metrics, user guide 3.4), as sums over tallies: rows may come in blocks, and none is kept. What a
set of rows cannot give is left out.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import fsum, inf, isfinite, log, sqrt
from typing import TYPE_CHECKING, Any

from domain.words import Task

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

CLASSIFICATION = ("roc_auc", "log_loss", "accuracy", "f1", "brier")
REGRESSION = ("rmse", "mae", "r2")
_LEAST = 1e-15  # what log loss takes a probability of nothing for


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
    if task is Task.REGRESSION:
        return Prior(task, {}, float(answers.mean()))
    return Prior(task, {name: count / len(answers) for name, count in sorted(count_answers(answers).items())})


def count_answers(answers: "Array") -> dict[str, int]:
    """How many rows have each answer, as text."""
    import numpy as np

    values, counts = np.unique(answers, return_counts=True)
    return {str(value): int(count) for value, count in zip(values, counts, strict=True)}


@dataclass(slots=True)
class Chances:
    """Rows by the probability that was said of one answer: `yes` counts those of which it came true, `no` the others, `unknown`
    those of either kind whose probability is no number."""

    yes: int = 0
    no: int = 0
    unknown: int = 0
    log_yes: float = 0.0
    log_no: float = 0.0
    squares: float = 0.0
    _pairs: int = 0  # of a yes and a no: two for each in which the yes was thought likelier, one where both were thought the same

    def add(self, said: "Array", yes: "Array", no: "Array") -> None:
        """Takes a block: how many rows came true and how many did not, for each probability. They ascend, from block to block
        too, and each comes once; those that are no number come last."""
        import numpy as np

        known = np.isfinite(said)
        if not known.all():
            self.unknown += int(yes[~known].sum() + no[~known].sum())
        self._pairs += told_apart(yes, no, before=self.no)
        self.yes, self.no = self.yes + int(yes.sum()), self.no + int(no.sum())
        said, yes, no = said[known], yes[known], no[known]
        clipped = np.clip(said, _LEAST, 1 - _LEAST)
        self.log_yes += float((yes * np.log(clipped)).sum())
        self.log_no += float((no * np.log(1 - clipped)).sum())
        self.squares += float((yes * np.square(1 - said) + no * np.square(said)).sum())

    @property
    def area(self) -> float | None:
        """Under the ROC curve: the share of pairs that are told apart (Mann and Whitney's U), exact to the last digit. None for
        one answer only, and where a probability is unknown."""
        known = self.yes and self.no and not self.unknown
        return self._pairs / (2 * self.yes * self.no) if known else None


def told_apart(yes: "Array", no: "Array", *, before: int = 0) -> int:
    """Rows that came true and rows that did not, counted by ascending probability, `before` of the latter below all of them: how
    many pairs of one and one are told apart, doubled, so that those of which the same was said count half."""
    return int((yes * (2 * (before + no.cumsum()) - no)).sum())


@dataclass(slots=True)
class Errors:
    """What was said of numbers, beside what came. The spread of blocks is joined as Chan, Golub and LeVeque do (1983)."""

    rows: int = 0
    squares: float = 0.0
    sizes: float = 0.0
    lowest: float = inf
    highest: float = -inf
    _mean: float = 0.0
    _spread: float = 0.0

    def add(self, answers: "Array", said: "Array") -> None:
        import numpy as np

        if not len(answers):
            return
        error, rows, mean = said - answers, self.rows + len(answers), float(answers.mean())
        self.squares += float(np.square(error).sum())
        self.sizes += float(np.abs(error).sum())
        self.lowest, self.highest = min(self.lowest, float(answers.min())), max(self.highest, float(answers.max()))
        apart = mean - self._mean
        self._spread += float(np.square(answers - mean).sum()) + apart * apart * self.rows * len(answers) / rows
        self._mean, self.rows = self._mean + apart * len(answers) / rows, rows

    def figures(self) -> dict[str, float]:
        """`r2` is left out when the answers do not vary, for it is then undefined; so is all that is no number."""
        if not self.rows:
            return {}
        found = {"rmse": sqrt(self.squares / self.rows), "mae": self.sizes / self.rows}
        if self.lowest < self.highest and self._spread > 0:
            found["r2"] = 1 - self.squares / self._spread
        return {metric: value for metric, value in found.items() if isfinite(value)}


def tell_yes_no(chances: Chances, *, hits: int, alarms: int) -> dict[str, float]:
    """`hits` are the rows of which true was said rightly, `alarms` those of which it was said wrongly. `roc_auc` is left out when
    there is one answer only."""
    rows = chances.yes + chances.no
    right, said_or_so = hits + chances.no - alarms, hits + alarms + chances.yes
    figures = {"accuracy": right / rows, "f1": 2 * hits / said_or_so if said_or_so else 0.0}
    if not chances.unknown:
        figures |= {"log_loss": -(chances.log_yes + chances.log_no) / rows, "brier": chances.squares / rows}
    return figures | ({"roc_auc": area} if (area := chances.area) is not None else {})


def tell_classes(chances: Sequence[Chances], pairs: Mapping[tuple[str, str], int]) -> dict[str, float]:
    """`pairs` counts rows by answer and by what was said; `chances` are of each class, and may be none. `f1` is the macro
    average, `roc_auc` the mean over classes of one against the rest."""
    figures, rows = _tell_said(pairs), sum(pairs.values())
    if not chances or any(one.unknown for one in chances):
        return figures
    strangers = rows - sum(one.yes for one in chances)  # answers that are none of the classes, whose probability was 0
    figures["log_loss"] = -(sum(one.log_yes for one in chances) + strangers * log(_LEAST)) / rows
    areas = [area for one in chances if (area := one.area) is not None]
    return figures | ({"roc_auc": sum(areas) / len(areas)} if areas else {})


def _tell_said(pairs: Mapping[tuple[str, str], int]) -> dict[str, float]:
    came, said = Counter[str](), Counter[str]()
    for (answer, named), count in pairs.items():
        came[answer] += count
        said[named] += count
    names = {*came, *said}
    each = [2 * pairs.get((name, name), 0) / (came[name] + said[name]) for name in names]
    right = sum(pairs.get((name, name), 0) for name in names)
    return {"accuracy": right / sum(pairs.values()), "f1": fsum(each) / len(each)}


def tell_prior(prior: Prior, counts: Mapping[str, int], *, yes_no: bool) -> dict[str, float]:
    """The dummy's figures on rows whose answers, as text, were counted."""
    rows = sum(counts.values())
    each = {name: _alike(share, counts.get(name, 0), rows) for name, share in sorted(prior.shares.items())}
    if yes_no:
        chances = each.get("True") or _alike(0.0, counts.get("True", 0), rows)
        said = prior.shares.get("True", 0.0) > 0.5
        return tell_yes_no(chances, hits=chances.yes if said else 0, alarms=chances.no if said else 0)
    named = max(each, key=lambda name: prior.shares[name])
    return tell_classes(list(each.values()), {(answer, named): count for answer, count in counts.items()})


def _alike(said: float, yes: int, rows: int) -> Chances:
    """Of all rows the same was said."""
    import numpy as np

    chances = Chances()
    chances.add(np.array([said]), np.array([yes]), np.array([rows - yes]))
    return chances


def _chances(answers: "Array", said: "Array") -> Chances:
    import numpy as np

    values, place = np.unique(said, return_inverse=True)
    yes = np.bincount(place[answers], minlength=len(values))
    chances = Chances()
    chances.add(values, yes, np.bincount(place, minlength=len(values)) - yes)
    return chances


def measure_yes_no(answers: "Array", probability: "Array") -> dict[str, float]:
    """`answers` are booleans and `probability` is that of true."""
    said = probability > 0.5
    return tell_yes_no(_chances(answers, probability), hits=int((said & answers).sum()), alarms=int((said & ~answers).sum()))


def measure_classes(answers: "Array", matrix: "Array", classes: Sequence[str]) -> dict[str, float]:
    """For classes as text, with a column of probabilities for each."""
    import numpy as np

    said = np.asarray(classes, dtype=object)[matrix.argmax(axis=1)]
    pairs = Counter(zip(answers.tolist(), said.tolist(), strict=True))
    return tell_classes([_chances(answers == name, matrix[:, place]) for place, name in enumerate(classes)], pairs)


def measure_numbers(answers: "Array", predicted: "Array") -> dict[str, float]:
    errors = Errors()
    errors.add(answers, predicted)
    return errors.figures()


def measure_prior(answers: "Array", prior: Prior) -> dict[str, float]:
    """The dummy's figures on the same rows."""
    import numpy as np

    if prior.task is Task.REGRESSION:
        return measure_numbers(answers, np.full(len(answers), prior.mean))
    return tell_prior(prior, count_answers(answers), yes_no=answers.dtype == bool)
