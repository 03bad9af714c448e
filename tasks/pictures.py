"""How the values of a batch's columns are distributed, counted in Postgres over a sample: the pictures of a verdict."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from domain.verdict import RuleResult
from store.batches import Batch

SAMPLE = 10_000  # rows that are looked at; of a larger batch, so many in whole blocks
BINS, VALUES, COLUMNS = 12, 8, 40
_NUMBERS, _MOMENTS, _WORDS = ("int", "float", "decimal"), ("timestamp", "date"), ("text", "bool")
_WIDEST = 1e300  # what is beyond, infinity and not-a-number among them, is in no picture
log = logging.getLogger("overnight.validate")


def picture_columns(engine: sa.Engine, batch: Batch, columns: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """By column, `{kind: number | moment, low, high, counts, empty, rows, of}`, where `counts` are twelve equal bins from the
    first to the last hundredth and what lies before and behind, or `{kind: value, values, others, ...}`, the most frequent.

    Moments are seconds of the epoch. A picture decorates a verdict: what Postgres refuses to draw is a line in the log.
    """
    kinds = {name: kind for name, kind in list(columns.items())[:COLUMNS] if kind in (*_NUMBERS, *_MOMENTS, *_WORDS)}
    if not kinds or not batch.rows:
        return {}
    try:
        with engine.connect() as connection:
            return _picture(connection, _sample(batch, kinds), kinds, of=batch.rows)
    except DBAPIError as error:
        log.warning("batch %s is judged without pictures: %s", batch.id, error.orig)
        return {}


def add_pictures(results: Sequence[RuleResult], pictures: Mapping[str, Mapping[str, Any]]) -> list[RuleResult]:
    """Each result with the picture of its rule's first column that has one."""
    return [replace(one, picture=next((pictures[name] for name in one.columns if name in pictures), {})) for one in results]


def _sample(batch: Batch, kinds: Mapping[str, str]) -> sa.Subquery:
    """The same rows whenever it is asked: a column that is a figure as float, every other as text."""
    table: Any = sa.table(batch.table, *(sa.column(name) for name in kinds), schema=batch.schema)
    if batch.rows > SAMPLE:
        table = sa.tablesample(table, sa.func.system(100 * SAMPLE / batch.rows), seed=sa.literal(batch.id))
    return sa.select(*(_value(table.c[name], kind).label(name) for name, kind in kinds.items())).subquery("sample")


def _value(column: Any, kind: str) -> Any:
    if kind in _WORDS:
        return sa.func.left(sa.cast(column, sa.Text), 40)
    figure = sa.extract("epoch", column) if kind in _MOMENTS else column
    return sa.case((figure.between(-_WIDEST, _WIDEST), sa.cast(figure, sa.Float)))


def _picture(connection: sa.Connection, sample: sa.Subquery, kinds: Mapping[str, str], *, of: int) -> dict[str, dict[str, Any]]:
    figures = [name for name, kind in kinds.items() if kind not in _WORDS]
    rows, filled, bounds = _bounds(connection, sample, list(kinds), figures)
    common = {name: {"rows": rows, "empty": rows - filled[name], "of": of} for name in kinds}
    drawn: dict[str, dict[str, Any]] = {}
    for name, kind in kinds.items():
        if kind in _WORDS:
            drawn[name] = {"kind": "value", **_values(connection, sample, name), **common[name]}
        elif name in bounds:
            low, high = bounds[name]
            counts = _counts(connection, sample, name, low=low, high=high)
            drawn[name] = {"kind": "moment" if kind in _MOMENTS else "number", "low": low, "high": high, "counts": counts,
                           **common[name]}  # fmt: skip
    return drawn


def _bounds(
    connection: sa.Connection, sample: sa.Subquery, names: Sequence[str], figures: Sequence[str]
) -> tuple[int, dict[str, int], dict[str, tuple[float, float]]]:
    """Rows, filled cells by column, and for each figure its first and its last hundredth."""
    ends = sa.cast(sa.literal([0.01, 0.99], sa.ARRAY(sa.Float)), sa.ARRAY(sa.Float))
    hundredths = [sa.func.percentile_disc(ends).within_group(sample.c[name]) for name in figures]
    line = connection.execute(sa.select(sa.func.count(), *(sa.func.count(sample.c[name]) for name in names), *hundredths)).one()
    found = {name: line[1 + len(names) + place] for place, name in enumerate(figures)}
    bounds = {name: (float(ends[0]), float(ends[1])) for name, ends in found.items() if ends}
    return line[0], dict(zip(names, line[1:], strict=False)), bounds


def _counts(connection: sa.Connection, sample: sa.Subquery, name: str, *, low: float, high: float) -> list[int]:
    edges = sorted({low + (high - low) * place / BINS for place in range(BINS)} | {math.nextafter(high, math.inf)})
    bin_ = sa.func.width_bucket(sample.c[name], sa.cast(sa.literal(edges, sa.ARRAY(sa.Float)), sa.ARRAY(sa.Float)))
    query = sa.select(bin_.label("bin"), sa.func.count()).where(sample.c[name].is_not(None)).group_by(sa.literal_column("bin"))
    found = dict(tuple(line) for line in connection.execute(query))
    return [found.get(place, 0) for place in range(len(edges) + 1)]


def _values(connection: sa.Connection, sample: sa.Subquery, name: str) -> dict[str, Any]:
    column = sample.c[name]
    grouped = (
        sa.select(column.label("value"), sa.func.count().label("rows")).where(column.is_not(None)).group_by(column).subquery()
    )
    query = (
        sa.select(grouped.c.value, grouped.c.rows, sa.func.sum(grouped.c.rows).over(), sa.func.count().over())
        .order_by(grouped.c.rows.desc(), grouped.c.value)
        .limit(VALUES)
    )
    lines = connection.execute(query).all()
    shown = [[line[0], line[1]] for line in lines]
    rest = int(lines[0][2]) - sum(count for _, count in shown) if lines else 0
    return {"values": shown, "others": rest, "distinct": int(lines[0][3]) if lines else 0}
