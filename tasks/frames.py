"""Rows out of Postgres: COPY into Arrow, Arrow into pandas. Arrow and pandas are imported here, and late."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BufferedReader
from threading import Semaphore, Thread
from typing import TYPE_CHECKING, Any, Literal, cast

import sqlalchemy as sa
from psycopg2 import sql

from domain.pipeline import Pipeline
from domain.words import Task
from store.batches import Batch
from store.engine import driver_cursor
from store.pipelines import inner_schema

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["number", "category", "moment", "date", "text"]
ANSWER, NIGHT = "answer ", "night "  # beside the features in what is read; no column of a contract can have these names
KEY = "key "  # before a key column's name: how it travels to the predictions; no contract's column can be named so
NOTHING = sql.SQL("")
AHEAD = 4  # blocks of text that are read before the rows of the first one are asked for
_COMPARISONS = {"==": "=", "!=": "<>"}


def expressions(pipeline: Pipeline, columns: Mapping[str, Kind]) -> dict[str, sql.Composable]:
    """For each column, what COPY is asked for: moments are on the wall clock of the pipeline's time zone."""
    return {name: _expression(pipeline, name, kind) for name, kind in columns.items()}


def _expression(pipeline: Pipeline, name: str, kind: Kind) -> sql.Composable:
    column, declared = sql.SQL("t.{}").format(sql.Identifier(name)), pipeline.columns[name].type
    if kind in ("moment", "date"):
        zone = sql.Literal(str(pipeline.interval.timezone))
        local = sql.SQL("{} AT TIME ZONE {}").format(column, zone) if declared == "timestamp" else column
        return sql.SQL("CASE WHEN {c} BETWEEN '0001-01-02' AND '9999-12-30' THEN ({local})::timestamp END").format(
            c=column, local=local
        )
    if kind == "number":
        return sql.SQL("{}::int").format(column) if declared == "bool" else column
    return column if declared == "text" else sql.SQL("{}::text").format(column)


def key_expressions(pipeline: Pipeline) -> dict[str, sql.Composable]:
    """The key as text, exactly as COPY will take it back."""
    return {f"{KEY}{name}": sql.SQL("t.{}::text").format(sql.Identifier(name)) for name in pipeline.key}


def answer_expression(pipeline: Pipeline) -> sql.Composable:
    """The target as Postgres computes it: true or false for a rule, a number, or the class as text; null while unknown."""
    column, rule = sql.SQL("t.{}").format(sql.Identifier(pipeline.target.column)), pipeline.target.rule
    if rule is not None:
        literal = sql.Literal(rule.literal)
        if pipeline.columns[pipeline.target.column].type == "text":
            literal = sql.Literal(str(rule.literal))
        comparison = sql.SQL(_COMPARISONS.get(rule.comparison, rule.comparison))
        return sql.SQL("({} {} {})").format(column, comparison, literal)
    if pipeline.target.task is Task.REGRESSION:  # what is no number is no answer
        return sql.SQL("(CASE WHEN {0}::float8 NOT IN ('NaN', 'Infinity', '-Infinity') THEN {0}::float8 END)").format(column)
    return sql.SQL("({}::text)").format(column)


def answer_kind(pipeline: Pipeline) -> Literal["bool", "number", "category"]:
    if pipeline.target.task is Task.REGRESSION:
        return "number"
    return "bool" if pipeline.target.rule else "category"


def learning_query(
    pipeline: Pipeline,
    batches: Sequence[int],
    columns: Mapping[str, Kind],
    *,
    share: float = 1.0,
    place: sql.Composable | None = None,
    beside: sql.Composable = NOTHING,
) -> tuple[sql.Composable, dict[str, str]]:
    """The rows of `batches` whose answer is known, in an order that the content alone decides: `batches`, then key.

    Beside the features come `answer`, and `night`: the row's place in `batches`, from 0, or what `place` says, which may
    speak of what is joined `beside` the rows. A `share` below 1 keeps the rows whose key hashes low, the same ones each time.
    """
    wanted = {ANSWER: answer_expression(pipeline), **expressions(pipeline, columns)}
    batch_list = sql.Literal(list(batches))
    hashed = sql.SQL("(hash_record_extended(ROW({}), 7) & 1048575) < {}").format(
        sql.SQL(", ").join(key_expressions(pipeline).values()), sql.Literal(round(share * 1048576))
    )
    query = sql.SQL(_LEARN).format(
        wanted=_listed(wanted),
        place=place or sql.SQL("array_position({}::bigint[], t.batch_id) - 1").format(batch_list),
        night=sql.Identifier(NIGHT),
        batches=batch_list,
        landed=sql.Identifier(inner_schema(pipeline.name), "landed"),
        answer=wanted[ANSWER],
        beside=beside,
        sampled=hashed if share < 1 else sql.SQL("true"),
        order=sql.SQL(", ").join(sql.SQL('{} COLLATE "C"').format(key) for key in key_expressions(pipeline).values()),
    )
    return query, {ANSWER: answer_kind(pipeline), NIGHT: "int", **columns}


_LEARN = """
SELECT {wanted}, {place} AS {night} FROM {landed} t {beside}
WHERE t.batch_id = ANY ({batches}::bigint[]) AND {answer} IS NOT NULL AND {sampled}
ORDER BY array_position({batches}::bigint[], t.batch_id), {order}
"""


def count_answers(connection: sa.Connection, pipeline: Pipeline, batches: Sequence[int]) -> dict[int, int]:
    """How many rows of each batch have an answer; batches without any are left out."""
    statement = sql.SQL(_COUNT).format(
        landed=sql.Identifier(inner_schema(pipeline.name), "landed"),
        batches=sql.Literal(list(batches)),
        answer=answer_expression(pipeline),
    )
    with driver_cursor(connection) as cursor:
        cursor.execute(statement)
        return {int(batch): int(rows) for batch, rows in cursor.fetchall()}


_COUNT = """
SELECT t.batch_id, count({answer}) FROM {landed} t
WHERE t.batch_id = ANY ({batches}::bigint[]) GROUP BY 1 HAVING count({answer}) > 0
"""


def scoring_query(
    pipeline: Pipeline,
    batch: Batch,
    columns: Mapping[str, Kind],
    *,
    place: sql.Composable | None = None,
    beside: sql.Composable = NOTHING,
) -> tuple[sql.Composable, dict[str, str]]:
    """Every row of one batch: its key as text, the features, and as `night` what `place` says, if anything, of the row and of
    what is joined `beside` it."""
    keys, places = key_expressions(pipeline), {NIGHT: place} if place is not None else {}
    query = sql.SQL("SELECT {wanted} FROM {table} t {beside}").format(
        wanted=_listed({**keys, **expressions(pipeline, columns), **places}),
        table=sql.Identifier(batch.schema, batch.table), beside=beside,
    )  # fmt: skip
    return query, {**dict.fromkeys(keys, "key"), **columns, **dict.fromkeys(places, "int")}


def _listed(wanted: Mapping[str, sql.Composable]) -> sql.Composable:
    return sql.SQL(", ").join(sql.SQL("{} AS {}").format(expression, sql.Identifier(name)) for name, expression in wanted.items())


def read_frame(connection: sa.Connection, query: sql.Composable, kinds: Mapping[str, str]) -> "pd.DataFrame":
    """All rows of a query as one frame: numbers as float64, categories as pandas categories, moments as datetime64."""
    import pyarrow as pa

    with copy_out(connection, query, kinds) as batches:
        table = pa.Table.from_batches(list(batches), schema=_schema(kinds)).unify_dictionaries()
    return to_frame(table)


def to_frame(rows: Any) -> "pd.DataFrame":
    """An Arrow table or record batch as pandas."""
    return cast("pd.DataFrame", rows.to_pandas(split_blocks=True, self_destruct=False))


def _arrow_type(kind: str) -> Any:
    import pyarrow as pa

    return {
        "number": pa.float64(), "category": pa.dictionary(pa.int32(), pa.string()), "text": pa.string(),
        "moment": pa.timestamp("us"), "date": pa.timestamp("us"), "bool": pa.bool_(), "int": pa.int64(), "key": pa.string(),
    }[kind]  # fmt: skip


def _schema(kinds: Mapping[str, str]) -> Any:
    import pyarrow as pa

    order = _in_query_order(kinds)
    return pa.schema([(name, _arrow_type(kinds[name])) for name in order])


def _in_query_order(kinds: Mapping[str, str]) -> list[str]:
    """`night` is the last column of every query that asks for it."""
    return [name for name in kinds if name != NIGHT] + [name for name in kinds if name == NIGHT]


@contextmanager
def copy_out(
    connection: sa.Connection, query: sql.Composable, kinds: Mapping[str, str], *, block: int = 2 << 20
) -> Iterator[Any]:
    """A stream of Arrow record batches of about `block` bytes of text each; memory holds a few of them.

    Postgres writes CSV into a pipe from a thread of its own while Arrow parses what has come.
    """
    from pyarrow import csv

    read_end, write_end = os.pipe()
    copying = _Copy(connection, query, write_end)
    source = _Bounded(BufferedReader(os.fdopen(read_end, "rb", buffering=0), 1 << 20))
    try:
        copying.start()
        yield _parsed(csv, source, kinds, block)
        source.drain()
    finally:
        source.close()
        copying.join()
    if copying.error is not None:
        raise copying.error


class _Bounded:
    """The end of a pipe that blocks of text are read from, at most `AHEAD` of them before the first one is taken. Arrow would
    read 32 of them ahead, which nothing gains from, and memory would grow with the rows until there are so many."""

    def __init__(self, pipe: BufferedReader) -> None:
        self._pipe, self._tickets, self._free = pipe, Semaphore(AHEAD), False

    @property
    def closed(self) -> bool:
        return self._pipe.closed

    @property
    def is_empty(self) -> bool:
        return self._pipe.peek(1) == b""

    def read(self, size: int = -1) -> bytes:
        """Called by Arrow, in a thread of its own, once for each block."""
        if not self._free:
            self._tickets.acquire()
        return self._pipe.read(size)

    def taken(self) -> None:
        """Called for each block of which the rows have been asked for."""
        self._tickets.release()

    def drain(self) -> None:
        """Reads whatever is left, so that the one who writes ends by itself."""
        self._release()
        self._pipe.read()

    def close(self) -> None:
        self._release()
        self._pipe.close()

    def _release(self) -> None:
        """Whoever waits to read ahead waits no more."""
        self._free = True
        self._tickets.release(AHEAD)


def _parsed(csv: Any, source: _Bounded, kinds: Mapping[str, str], block: int) -> Iterator[Any]:
    order = _in_query_order(kinds)
    if source.is_empty:
        return
    for batch in csv.open_csv(
        source,
        read_options=csv.ReadOptions(column_names=order, block_size=block),
        parse_options=csv.ParseOptions(newlines_in_values=any(kinds[name] in ("category", "text", "key") for name in order)),
        convert_options=csv.ConvertOptions(
            column_types={name: _arrow_type(kinds[name]) for name in order},
            null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False,
            true_values=["t", "true"], false_values=["f", "false"],
        ),
    ):  # fmt: skip
        source.taken()
        yield batch


class _Copy(Thread):
    """COPY … TO STDOUT into the write end of a pipe; `error` is what stopped it, a reader that left early excepted."""

    def __init__(self, connection: sa.Connection, query: sql.Composable, write_end: int) -> None:
        super().__init__(name="overnight copy", daemon=True)
        self.connection, self.query, self.write_end = connection, query, write_end
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            with os.fdopen(self.write_end, "wb", buffering=1 << 20) as pipe, driver_cursor(self.connection) as cursor:
                cursor.copy_expert(sql.SQL("COPY ({}) TO STDOUT (FORMAT csv)").format(self.query), pipe)
        except BrokenPipeError:
            return
        except BaseException as error:
            self.error = error
