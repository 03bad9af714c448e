"""Published rows: filtered, sorted and paged by key, one batch at a time; and one key through all nights.

Every statement names the two batches it reads, so it is planned into the two tables that hold them, and sealed rows never
change: two pages of one batch agree whatever is published between them.
"""

import base64
import binascii
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal
from functools import lru_cache, wraps
from typing import Any, Literal, TypeVar

from psycopg import sql

from domain.errors import UsageError
from domain.pipeline import Pipeline
from domain.words import Task
from store.reads.connection import Connection, Row, fetch

Operator = Literal["eq", "ne", "lt", "le", "gt", "ge", "null"]
OPERATORS: Mapping[str, str] = {"eq": "=", "ne": "<>", "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "null": "IS NULL"}
CASTS = {
    "bool": "boolean", "int": "bigint", "float": "double precision", "decimal": "numeric", "text": "text", "date": "date",
    "timestamp": "timestamptz", "json": "jsonb",
}  # fmt: skip
MOST_FILTERS = 12
REMEMBERED = 256  # pipelines
Answer = TypeVar("Answer")
POINTER = "overnight publication"  # no column of a contract holds a space


@dataclass(frozen=True, slots=True)
class Filter:
    """`column operator value`; the value is text, read as the column's type."""

    column: str
    operator: str
    value: str


@dataclass(frozen=True, slots=True)
class Question:
    """What part of a batch is asked for. `after` is a cursor that a former page has given."""

    columns: tuple[str, ...]
    filters: tuple[Filter, ...] = ()
    sort: str | None = None
    descending: bool = False
    after: str | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Page:
    rows: Sequence[Row]
    next: str | None


def names_one(pipeline: Pipeline, question: Question) -> bool:
    """Whether the question can only be answered by one row or none, which the key's index finds."""
    named = {one.column for one in question.filters if one.operator == "eq"}
    return question.after is None and all(name in named for name in pipeline.key)


def remembered(of: Callable[[Pipeline], Answer]) -> Callable[[Pipeline], Answer]:
    """What a function says of a pipeline, kept by the object itself, which never changes and cannot be hashed."""
    held: dict[int, tuple[Pipeline, Answer]] = {}

    @wraps(of)
    def recall(pipeline: Pipeline) -> Answer:
        found = held.get(id(pipeline))
        if found is None:
            if len(held) >= REMEMBERED:
                held.clear()
            found = held[id(pipeline)] = pipeline, of(pipeline)
        return found[1]

    return recall


@remembered
def column_types(pipeline: Pipeline) -> Mapping[str, str]:
    """Every column that may be read, filtered and sorted, the key first, with its type in the contract's words."""
    if pipeline.target.task is Task.REGRESSION:
        own = {"prediction": "float"}
    else:
        own = {"prediction": "bool" if pipeline.target.rule else "text", "probability": "float"}
    own |= {"model_version": "int", "hindsight": "bool"}
    if pipeline.model.coverage is not None:
        own |= {"lower": "float", "upper": "float"}
    if pipeline.keeps_probabilities:
        own |= {"probabilities": "json"}
    contract = {name: column.type for name, column in pipeline.columns.items()}
    return {name: contract[name] for name in pipeline.key} | own | contract


def parse_value(text: str, kind: str, *, column: str, zone: tzinfo = UTC) -> Any:
    """A filter's or a key's text as its column's type; raises UsageError with the sentence that helps.

    A moment without an offset is read as the wall clock of `zone`.
    """
    try:
        match kind:
            case "int":
                number = int(text)
                if not -(2**63) <= number < 2**63:
                    raise ValueError
                return number
            case "float":
                return float(text)
            case "decimal":
                return _decimal(text)
            case "bool":
                return {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}[text.lower()]
            case "date":
                return date.fromisoformat(text)
            case "timestamp":
                moment = datetime.fromisoformat(text)
                return moment if moment.tzinfo else moment.replace(tzinfo=zone)
            case "json":
                json.loads(text)
    except (ValueError, KeyError, ArithmeticError, OverflowError, RecursionError):
        raise UsageError(f"{text[:60]!r} is no {kind}, which column {column} holds") from None
    if "\x00" in text:
        raise UsageError(f"the value for column {column} holds a NUL character, which no text in a database does")
    return text


def _decimal(text: str) -> Decimal:
    number = Decimal(text)
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or abs(exponent) > 1000 or len(text) > 200:
        raise ValueError
    return number


def read_page(connection: Connection, pipeline: Pipeline, question: Question, *, batch: int, input_batch: int) -> Page:
    """One page of one batch, and the cursor of the next."""
    statement, parameters = compose(pipeline, question, batch=batch, input_batch=input_batch)
    return page_of(pipeline, question, fetch(connection, statement, parameters))


def page_of(pipeline: Pipeline, question: Question, rows: Sequence[Row]) -> Page:
    """What the composed statement has given, as a page: it asks for one row more than is shown."""
    if len(rows) <= question.limit:
        return Page([_shown(row, question) for row in rows], None)
    rows = rows[: question.limit]
    return Page([_shown(row, question) for row in rows], _cursor(pipeline, question, rows[-1]))


def _shown(row: Row, question: Question) -> Row:
    return {name: row[name] for name in question.columns}


def compose(
    pipeline: Pipeline, question: Question, *, batch: int, input_batch: int, capped: bool = True, pointed: bool = False
) -> tuple[str, list[Any]]:
    """The statement and its parameters; columns come from the contract alone, values are always parameters.

    With `pointed` every row also says, as POINTER, which publication readers see of the newest night at that very moment.
    Raises UsageError for a column, value or cursor that is none.
    """
    types = column_types(pipeline)
    asked = (*question.columns, *([question.sort] if question.sort else []), *(one.column for one in question.filters))
    check_columns(pipeline, asked)
    if len(question.filters) > MOST_FILTERS:
        raise UsageError(f"{len(question.filters)} filters are more than the {MOST_FILTERS} that one question may hold")
    parameters: list[Any] = []
    conditions = tuple(_filtered(question.filters, types, parameters, zone=pipeline.interval.timezone))
    sort, keys = _order(pipeline, question)
    behind: tuple[tuple[str, str], ...] = ()
    at_empty = False
    if question.after:
        values = _read_cursor(question.after, [*sort, *keys], types)
        at_empty = bool(sort) and values[0] is None
        parameters += [values[0], *values] if sort and not at_empty else values[len(sort) :]
        behind = tuple((name, CASTS[types[name]]) for name in (*sort, *keys))
    if capped:
        parameters.append(question.limit + 1)
    statement = _statement(
        pipeline.name, (batch, input_batch), question.columns, conditions, sort, keys, behind,
        at_empty=at_empty, descending=question.descending, capped=capped, pointed=pointed,
    )  # fmt: skip
    return statement, parameters


def _order(pipeline: Pipeline, question: Question) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The column that is sorted by, if it is none of the key's, and the key's columns, beginning with the one that is."""
    key = pipeline.key
    if question.sort is None or question.sort not in key:
        return ((question.sort,) if question.sort else ()), key
    return (), (question.sort, *(name for name in key if name != question.sort))


@lru_cache(maxsize=512)
def _statement(
    name: str,
    batches: tuple[int, int],
    columns: tuple[str, ...],
    filters: tuple[tuple[str, str, str], ...],
    sort: tuple[str, ...],
    keys: tuple[str, ...],
    behind: tuple[tuple[str, str], ...],
    *,
    at_empty: bool,
    descending: bool,
    capped: bool,
    pointed: bool,
) -> str:
    """The text of a question's shape; kept, because composing it costs more than Postgres takes to answer.

    The batches stand in it as numbers, so that Postgres plans it once for their two tables and not for each key anew.
    """
    conditions: list[sql.Composable] = [sql.SQL("batch = {} AND input_batch = {}").format(*batches)]
    conditions += [_condition(*one) for one in filters]
    if behind:
        conditions.append(_behind(sort, keys, dict(behind), at_empty=at_empty, descending=descending))
    # a key is never empty, and without words about empty values its index gives the order
    down = sql.SQL(" DESC" if descending else "")
    order = [sql.Identifier(one) + down + sql.SQL(" NULLS LAST") for one in sort]
    order += [sql.Identifier(one) + down for one in keys]
    wanted = [sql.Identifier(one) for one in (dict.fromkeys([*columns, *sort, *keys]) if capped else columns)]
    pointer = [_POINTER.format(newest=_NEWEST.format(name=name), pointer=sql.Identifier(POINTER))] if pointed else []
    statement = sql.SQL("SELECT {columns} FROM {view} WHERE {conditions} ORDER BY {order}{limit}").format(
        columns=sql.SQL(", ").join([*wanted, *pointer]), view=sql.Identifier(name, "history"),
        conditions=sql.SQL(" AND ").join(conditions), order=sql.SQL(", ").join(order),
        limit=sql.SQL(" LIMIT %s" if capped else ""),
    )  # fmt: skip
    return statement.as_string()


# one step of an index
_NEWEST = sql.SQL("""
SELECT id FROM reading.publication WHERE pipeline = {name} AND kind = 'prediction' ORDER BY interval_start DESC, id DESC LIMIT 1
""")
_POINTER = sql.SQL("({newest}) AS {pointer}")


def newest_publication(connection: Connection, pipeline: str) -> int:
    """The publication that readers see of the newest night; 0 while there is none."""
    line = connection.execute(_NEWEST_OF, [pipeline]).fetchone()
    return line["id"] if line else 0


_NEWEST_OF = _NEWEST.format(name=sql.Placeholder())


def _condition(column: str, operator: str, cast: str) -> sql.Composed:
    if operator == "null":
        return sql.SQL("{} IS NULL" if cast == "yes" else "{} IS NOT NULL").format(sql.Identifier(column))
    return sql.SQL("{} {} %s::{}").format(sql.Identifier(column), sql.SQL(OPERATORS[operator]), sql.SQL(cast))


def _filtered(
    filters: Sequence[Filter], types: Mapping[str, str], parameters: list[Any], *, zone: tzinfo
) -> Iterator[tuple[str, str, str]]:
    """Each filter's shape: column, operator, and the type its value is read as; the value goes to the parameters."""
    for one in filters:
        if one.operator not in OPERATORS:
            raise UsageError(f"{one.operator[:20]!r} is no comparison; there are {', '.join(OPERATORS)}")
        if one.operator == "null":
            wanted = parse_value(one.value or "true", "bool", column=one.column)
            yield one.column, "null", "yes" if wanted else "no"
            continue
        kind = types[one.column]
        parameters.append(parse_value(one.value, kind, column=one.column, zone=zone))
        yield one.column, one.operator, CASTS[kind]


def filter_conditions(pipeline: Pipeline, filters: Sequence[Filter], parameters: list[Any]) -> list[sql.Composable]:
    """The filters as conditions; their values are appended to the parameters. Raises UsageError for a column, comparison
    or value that is none."""
    types = column_types(pipeline)
    check_columns(pipeline, [one.column for one in filters])
    return [_condition(*one) for one in _filtered(filters, types, parameters, zone=pipeline.interval.timezone)]


def check_columns(pipeline: Pipeline, names: Sequence[str]) -> None:
    types = column_types(pipeline)
    for name in names:
        if name not in types:
            raise UsageError(f"{name[:60]!r} is no column of {pipeline.name}; it has {', '.join(types)}")


def _behind(
    sort: tuple[str, ...], keys: tuple[str, ...], casts: Mapping[str, str], *, at_empty: bool, descending: bool
) -> sql.Composed:
    """The rows behind a cursor, in the order asked for; of a column that may be empty, the empty ones come last."""
    sign = sql.SQL("<" if descending else ">")

    def cast(name: str) -> sql.Composed:
        return sql.SQL("%s::{}").format(sql.SQL(casts[name]))

    behind_key = sql.SQL("({}) {} ({})").format(
        sql.SQL(", ").join(map(sql.Identifier, keys)), sign, sql.SQL(", ").join(map(cast, keys))
    )
    if not sort:
        return behind_key
    if at_empty:
        return sql.SQL("({} IS NULL AND {})").format(sql.Identifier(sort[0]), behind_key)
    return sql.SQL("({0} {1} {2} OR {0} IS NULL OR ({0} = {2} AND {3}))").format(
        sql.Identifier(sort[0]), sign, cast(sort[0]), behind_key
    )


def _cursor(pipeline: Pipeline, question: Question, last: Row) -> str:
    sort, keys = _order(pipeline, question)
    names = [*sort, *keys]
    values = [None if last[name] is None else text_of(last[name]) for name in names]
    return base64.urlsafe_b64encode(json.dumps(values, separators=(",", ":")).encode()).decode().rstrip("=")


def text_of(value: Any) -> str:
    """A value as Postgres reads it."""
    if isinstance(value, dict | list):
        return json.dumps(value)
    return value.isoformat() if isinstance(value, date) else str(value)


def _read_cursor(cursor: str, names: Sequence[str], types: Mapping[str, str]) -> list[Any]:
    broken = UsageError("the cursor is none that a page of this question has given; begin without 'after'")
    try:
        values = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        raise broken from None
    right = isinstance(values, list) and len(values) == len(names) and all(v is None or isinstance(v, str) for v in values)
    if not right:
        raise broken
    return [None if v is None else parse_value(v, types[n], column=n) for n, v in zip(names, values, strict=True)]
