"""`suggest`: expectations proposed from nights that are there: figures taken in Postgres, lines written as plain YAML."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from deployments.catalogue import Definition
from domain.nearness import suggest_nearness
from domain.pipeline import Pipeline
from domain.suggestion import ColumnShape, NightShape, Suggestion, suggest_rules
from domain.words import BatchKind
from infra.settings import Settings
from store.engine import transaction
from store.pipelines import inner_schema
from store.publications import published_batches
from tasks.context import writer_engine

_NUMBERS = ("int", "float", "decimal")
_FEW = 40
_PATTERNS = ("[0-9]", "[A-Z]", "[a-z]", "[0-9A-Z]", "[0-9a-z]", "[0-9A-Za-z]")


@dataclass(frozen=True, slots=True)
class NightTable:
    """Where one night's rows lie, and its interval as Postgres reads it."""

    schema: str
    table: str
    start: str
    end: str


def suggest(definition: Definition, settings: Settings, *, nights: int = 28) -> str:
    """The text of a suite derived from the newest published nights, empty when nothing was published."""
    pipeline = definition.pipeline
    with transaction(writer_engine(settings)) as connection:
        published = published_batches(connection, pipeline.name, BatchKind.INPUT)[-nights:]
        tables = [
            NightTable(inner_schema(pipeline.name), f"landed_{each.batch}", str(each.interval.start), str(each.interval.end))
            for each in published
        ]  # fmt: skip
        found = suggest_from(connection, pipeline, tables)
    if not published:
        return ""
    first, last = (pipeline.calendar.label(each.interval) for each in (published[0], published[-1]))
    return as_yaml(found, derived_from=f"{len(published)} published nights, {first} to {last}")


def suggest_from(connection: sa.Connection, pipeline: Pipeline, tables: Sequence[NightTable]) -> list[Suggestion]:
    """Lines that all of these nights would pass."""
    shapes = [_night(connection, pipeline, table) for table in tables]
    inside = [
        name for name, column in pipeline.columns.items()
        if column.type == "timestamp" and column.time and all(_is_inside(connection, table, name) for table in tables)
    ]  # fmt: skip
    zone = str(pipeline.interval.timezone)
    hours = [_hours(connection, tables, name, zone=zone) for name in inside]
    return suggest_rules(shapes, moments=inside) + [hour for hour in hours if hour] + suggest_nearness(shapes)


def as_yaml(found: Sequence[Suggestion], *, derived_from: str) -> str:
    """A suite as text: one line per rule, above it what it was derived from."""
    import yaml

    lines = [f"# Proposed from {derived_from}. The lines are yours now: change or delete what you know better."]
    for suggestion in found:
        written = yaml.safe_dump([suggestion.line], default_flow_style=True, sort_keys=False, width=10_000).strip()
        lines += ["", f"# Seen: {suggestion.why}.", f"- {written[1:-1]}"]
    return "\n".join(lines) + "\n"


def _night(connection: sa.Connection, pipeline: Pipeline, at: NightTable) -> NightShape:
    kept = {name: column.type for name, column in pipeline.columns.items() if column.type not in ("date", "timestamp", "bool")}
    table = sa.table(at.table, *map(sa.column, kept), schema=at.schema)
    rows = connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0
    columns = {name: _column(connection, table, name, kind, rows) for name, kind in kept.items()}
    numbers = [name for name, kind in kept.items() if kind in _NUMBERS]
    pairs = [(one, other) for place, one in enumerate(numbers) for other in numbers[place + 1 :]]
    texts = [name for name, kind in kept.items() if kind == "text" and 2 <= columns[name].different <= rows / 5]
    tied = [(one, other) for one in texts for other in kept if other != one and not pipeline.columns[other].key]
    kind = _kind(at.start, pipeline.interval.timezone)
    return NightShape(
        rows, columns, _pairs(connection, table, pairs, _correlation), _pairs(connection, table, tied, _per_value), kind
    )


def _column(connection: sa.Connection, table: Any, name: str, kind: str, rows: int) -> ColumnShape:
    column = table.c[name]
    filled, different = connection.execute(sa.select(sa.func.count(column), sa.func.count(sa.distinct(column)))).one()
    share = filled / rows if rows else 0.0
    if kind in _NUMBERS:
        figure = sa.cast(column, sa.Double)
        figures = [sa.func.min(figure), sa.func.max(figure), sa.func.avg(figure), sa.func.stddev_samp(figure)]
        line = connection.execute(sa.select(*figures)).one()
        return ColumnShape(share, different, numbers=None if None in line else tuple(map(float, line)))  # type: ignore[arg-type]
    size = sa.func.length(column)
    least, most = connection.execute(sa.select(sa.func.min(size), sa.func.max(size))).one()
    if least is None:
        return ColumnShape(share, different)
    counts = _counts(connection, column) if different <= _FEW else {}
    shares = {value: count / filled for value, count in counts.items()}
    values = frozenset(counts) if counts else None
    meets = [sa.func.bool_and(column.regexp_match(f"^{pattern}+$")) for pattern in _PATTERNS]
    said = connection.execute(sa.select(*meets)).one()
    shape = next((pattern for pattern, met in zip(_PATTERNS, said, strict=True) if met), "")
    return ColumnShape(share, different, lengths=(least, most), categories=values, shape=shape, shares=shares)


def _counts(connection: sa.Connection, column: Any) -> dict[str, int]:
    counted = sa.select(column, sa.func.count()).where(column.is_not(None)).group_by(column)
    return {value: count for value, count in connection.execute(counted)}  # noqa: C416  # lines of two are no pairs to mypy


def _kind(start: str, zone: ZoneInfo) -> str:
    """Which nights a night is comparable with: those of its weekday, at its time of day; `start` as Postgres reads it."""
    moment = datetime.fromisoformat(start)
    return (moment.astimezone(zone) if moment.tzinfo else moment).strftime("%w %H:%M")


def _correlation(table: Any, one: str, other: str) -> Any:
    return sa.func.corr(sa.cast(table.c[one], sa.Double), sa.cast(table.c[other], sa.Double))


def _per_value(table: Any, one: str, other: str) -> Any:
    pairs = sa.func.count(sa.distinct(sa.tuple_(table.c[one], table.c[other])))
    return sa.cast(pairs, sa.Double) / sa.func.nullif(sa.func.count(sa.distinct(table.c[one])), 0)


def _pairs(connection: sa.Connection, table: Any, pairs: Sequence[tuple[str, str]], figure: Any) -> dict[tuple[str, str], float]:
    if not pairs:
        return {}
    line = connection.execute(sa.select(*(figure(table, *pair) for pair in pairs))).one()
    return {pair: float(value) for pair, value in zip(pairs, line, strict=True) if value is not None and value == value}


def _is_inside(connection: sa.Connection, at: NightTable, name: str) -> bool:
    column: Any = sa.column(name)
    table = sa.table(at.table, column, schema=at.schema)
    start, end = (sa.cast(sa.literal(moment), sa.DateTime(timezone=True)) for moment in (at.start, at.end))
    inside = connection.scalar(sa.select(sa.func.bool_and(sa.and_(column >= start, column < end))).select_from(table))
    return bool(inside)


def _hours(connection: sa.Connection, tables: Sequence[NightTable], name: str, *, zone: str) -> Suggestion | None:
    """The mean hour of the day, by the clock on the wall: what a wrong time zone moves."""
    sql = f"select avg(extract(epoch from (\"{name}\" at time zone '{zone}')::time) / 3600)::float from {{batch}}"
    figures = [
        connection.scalar(sa.text(sql.replace("{batch}", f"{at.schema}.{at.table}").replace("::", r"\:\:"))) for at in tables
    ]
    if not figures or None in figures:
        return None
    low, high = min(figures), max(figures)
    slack = max(0.35, 0.3 * (high - low))
    line = {"expect": "query_value_to_be_between", "name": f"mean hour of {name}", "sql": sql,
            "min_value": round(low - slack, 2), "max_value": round(high + slack, 2)}  # fmt: skip
    return Suggestion(line, f"{low:.2f} to {high:.2f}") if high - low < 3 else None
