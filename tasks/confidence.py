"""What held-out rows say of how far a model's own words may be trusted, kept with its profile for every night after.

For classes: how often what was said with such a probability came true (a calibration by scikit-learn's isotonic regression, by
Platt's sigmoid under a thousand rows, as its user guide advises). For numbers: how large errors are where such a number was
said, and the ranges if they are asked for.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from domain.pipeline import Pipeline
from domain.words import Task
from tasks.predictions import Said
from tasks.ranges import fit_ranges, rows_needed

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

FEWEST, ENOUGH_FOR_STEPS = 50, 1000
POINTS, GROUPS, GROUP_ROWS = 101, 10, 30


def write_confidence(pipeline: Pipeline, said: Said) -> dict[str, Any]:
    """The parts of a profile that are about confidence; empty when the held-out rows are too few to say."""
    kept: dict[str, Any] = {}
    if len(said) >= FEWEST:
        kept["confidence"] = _errors(said) if said.task is Task.REGRESSION else _calibrated(said)
    ranges = fit_ranges(said, coverage=pipeline.model.coverage) if pipeline.model.coverage is not None else None
    return kept | ({"ranges": ranges.to_json()} if ranges else {})


def tell_ranges(pipeline: Pipeline, said: Said, kept: Mapping[str, Any]) -> dict[str, Any]:
    """What a card says of ranges; empty where none are asked for."""
    coverage = pipeline.model.coverage
    if coverage is None:
        return {}
    if "ranges" not in kept:
        return {
            "ranges": {"note": f"none: {coverage:.0%} needs {rows_needed(coverage)} held-out rows, and there are {len(said)}"}
        }
    ranges = kept["ranges"]
    widths = [high - low for low, high in zip(ranges["low"], ranges["high"], strict=True)]
    return {
        "ranges": {
            "coverage": coverage, "held_out_rows": ranges["rows"], "held_on_the_later_half": ranges["checked"],
            "narrowest": round(min(widths), 6), "widest": round(max(widths), 6), "groups": len(widths),
        }
    }  # fmt: skip


def _calibrated(said: Said) -> dict[str, Any]:
    """The chance that it comes true, on a grid over the probability that was said: of true, or of the class named."""
    import numpy as np

    if said.is_yes_no:
        chance, came = said.values, said.answers.astype(float)
    else:
        chance = said.values.max(axis=1)
        named = np.asarray(said.classes, dtype=object)[said.values.argmax(axis=1)]
        came = (named.astype(str) == said.answers.astype(str)).astype(float)
    grid = np.linspace(0, 1, POINTS)
    return {"kind": "yes_no" if said.is_yes_no else "classes", "grid": _curve(chance, came, grid), "rows": len(said)}


def _curve(chance: "Array", came: "Array", grid: "Array") -> list[float]:
    import numpy as np
    from sklearn.isotonic import IsotonicRegression
    from sklearn.linear_model import LogisticRegression

    if came.min() == came.max():
        return [round(float(came.mean()), 6)] * len(grid)
    if len(came) >= ENOUGH_FOR_STEPS:
        steps = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(chance, came)
        return [round(float(value), 6) for value in steps.predict(grid)]

    def odds(values: "Array") -> "Array":
        clipped = np.clip(values, 1e-6, 1 - 1e-6)
        found: Array = np.log(clipped / (1 - clipped)).reshape(-1, 1)
        return found

    sigmoid = LogisticRegression().fit(odds(chance), came)
    return [round(float(value), 6) for value in sigmoid.predict_proba(odds(grid))[:, 1]]


def _errors(said: Said) -> dict[str, Any]:
    """The mean absolute error, its square and fourth power where such numbers were said; `edges` are between the groups."""
    import numpy as np

    values = np.asarray(said.values, dtype=np.float64)
    groups = max(1, min(GROUPS, len(said) // GROUP_ROWS))
    edges = np.unique(np.quantile(values, np.linspace(0, 1, groups + 1)[1:-1]))
    place = np.searchsorted(edges, values, side="right")
    error = np.abs(values - said.answers)
    counts = np.maximum(1, np.bincount(place, minlength=len(edges) + 1))
    powers = {
        name: (np.bincount(place, weights=error**power, minlength=len(edges) + 1) / counts).tolist()
        for name, power in (("absolute", 1), ("square", 2), ("fourth", 4))
    }
    return {"kind": "numbers", "edges": edges.tolist(), **powers, "rows": len(said)}
