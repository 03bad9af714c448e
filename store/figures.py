"""What a night looked like: figures of a batch's columns, taken in Postgres once, kept, and compared with by later nights."""

from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from domain.history import Usual
from domain.interval import Interval
from domain.words import BatchKind
from store import schema

LOOKED_AT = 200_000  # rows; of a larger batch, about as many in whole pages, the same ones each time
_FEW = 100  # different values above which a column's shares are not kept
_AT_ONCE = 800  # columns of one question, two figures of each: Postgres answers with 1,664 at most
_NUMBERS = ("int", "float", "decimal", "bool")
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def measure_batch(
    connection: sa.Connection, *, at: str, table: str, rows: int, columns: Mapping[str, str], key: Sequence[str]
) -> dict[str, Any]:
    """A table's figures: its rows, and for each column the share of nulls, the mean of numbers, the shares of few values.

    `at` is the table's schema. The key is left out of the shares, being different in every row.
    """
    source: Any = sa.table(table, *map(sa.column, columns), schema=at)
    if rows > LOOKED_AT:
        source = source.tablesample(sa.func.system(100 * LOOKED_AT / rows), name="looked_at", seed=sa.literal(1))
    figures: dict[str, Any] = {}
    for name, (filled, mean, seen) in _plain_figures(connection, source, columns).items():
        figures[name] = {"null_share": round(1 - filled / seen, 9) if seen else 0.0}
        if mean is not None:
            figures[name]["mean"] = mean
    few = [name for name, kind in columns.items() if kind in ("text", "bool") and name not in key]
    for name, shares in _shares(connection, source, few).items():
        figures[name]["shares"] = shares
    return {"rows": rows, "columns": figures}


def _plain_figures(connection: sa.Connection, table: Any, columns: Mapping[str, str]) -> dict[str, tuple[int, float | None, int]]:
    """For each column how many rows it is filled in, its mean if it is a number, and how many rows were looked at."""
    names, found = list(columns), dict[str, tuple[int, float | None, int]]()
    for first in range(0, len(names), _AT_ONCE):
        found |= _figures_of(connection, table, {name: columns[name] for name in names[first : first + _AT_ONCE]})
    return found


def _figures_of(connection: sa.Connection, table: Any, columns: Mapping[str, str]) -> dict[str, tuple[int, float | None, int]]:
    numbers = [name for name, kind in columns.items() if kind in _NUMBERS]
    means = [sa.func.avg(_number(table.c[name], columns[name])) for name in numbers]
    filled = [sa.func.count(table.c[name]) for name in columns]
    line = connection.execute(sa.select(sa.func.count(), *filled, *means)).one()
    mean_of = dict(zip(numbers, line[1 + len(columns) :], strict=True))
    return {name: (line[1 + place], _float(mean_of.get(name)), line[0]) for place, name in enumerate(columns)}


def _number(column: Any, kind: str) -> Any:
    return sa.cast(sa.cast(column, sa.Integer) if kind == "bool" else column, sa.Double)


def _float(value: Any) -> float | None:
    """Infinities and no-numbers have no place in JSON, nor in a comparison."""
    number = None if value is None else float(value)
    return number if number is not None and abs(number) < float("inf") else None


def _shares(connection: sa.Connection, table: Any, names: Sequence[str]) -> dict[str, dict[str, float]]:
    """The shares of each value of the columns that have few, of the rows that have one."""
    found: dict[str, dict[str, float]] = {}
    for name in names:
        value = sa.func.left(sa.cast(table.c[name], sa.Text), 100).label("value")
        counted = sa.select(value, sa.func.count()).where(table.c[name].is_not(None)).group_by(value).limit(_FEW + 1)
        counts = {line[0]: line[1] for line in connection.execute(counted)}
        if 0 < len(counts) <= _FEW:
            total = sum(counts.values())
            found[name] = {key: round(count / total, 9) for key, count in sorted(counts.items())}
    return found


def record_figures(connection: sa.Connection, batch: int, figures: Mapping[str, Any]) -> None:
    """Keeps them with the batch; a batch that is judged again has them already, and a sealed one has no others."""
    table = schema.figures
    connection.execute(insert(table).values(batch=batch, document=dict(figures)).on_conflict_do_nothing())


def figures_of(connection: sa.Connection, batch: int) -> Mapping[str, Any] | None:
    """What `record_figures` kept of a batch; None for one that was judged before figures were kept."""
    table = schema.figures
    found: Mapping[str, Any] | None = connection.scalar(sa.select(table.c.document).where(table.c.batch == batch))
    return found


def usual_figures(
    connection: sa.Connection, pipeline: str, interval: Interval, *, zone: ZoneInfo, nights: int, same_weekday: bool
) -> Usual:
    """What the last published nights before this one left, those of its weekday (and time of day) alone if asked for."""
    asked = {"pipeline": pipeline, "kind": str(BatchKind.INPUT), "start": interval.start, "zone": str(zone), "nights": nights,
             "same_weekday": same_weekday}  # fmt: skip
    plain = connection.execute(sa.text(_NIGHTS + _PLAIN), asked).all()
    shares = connection.execute(sa.text(_NIGHTS + _MEAN_SHARES), asked).all()
    by_column: dict[str, dict[str, float]] = {}
    for line in shares:
        by_column.setdefault(line.name, {})[line.value] = line.share
    label = _WEEKDAYS[interval.start.astimezone(zone).weekday()]
    return Usual(
        nights=f"the last {nights} {label}s" if same_weekday else f"the last {nights} nights",
        figures={(line.name, line.figure): (line.median, line.nights) for line in plain},
        shares=by_column,
        shared={line.name: line.nights for line in shares},
    )


_NIGHTS = """
WITH nights AS (
    SELECT f.document FROM overnight.pointer p JOIN overnight.figures f ON f.batch = p.batch
    WHERE p.pipeline = :pipeline AND p.kind = :kind AND p.interval_start < :start AND (NOT :same_weekday
        OR to_char(p.interval_start AT TIME ZONE :zone, 'ID HH24 MI') = to_char(:start AT TIME ZONE :zone, 'ID HH24 MI'))
    ORDER BY p.interval_start DESC LIMIT :nights
), columns AS (SELECT c.key AS name, c.value AS figures FROM nights, jsonb_each(document -> 'columns') c)
"""
_PLAIN = """
SELECT name, figure, percentile_cont(0.5) WITHIN GROUP (ORDER BY value) AS median, count(*) AS nights
FROM (SELECT '' AS name, 'rows' AS figure, CAST(document ->> 'rows' AS float) AS value FROM nights
    UNION ALL
    SELECT c.name, f.key, CAST(f.value AS float) FROM columns c, jsonb_each_text(c.figures - 'shares') f) AS each_figure
WHERE value IS NOT NULL GROUP BY name, figure
"""
_MEAN_SHARES = """
SELECT s.name, s.value, sum(s.share) / n.nights AS share, n.nights
FROM (SELECT c.name, f.key AS value, CAST(f.value AS float) AS share FROM columns c, jsonb_each_text(c.figures -> 'shares') f) s
    JOIN (SELECT name, count(*) AS nights FROM columns WHERE figures ? 'shares' GROUP BY name) n ON n.name = s.name
GROUP BY s.name, s.value, n.nights
"""
