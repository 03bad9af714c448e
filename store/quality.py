"""Realised quality: what the predictions turned out to be worth, once the answers are known. Lines are only added."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from domain.interval import Interval
from store import schema


@dataclass(frozen=True, slots=True)
class Unjudged:
    """Predictions that readers see, or a shadow of them, and the input batch which may hold the answers: the one that readers see
    beside them, or a later night's whole table. `judged` is how many rows of them were judged last."""

    interval: Interval
    batch: int
    model: int
    labels: int
    shadow: bool = False
    judged: int = 0


_UNJUDGED = """
SELECT p.interval_start, p.interval_end, p.batch, b.model, i.batch AS labels
FROM overnight.pointer p
    JOIN overnight.batch b ON b.id = p.batch AND NOT b.hindsight
    JOIN overnight.pointer i ON i.pipeline = p.pipeline AND i.kind = 'input' AND i.interval_start = p.interval_start
WHERE p.pipeline = :pipeline AND p.kind = 'prediction' AND p.interval_start >= :start AND p.interval_end <= :end
    AND i.batch IS DISTINCT FROM (SELECT q.labels FROM overnight.quality q WHERE q.batch = p.batch ORDER BY q.id DESC LIMIT 1)
ORDER BY p.interval_start
"""


def unjudged_predictions(connection: sa.Connection, pipeline: str, *, start: datetime, end: datetime) -> Sequence[Unjudged]:
    """The published predictions inside `[start, end)` that were not last judged by today's published input batch of their
    interval, oldest first. Those that were made in hindsight are not among them (law 5)."""
    lines = connection.execute(sa.text(_UNJUDGED), {"pipeline": pipeline, "start": start, "end": end})
    return [Unjudged(Interval(line.interval_start, line.interval_end), line.batch, line.model, line.labels) for line in lines]


_UNJUDGED_SHADOWS = """
SELECT s.interval_start, s.interval_end, s.id AS batch, s.model, i.batch AS labels
FROM overnight.batch s
    JOIN overnight.pointer i ON i.pipeline = s.pipeline AND i.kind = 'input' AND i.interval_start = s.interval_start
WHERE s.pipeline = :pipeline AND s.kind = 'shadow' AND s.state = 'sealed' AND s.input_batch = i.batch
    AND s.interval_start >= :start AND s.interval_end <= :end
    AND NOT EXISTS (SELECT FROM overnight.quality q WHERE q.batch = s.id AND q.labels = i.batch)
ORDER BY s.interval_start, s.id
"""


def unjudged_shadows(connection: sa.Connection, pipeline: str, *, start: datetime, end: datetime) -> Sequence[Unjudged]:
    """What challengers said of the rows that readers see, as far as nobody has judged it by their answers."""
    lines = connection.execute(sa.text(_UNJUDGED_SHADOWS), {"pipeline": pipeline, "start": start, "end": end})
    return [
        Unjudged(Interval(each.interval_start, each.interval_end), each.batch, each.model, each.labels, True) for each in lines
    ]


_UNANSWERED = """
SELECT p.interval_start, p.interval_end, p.batch, b.model
FROM overnight.pointer p JOIN overnight.batch b ON b.id = p.batch AND NOT b.hindsight
WHERE p.pipeline = :pipeline AND p.kind = 'prediction' AND p.interval_start >= :start AND p.interval_end <= :end
    AND NOT EXISTS (SELECT FROM overnight.quality q WHERE q.batch = p.batch)
    AND NOT EXISTS (SELECT FROM overnight.estimate e WHERE e.batch = p.batch)
ORDER BY p.interval_start
"""


def unanswered_predictions(connection: sa.Connection, pipeline: str, *, start: datetime, end: datetime) -> Sequence[Unjudged]:
    """The published predictions inside `[start, end)` that nobody has judged or estimated, oldest first."""
    lines = connection.execute(sa.text(_UNANSWERED), {"pipeline": pipeline, "start": start, "end": end})
    return [Unjudged(Interval(line.interval_start, line.interval_end), line.batch, line.model, 0) for line in lines]


def record_estimate(
    connection: sa.Connection,
    *,
    pipeline: str,
    interval_start: datetime,
    batch: int,
    model: int,
    rows: int,
    figures: Mapping[str, tuple[float, float, float]],
    run: int,
) -> None:
    """`figures` maps a metric to its value and the span around it."""
    common = {"pipeline": pipeline, "interval_start": interval_start, "batch": batch, "model": model, "rows": rows, "run": run}
    lines = [{**common, "metric": m, "value": v, "low": low, "high": high} for m, (v, low, high) in figures.items()]
    connection.execute(sa.insert(schema.estimate), lines)


_LATER = """
SELECT p.interval_start, p.interval_end, p.batch, b.model, t.batch AS labels, coalesce(last.rows, 0) AS judged
FROM overnight.pointer p
    JOIN overnight.batch b ON b.id = p.batch AND NOT b.hindsight
    JOIN overnight.pointer t ON t.pipeline = p.pipeline AND t.kind = 'input' AND t.interval_end = :end
    LEFT JOIN LATERAL (SELECT q.rows, q.labels FROM overnight.quality q WHERE q.batch = p.batch ORDER BY q.id DESC LIMIT 1) last
        ON true
WHERE p.pipeline = :pipeline AND p.kind = 'prediction' AND p.interval_start >= :start AND p.interval_end <= :end
    AND coalesce(last.rows, 0) < b.rows AND last.labels IS DISTINCT FROM t.batch
ORDER BY p.interval_start
"""


def unjudged_by_table(connection: sa.Connection, pipeline: str, *, start: datetime, end: datetime) -> Sequence[Unjudged]:
    """For a table that is whole every night: the published predictions inside `[start, end)` of which not every row was judged,
    beside the table of the night that ends at `end`, which may have brought answers for them. Oldest first."""
    lines = connection.execute(sa.text(_LATER), {"pipeline": pipeline, "start": start, "end": end})
    return [
        Unjudged(Interval(line.interval_start, line.interval_end), line.batch, line.model, line.labels, judged=line.judged)
        for line in lines
    ]  # fmt: skip


def record_quality(
    connection: sa.Connection,
    *,
    pipeline: str,
    interval_start: datetime,
    batch: int,
    model: int,
    labels: int,
    rows: int,
    figures: Mapping[str, tuple[float, float | None]],
    run: int,
) -> None:
    """`figures` maps a metric to its value for the predictions and for the dummy, which has no ranges;
    `labels` is the batch of the answers."""
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
