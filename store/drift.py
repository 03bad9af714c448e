"""What each model learned from, in short, and how far each night's rows and predictions are from it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from store import schema


@dataclass(frozen=True, slots=True)
class Drift:
    """One feature's, or the predictions', distance from the model's window. `psi` is the population stability index,
    `distance` Jensen-Shannon's; `missing` are shares of rows, `rows` those that were looked at."""

    kind: Literal["feature", "prediction"]
    feature: str
    psi: float
    distance: float
    missing: float
    missing_then: float
    rows: int


_COLUMNS = [schema.drift.c[name] for name in Drift.__dataclass_fields__]


def save_profile(connection: sa.Connection, model: int, document: Mapping[str, Any]) -> None:
    connection.execute(sa.insert(schema.profile).values(model=model, document=dict(document)))


def load_profile(connection: sa.Connection, model: int) -> Mapping[str, Any] | None:
    """What a model learned from; None for models that came before profiles were kept."""
    found: Mapping[str, Any] | None = connection.scalar(
        sa.select(schema.profile.c.document).where(schema.profile.c.model == model)
    )
    return found


def record_drift(
    connection: sa.Connection,
    lines: Sequence[Drift],
    *,
    pipeline: str,
    interval_start: datetime,
    batch: int,
    model: int,
    run: int,
) -> None:
    """Once for each prediction batch."""
    if lines:
        common = {"pipeline": pipeline, "interval_start": interval_start, "batch": batch, "model": model, "run": run}
        connection.execute(sa.insert(schema.drift), [{**common, **asdict(line)} for line in lines])


def batch_drift(connection: sa.Connection, batch: int) -> Sequence[Drift]:
    """The lines of one prediction batch, the largest index first, the predictions' own before all."""
    lines = connection.execute(
        sa.select(*_COLUMNS).where(schema.drift.c.batch == batch).order_by(schema.drift.c.kind.desc(), schema.drift.c.psi.desc())
    )
    return [Drift(*line) for line in lines]


_NEWEST = """
SELECT d.psi, d.rows, (SELECT max(f.psi) FROM overnight.drift f WHERE f.batch = d.batch AND f.kind = 'feature') AS cause
FROM overnight.drift d JOIN overnight.pointer p ON p.batch = d.batch
WHERE d.model = :model AND d.kind = 'prediction' AND d.interval_start >= :since AND d.interval_start < :before
ORDER BY d.interval_start DESC LIMIT :nights
"""


@dataclass(frozen=True, slots=True)
class NightDrift:
    """One night's effect and its largest cause: the indexes of the predictions and of the feature that moved most."""

    effect: float
    cause: float
    rows: int


def newest_drifts(
    connection: sa.Connection, model: int, *, since: datetime, before: datetime, nights: int
) -> Sequence[NightDrift]:
    """Those of the newest nights in the span that this model scored and readers see, newest first."""
    values = {"model": model, "since": since, "before": before, "nights": nights}
    return [NightDrift(line.psi, line.cause or 0.0, line.rows) for line in connection.execute(sa.text(_NEWEST), values)]
