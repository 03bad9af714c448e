"""Compares tonight's predictions and input with the last published night's, in Postgres, before the pointer moves."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import sqlalchemy as sa

from domain.diff import Diff
from domain.interval import Interval
from domain.pipeline import Pipeline
from domain.words import BatchKind, BatchState, Task
from store.batches import Batch, load_batch, table_of
from store.publications import published_batches

_RANGES = 10
_NUMBERS = ("int", "float", "decimal")


def diff_night(connection: sa.Connection, pipeline: Pipeline, predicted: Batch) -> Diff | None:
    """What differs between a prediction batch and the newest published one of an earlier night; None when it is the first."""
    earlier = published_batches(connection, pipeline.name, BatchKind.PREDICTION, end=predicted.interval.start)
    before = load_batch(connection, earlier[-1].batch) if earlier else None
    if before is None or not _is_kept(connection, before):
        return None
    shared = _compare_keys(connection, pipeline, predicted, before)
    ranges, counts_before, counts_after = _distribution(connection, pipeline, predicted, before)
    return Diff(
        against=_label(pipeline, before.interval), batch=before.id, rows=predicted.rows, rows_before=before.rows,
        common=shared["common"], flips=shared["flips"], before=counts_before, after=counts_after, ranges=ranges,
        mean=_mean(connection, pipeline, predicted), mean_before=_mean(connection, pipeline, before),
        moves=_largest_moves(connection, pipeline, predicted, before), columns=_shapes(connection, pipeline, predicted, before),
    )  # fmt: skip


def _is_kept(connection: sa.Connection, batch: Batch) -> bool:
    """Whether its rows and those that it speaks of are there to be compared with, and not pruned."""
    assert batch.input_batch is not None
    return BatchState.DROPPED not in (batch.state, load_batch(connection, batch.input_batch).state)


def _label(pipeline: Pipeline, interval: Interval) -> str:
    return pipeline.calendar.label(interval)


def _predictions(pipeline: Pipeline, batch: Batch, name: str) -> Any:
    """A batch's predictions in their own table: of a new one Postgres knows its size, and not what its columns hold."""
    columns: list[Any] = [sa.column(key) for key in (*pipeline.key, "prediction", "probability")]
    return sa.table(batch.table, *columns, schema=batch.schema).alias(name)


def _same_key(pipeline: Pipeline, left: Any, right: Any) -> sa.ColumnElement[bool]:
    return sa.and_(*(left.c[key] == right.c[key] for key in pipeline.key))


def _figure(pipeline: Pipeline, predictions: Any) -> Any:
    """The number that is said of a row: the predicted one, or the probability."""
    return predictions.c.prediction if pipeline.target.task is Task.REGRESSION else predictions.c.probability


def _compare_keys(connection: sa.Connection, pipeline: Pipeline, now: Batch, before: Batch) -> Mapping[str, int]:
    """A regression has no flips: any two numbers differ."""
    new, old = _predictions(pipeline, now, "new"), _predictions(pipeline, before, "old")
    changed = sa.false() if pipeline.target.task is Task.REGRESSION else new.c.prediction.is_distinct_from(old.c.prediction)
    query = sa.select(sa.func.count(), sa.func.count().filter(changed)).select_from(new.join(old, _same_key(pipeline, new, old)))
    common, flips = connection.execute(query).one()
    return {"common": common, "flips": flips}


def _largest_moves(connection: sa.Connection, pipeline: Pipeline, now: Batch, before: Batch) -> tuple[Mapping[str, Any], ...]:
    new, old = _predictions(pipeline, now, "new"), _predictions(pipeline, before, "old")
    after, then = _figure(pipeline, new), _figure(pipeline, old)
    query = (
        sa.select(*(new.c[key] for key in pipeline.key), then.label("before"), after.label("after"))
        .select_from(new.join(old, _same_key(pipeline, new, old)))
        .where(after.is_distinct_from(then))
        .order_by(sa.func.abs(after - then).desc().nulls_last(), *(new.c[key] for key in pipeline.key))
        .limit(10)
    )
    return tuple({name: _plain(value) for name, value in line._mapping.items()} for line in connection.execute(query))


def _distribution(
    connection: sa.Connection, pipeline: Pipeline, now: Batch, before: Batch
) -> tuple[tuple[str, ...], tuple[int, ...], tuple[int, ...]]:
    """The ranges, cut where the earlier night's tenths lie, and how many rows of each night fall into them; for a choice of
    several classes, the classes."""
    classes = pipeline.target.task is Task.CLASSIFICATION and pipeline.target.rule is None
    if classes:
        counts = [_counted(connection, pipeline, batch, lambda p: p.c.prediction) for batch in (before, now)]
        names = sorted({*counts[0], *counts[1]}, key=str)
        then, tonight = (tuple(count.get(name, 0) for name in names) for count in counts)
        return tuple(map(str, names)), then, tonight
    edges = _edges(connection, pipeline, before)
    where = sa.cast(sa.literal(edges, sa.ARRAY(sa.Float)), sa.ARRAY(sa.Float))
    counts = [
        _counted(connection, pipeline, batch, lambda p: sa.func.width_bucket(sa.cast(_figure(pipeline, p), sa.Float), where))
        for batch in (before, now)
    ]
    ranges = _range_words([f"{edge:.4g}" for edge in edges])
    then, tonight = (tuple(count.get(place, 0) for place in range(len(ranges))) for count in counts)
    return ranges, then, tonight


def _range_words(edges: Sequence[str]) -> tuple[str, ...]:
    """What lies below the first edge, between each two, and from the last on."""
    between = (f"{low} to {high}" for low, high in pairwise(edges))
    return (f"below {edges[0]}", *between, f"from {edges[-1]}") if edges else ("all",)


def _edges(connection: sa.Connection, pipeline: Pipeline, batch: Batch) -> list[float]:
    """The inner tenths of what a night said, each once."""
    said = _predictions(pipeline, batch, "said")
    tenths = sa.literal([place / _RANGES for place in range(1, _RANGES)], sa.ARRAY(sa.Float))
    figure = sa.cast(_figure(pipeline, said), sa.Float)
    found = connection.scalar(sa.select(sa.func.percentile_disc(sa.cast(tenths, sa.ARRAY(sa.Float))).within_group(figure)))
    return sorted({float(edge) for edge in found or [] if edge is not None})


def _counted(connection: sa.Connection, pipeline: Pipeline, batch: Batch, group: Any) -> dict[Any, int]:
    said = _predictions(pipeline, batch, "said")
    found = connection.execute(sa.select(group(said).label("place"), sa.func.count()).group_by(sa.literal_column("place")))
    return {place: count for place, count in found if place is not None}


def _mean(connection: sa.Connection, pipeline: Pipeline, batch: Batch) -> float | None:
    said = _predictions(pipeline, batch, "said")
    value = connection.scalar(sa.select(sa.func.avg(sa.cast(_figure(pipeline, said), sa.Float))))
    return None if value is None else float(value)


def _shapes(connection: sa.Connection, pipeline: Pipeline, now: Batch, before: Batch) -> dict[str, dict[str, Any]]:
    """For each column that the model sees: its empty share and mean, then and now."""
    names = [name for name in pipeline.features.columns if name in pipeline.columns]
    then, tonight = (_shape(connection, pipeline, batch, names) for batch in (before, now))
    return {name: {"before": then[name], "after": tonight[name]} for name in names}


def _shape(connection: sa.Connection, pipeline: Pipeline, batch: Batch, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    numbers = [name for name in names if pipeline.columns[name].type in _NUMBERS]
    assert batch.input_batch is not None
    landed = sa.table(table_of(BatchKind.INPUT, batch.input_batch), *map(sa.column, names), schema=batch.schema)
    empty = [sa.func.count() - sa.func.count(landed.c[name]) for name in names]
    means = [sa.func.avg(sa.cast(landed.c[name], sa.Float)) for name in numbers]
    line = connection.execute(sa.select(sa.func.count(), *empty, *means).select_from(landed)).one()
    rows = line[0] or 1
    shape: dict[str, dict[str, Any]] = {n: {"null_share": round(line[1 + i] / rows, 6)} for i, n in enumerate(names)}
    for place, name in enumerate(numbers, start=1 + len(names)):
        shape[name]["mean"] = None if line[place] is None else round(float(line[place]), 6)
    return shape


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
