"""Realised quality: what the predictions turned out to be worth, once the answers are known. Lines are only added."""

from collections.abc import Mapping
from datetime import datetime

import sqlalchemy as sa

from store import schema


def record_quality(
    connection: sa.Connection,
    *,
    pipeline: str,
    interval_start: datetime,
    batch: int,
    model: int,
    labels: int,
    rows: int,
    figures: Mapping[str, tuple[float, float]],
    run: int,
) -> None:
    """`figures` maps a metric to its value for the predictions and for the dummy; `labels` is the batch of the answers."""
    connection.execute(
        sa.insert(schema.quality),
        [
            {
                "pipeline": pipeline, "interval_start": interval_start, "batch": batch, "model": model, "labels": labels,
                "metric": metric, "value": value, "dummy": dummy, "rows": rows, "run": run,
            }
            for metric, (value, dummy) in figures.items()
        ],
    )  # fmt: skip


def labels_judged(connection: sa.Connection, batch: int) -> int | None:
    """The input batch whose answers a prediction batch was last judged by, None when it never was."""
    return connection.scalar(
        sa.select(schema.quality.c.labels).where(schema.quality.c.batch == batch).order_by(schema.quality.c.id.desc()).limit(1)
    )
