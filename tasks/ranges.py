"""The range around each predicted number that should hold its answer so often: split conformal prediction.

The twin's errors on the held-out rows say how far predictions go wrong, and their ranks give the range, whatever the estimator:
Papadopoulos et al. (2002); Lei et al., Distribution-Free Predictive Inference for Regression (2018). Low and high errors
are ranked apart, half of what is left over on either side, and within groups of like predictions where there are rows
enough (Mondrian conformal prediction: Vovk et al., 2005), so that a range is wide where errors are large.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from math import ceil, floor
from typing import TYPE_CHECKING, Any

from domain.pipeline import Pipeline
from domain.words import Task
from tasks.predictions import Said

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

MOST_GROUPS, GROUP_ROWS = 10, 100


@dataclass(frozen=True, slots=True)
class Ranges:
    """`low` and `high` are the errors (answer less prediction) that bound each group; `edges` are the predictions between
    the groups. `checked` is the share of the later held-out rows inside ranges made from the earlier ones."""

    coverage: float
    edges: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    rows: int
    checked: float | None = None

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Ranges":
        lists = {name: tuple(document[name]) for name in ("edges", "low", "high")}
        return cls(document["coverage"], **lists, rows=document["rows"], checked=document["checked"])

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def around(self, predicted: "Array") -> "tuple[Array, Array]":
        """The lower and the upper end for each prediction."""
        import numpy as np

        group = np.searchsorted(np.asarray(self.edges), predicted, side="right")
        return predicted + np.asarray(self.low)[group], predicted + np.asarray(self.high)[group]

    def share_inside(self, said: Said) -> float:
        lower, upper = self.around(said.values)
        return float(((lower <= said.answers) & (said.answers <= upper)).mean())


def fit_ranges(said: Said, *, coverage: float) -> Ranges | None:
    """None when the held-out rows are too few to promise so much: 90% needs 19 of them, 99% needs 199."""
    import numpy as np

    found = _fit(said, coverage)
    if found is None:
        return None
    earlier_rows, later_rows = np.array_split(np.arange(len(said)), 2)
    earlier = _fit(said.only(earlier_rows), coverage)
    # Rows are in the order of their nights, so this asks what ranges promise: that they hold for what comes after.
    checked = earlier.share_inside(said.only(later_rows)) if earlier else None
    return replace(found, checked=checked)


def rows_needed(coverage: float) -> int:
    """How few rows can promise it at all."""
    return ceil(round(2 / (1 - coverage), 9)) - 1


def _fit(said: Said, coverage: float) -> Ranges | None:
    import numpy as np

    needed = rows_needed(coverage)
    if len(said) < needed:
        return None
    values = np.asarray(said.values, dtype=np.float64)
    errors, edges = said.answers - values, _edges(values, least=max(GROUP_ROWS, 2 * needed))
    group = np.searchsorted(edges, values, side="right")
    ends = [_ends(np.sort(errors[group == place]), coverage) for place in range(len(edges) + 1)]
    low, high = zip(*ends, strict=True)
    return Ranges(coverage, tuple(float(edge) for edge in edges), low, high, len(said))


def _edges(values: "Array", *, least: int) -> "Array":
    """As many groups of about equal size as leave each at least so many rows; equal predictions stay together."""
    import numpy as np

    for groups in range(min(MOST_GROUPS, len(values) // least), 1, -1):
        edges = np.unique(np.quantile(values, np.linspace(0, 1, groups + 1)[1:-1]))
        counts = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)
        if counts.min() >= least:
            return edges
    return np.array([])


def _ends(errors: "Array", coverage: float) -> tuple[float, float]:
    """The errors at the ranks between which a new one falls with at least that chance."""
    place = floor(round((len(errors) + 1) * (1 - coverage) / 2, 9))
    return float(errors[place - 1]), float(errors[-place])


def range_columns(pipeline: Pipeline) -> tuple[str, ...]:
    """The columns that predictions have beside the usual ones."""
    asked = pipeline.model.coverage is not None and pipeline.target.task is Task.REGRESSION
    return ("lower", "upper") if asked else ()


@dataclass(slots=True)
class Held:
    """How many answers fell inside their ranges, and how wide these were, whatever the number of rows."""

    rows: int = 0
    inside: int = 0
    width: float = 0.0

    def add(self, answers: "Array", lower: "Array", upper: "Array") -> None:
        import numpy as np

        known = np.isfinite(lower) & np.isfinite(upper)
        self.rows += int(known.sum())
        self.inside += int(((lower <= answers) & (answers <= upper))[known].sum())
        self.width += float((upper - lower)[known].sum())

    def figures(self) -> dict[str, float]:
        """Nothing when no row has a range."""
        return {"coverage": self.inside / self.rows, "width": self.width / self.rows} if self.rows else {}
