"""A column's most frequent values among the rows that match, with their counts; on nights small enough to count them at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from domain.pipeline import Pipeline
from domain.words import Task
from store.reads.connection import Connection, fetch
from store.reads.rows import Filter, column_types, filter_conditions

MOST_ROWS = 50_000  # of a larger night nothing is counted: it would take a reader's patience and every other reader's database
MOST_COLUMNS, VALUES = 6, 8


@dataclass(frozen=True, slots=True)
class Counted:
    """One column's values, as text, None for the empty ones; `rows` are all that match, whatever they hold."""

    column: str
    values: tuple[tuple[str | None, int], ...]
    rows: int


def facet_columns(pipeline: Pipeline) -> tuple[str, ...]:
    """What was predicted, where it is a choice; then what the model takes as a choice, and every yes or no."""
    said = () if pipeline.target.task is Task.REGRESSION else ("prediction",)
    flags = [name for name, column in pipeline.columns.items() if column.type == "bool"]
    found = dict.fromkeys([*said, *pipeline.features.categorical, *flags])
    known = column_types(pipeline)
    return tuple(name for name in found if name in known and name not in pipeline.key)[:MOST_COLUMNS]


def read_facets(
    connection: Connection, pipeline: Pipeline, filters: Sequence[Filter], *, batch: int, input_batch: int
) -> list[Counted]:
    """Counts the rows of one batch that match, column by column, in one statement."""
    columns = facet_columns(pipeline)
    if not columns:
        return []
    parameters: list[Any] = [batch, input_batch]
    conditions = [sql.SQL("batch = %s AND input_batch = %s"), *filter_conditions(pipeline, filters, parameters)]
    statement = _FACETS.format(
        columns=sql.SQL(", ").join(map(sql.Identifier, columns)), view=sql.Identifier(pipeline.name, "history"),
        conditions=sql.SQL(" AND ").join(conditions), parts=sql.SQL(" UNION ALL ").join(map(_part, columns)),
    )  # fmt: skip
    found: dict[str, list[tuple[str | None, int]]] = {}
    rows = 0
    for line in fetch(connection, statement, parameters):
        found.setdefault(line["facet"], []).append((line["value"], line["rows"]))
        rows = int(line["of"])
    return [Counted(name, tuple(found[name]), rows) for name in columns if name in found]


_FACETS = sql.SQL("WITH matching AS MATERIALIZED (SELECT {columns} FROM {view} WHERE {conditions}) {parts}")
_PART = sql.SQL("""
(SELECT {name} AS facet, {column}::text AS value, count(*) AS rows, sum(count(*)) OVER () AS of
FROM matching GROUP BY {column} ORDER BY count(*) DESC, 2 NULLS LAST LIMIT {values})
""")


def _part(column: str) -> sql.Composed:
    return _PART.format(name=sql.Literal(column), column=sql.Identifier(column), values=sql.Literal(VALUES))
