"""What predictions should turn out to be worth, from the model's own confidence, until their answers come.

For classes this is confidence-based performance estimation (CBPE; NannyML, "Performance estimation"): calibrated probabilities
give the expected counts of right and wrong, and those the metrics. For numbers it is a direct loss estimation with what was
said as its one feature. Both hold while the answers follow the features as they did on the held-out rows: they see that
rows have become harder, and not that the world has changed. Hence every estimate is marked as one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from psycopg2 import sql

from domain.words import BatchKind
from store.batches import table_of
from store.drift import load_profile
from store.engine import driver_cursor
from store.pipelines import inner_schema
from store.quality import Unjudged, record_estimate, unanswered_predictions
from tasks.context import Night
from tasks.estimators import metric_of

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

BINS, DRAWS = 1000, 400
Estimate = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Estimated:
    """Each metric's value, and the span in which the realised one should lie nineteen times in twenty."""

    night: Unjudged
    rows: int
    figures: Mapping[str, Estimate]


def estimate_unanswered(night: Night, connection: sa.Connection) -> list[Estimated]:
    """Estimates and records, once for each published batch up to this night that has neither answers nor an estimate."""
    earliest = night.interval.start.astimezone(night.pipeline.interval.timezone) - night.pipeline.model.window
    waiting = unanswered_predictions(connection, night.pipeline.name, start=earliest, end=night.interval.end)
    return [found for each in waiting if (found := _estimate(night, connection, each)) is not None]


def _estimate(night: Night, connection: sa.Connection, which: Unjudged) -> Estimated | None:
    confidence = (load_profile(connection, which.model) or {}).get("confidence")
    if confidence is None:
        return None
    lines = _count(night, connection, which, confidence)
    rows = sum(int(line[1]) for line in lines)
    if not rows:
        return None
    figures = {"yes_no": _yes_no, "classes": _classes, "numbers": _numbers}[confidence["kind"]](lines, confidence)
    record_estimate(
        connection, pipeline=night.pipeline.name, interval_start=which.interval.start, batch=which.batch, model=which.model,
        rows=rows, figures=figures, run=night.run.id,
    )  # fmt: skip
    return Estimated(which, rows, figures)


_CHANCES = """
SELECT least(width_bucket(probability, 0, 1, {bins}), {bins}), count(*), avg(probability), prediction::text = 'true'
FROM {predictions} WHERE probability IS NOT NULL GROUP BY 1, 4 ORDER BY 1
"""
_NUMBERS = "SELECT {group}, count(*) FROM {predictions} WHERE prediction IS NOT NULL GROUP BY 1 ORDER BY 1"


def _count(night: Night, connection: sa.Connection, which: Unjudged, confidence: Mapping[str, Any]) -> list[Any]:
    """Rows by what was said of them, counted where they lie."""
    edges = confidence.get("edges")
    group = sql.SQL("width_bucket(prediction, {}::float8[])").format(sql.Literal(edges)) if edges else sql.SQL("0")
    query = sql.SQL(_NUMBERS if confidence["kind"] == "numbers" else _CHANCES).format(
        predictions=sql.Identifier(inner_schema(night.pipeline.name), table_of(BatchKind.PREDICTION, which.batch)),
        bins=sql.Literal(BINS), group=group,
    )  # fmt: skip
    with driver_cursor(connection) as cursor:
        cursor.execute(query)
        return list(cursor.fetchall())


def _columns(lines: list[Any], confidence: Mapping[str, Any]) -> "tuple[Array, Array, Array, Array]":
    """For each bin: rows, the probability said, the chance that this has, and whether true was said."""
    import numpy as np

    _, rows, said, named = zip(*lines, strict=True)
    chance = np.interp(np.array(said, dtype=float), np.linspace(0, 1, len(confidence["grid"])), confidence["grid"])
    return np.array(rows, dtype=float), np.array(said, dtype=float), chance, np.array(named, dtype=bool)


def _spread(value: Mapping[str, "Array"], drawn: Mapping[str, "Array"]) -> dict[str, Estimate]:
    import numpy as np

    spans = {name: np.nanpercentile(drawn[name], [2.5, 97.5]) for name in value if np.isfinite(value[name])}
    return {name: (float(value[name]), float(low), float(high)) for name, (low, high) in spans.items()}


def _yes_no(lines: list[Any], confidence: Mapping[str, Any]) -> dict[str, Estimate]:
    import numpy as np

    rows, said, chance, named = _columns(lines, confidence)
    drawn = np.random.default_rng(0).binomial(rows.astype(int), chance, size=(DRAWS, len(rows))).astype(float)
    return _spread(_expected(rows, said, named, rows * chance), _expected(rows, said, named, drawn))


def _expected(rows: "Array", said: "Array", named: "Array", true: "Array") -> dict[str, "Array"]:
    """The metrics when so many of each bin's rows are true; `true` may hold many draws, one a line. Log loss is not among them:
    it hangs on the few rows that were almost certain, of which a calibration knows least."""
    import numpy as np

    false, total = rows - true, rows.sum()
    hits, false_alarms, misses = (part.sum(-1) for part in (true * named, false * named, true * ~named))
    pairs = true.sum(-1) * false.sum(-1)
    below = np.cumsum(false, axis=-1) - false / 2  # bins are in the order of what was said
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "roc_auc": np.where(pairs > 0, (true * below).sum(-1) / pairs, np.nan),
            "accuracy": (hits + (false * ~named).sum(-1)) / total,
            "f1": np.nan_to_num(2 * hits / (2 * hits + false_alarms + misses)),
            "brier": (true * (1 - said) ** 2 + false * said**2).sum(-1) / total,
        }


def _classes(lines: list[Any], confidence: Mapping[str, Any]) -> dict[str, Estimate]:
    """Of many classes the most probable one alone is kept, so accuracy alone can be told."""
    import numpy as np

    rows, _, chance, _ = _columns(lines, confidence)
    drawn = np.random.default_rng(0).binomial(rows.astype(int), chance, size=(DRAWS, len(rows)))
    return _spread({"accuracy": (rows * chance).sum() / rows.sum()}, {"accuracy": drawn.sum(-1) / rows.sum()})


def _numbers(lines: list[Any], confidence: Mapping[str, Any]) -> dict[str, Estimate]:
    """`r2` would need the spread of answers that nobody knows yet."""
    import numpy as np

    place, rows = (np.array(column) for column in zip(*lines, strict=True))
    absolute, square, fourth = (np.array(confidence[name])[place] for name in ("absolute", "square", "fourth"))
    total = rows.sum()
    mae, mse = float((rows * absolute).sum() / total), float((rows * square).sum() / total)
    mae_error, mse_error = (
        1.96 * float(np.sqrt(max(0.0, (rows * (second - first**2)).sum()))) / total
        for first, second in ((absolute, square), (square, fourth))
    )
    root = (float(np.sqrt(max(0.0, each))) for each in (mse, mse - mse_error, mse + mse_error))
    value, low, high = root
    found = {"mae": (mae, max(0.0, mae - mae_error), mae + mae_error), "rmse": (value, low, high)}
    return {name: (float(middle), float(start), float(end)) for name, (middle, start, end) in found.items()}


def tell_estimates(night: Night, found: list[Estimated]) -> str:
    """One sentence, of the pipeline's own metric where it can be told; empty when nothing was estimated."""
    if not found:
        return ""
    newest, metric = found[-1], metric_of(night.pipeline)
    shown = metric if metric in newest.figures else next(iter(newest.figures))
    value, low, high = newest.figures[shown]
    label = night.pipeline.calendar.label(newest.night.interval)
    return f"until the answers of {label} come, {shown} is estimated at {value:.4f} ({low:.4f} to {high:.4f})"
