"""Which model may speak of which row, in a table whose rows are known and asked again every night.

A row whose answer was learned belongs to one fold, told by its key or by its time in the table that was learned from, so it
belongs to the same one in every night; the model of that fold has learned from no row of it. Rows that no key names are told
apart by what they hold.
Why: docs/decisions/0008-out-of-fold.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import sqlalchemy as sa
from psycopg2 import sql

from domain.pipeline import Pipeline
from store.batches import Batch
from store.engine import driver_cursor
from store.pipelines import POSTGRES_TYPES, inner_schema
from tasks.frames import NOTHING, answer_expression

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

COUNT = 5
STRANGE = -2  # the place of a row that may be the changed form of one that was learned from: no twin is free of it
UNKNOWN = -1  # the place of a row whose answer nobody knows or knew: every model may speak of it, so the one that knows most does
CUTS = (0.25, 0.40, 0.55, 0.70, 0.85)  # of the rows in order of time: the first quarter is only learned from
ENOUGH_GROUPS = 50


@dataclass(frozen=True, slots=True)
class Folds:
    """By `key`: five folds by the hash of `columns`, each spoken of by a model of the other four. By `time`: blocks between
    `cuts`, each spoken of by a model of all blocks before it; the first has none before it, so a model of the later ones
    speaks, its rows are marked as hindsight, and no figure counts them. By `content`: as by key, where a row's line is all that
    names it; rows that were not in the table learned from are marked as well. `learned` is the batch of that table."""

    by: Literal["key", "time", "content"]
    columns: tuple[str, ...]
    cuts: tuple[str, ...] = ()
    learned: int | None = None

    @property
    def count(self) -> int:
        return len(self.cuts) + 1 if self.by == "time" else COUNT

    def learned_from(self, place: "Array", fold: int) -> "Array":
        """True for the rows that the model of a fold learns from; `place` holds each row's fold."""
        import numpy as np

        if self.by != "time":
            return np.not_equal(place, fold)
        return np.less(place, fold) if fold else np.greater(place, 0)

    def counted(self, place: "Array") -> "Array":
        """True for the rows whose prediction came from rows before them only, or from other keys."""
        import numpy as np

        return np.greater_equal(place, 1 if self.by == "time" else 0)

    def tell(self, pipeline: Pipeline, batch: int) -> dict[str, sql.Composable]:
        """Each row's `place` in SQL for the rows `t` of a batch, and what is joined `beside` them for it.

        A row that was learned from stays in the fold that it was in then, with an answer tonight or without: no model that
        learned from it may speak of it. `UNKNOWN` are those without an answer in both tables.
        """
        own = self._own(pipeline)
        asked = sql.SQL("CASE WHEN {} IS NULL THEN {} ELSE {} END").format(answer_expression(pipeline), sql.Literal(UNKNOWN), own)
        if batch == self.learned:
            return {"place": asked, "beside": NOTHING}
        landed, learned = sql.Identifier(inner_schema(pipeline.name), "landed"), sql.Literal(self.learned)
        known = {"answer": answer_expression(pipeline), "landed": landed, "learned": learned, "own": own}
        place = sql.SQL(_PLACE).format(
            landed=landed, learned=learned, pruned=own if self.by == "key" else sql.Literal(STRANGE),
            lost=sql.SQL("l.name IS NULL") if self._is_blurred(pipeline) else sql.SQL("false"), strange=sql.Literal(STRANGE),
            unlearned=asked, then=sql.SQL("least(l.place, {})").format(own) if self.by == "time" else sql.SQL("l.place"),
        )  # fmt: skip
        return {"place": place, "beside": sql.SQL(_BESIDE).format(name=self._name(pipeline), **known)}

    def _own(self, pipeline: Pipeline) -> sql.Composable:
        """The fold that tonight's row would be in."""
        if self.by != "time":
            return sql.SQL("(({} & 1048575) % {})::int").format(hash_of("t", self.columns), sql.Literal(COUNT))
        (name,) = self.columns
        kind = sql.SQL(POSTGRES_TYPES[pipeline.columns[name].type])
        return sql.SQL("coalesce(width_bucket(t.{}, {}::{}[]), 0)").format(
            sql.Identifier(name), sql.Literal(list(self.cuts)), kind
        )

    def _name(self, pipeline: Pipeline) -> sql.Composable:
        """What a row `t` is found by in the table that was learned from: its key; where that shifts, the columns that decide its
        fold, or all that it holds."""
        if not is_shifting(pipeline):
            keys = sql.SQL(", ").join(sql.Identifier("t", name) for name in pipeline.key)
            return sql.SQL("hash_record_extended(ROW({}), 11)").format(keys)
        return hash_of("t", self.columns if self.by == "key" else content_columns(pipeline))

    def _is_blurred(self, pipeline: Pipeline) -> bool:
        """Whether a row that is not found may be the changed form of one that was learned from."""
        return self.by != "key" and is_shifting(pipeline)

    def of(self, batches: Sequence[int]) -> "Folds":
        """The folds of a model that learned from these batches."""
        return replace(self, learned=batches[0])

    def to_json(self) -> dict[str, Any]:
        return {"by": self.by, "columns": list(self.columns), "cuts": list(self.cuts)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any] | None) -> "Folds | None":
        return cls(document["by"], tuple(document["columns"]), tuple(document["cuts"])) if document else None

    def told(self) -> str:
        """For the card."""
        what = ", ".join(self.columns)
        if self.by == "time":
            return f"in order of {what}: each of {len(self.cuts)} blocks by a model of all rows before it"
        if self.by == "content":
            return (
                f"in {COUNT} folds by what each row holds beside its answer, for its line is no name: each by a model of the "
                f"other {COUNT - 1}, so no row is on both sides, and equal rows are on one"
            )
        return f"in {COUNT} folds by {what}: each by a model of the other {COUNT - 1}, so no {what} is on both sides"


def choose_folds(connection: sa.Connection, pipeline: Pipeline, batch: Batch) -> Folds:
    """By time wherever the contract has a time column that tells rows apart, else by key; of a key of several columns by the
    first ones that make enough groups, so that the rows of one customer or order stay together. A line names nothing: a row
    that is put in shifts all those after it, so where it would be needed, all that stands in the row is its name."""
    time = pipeline.time_column
    cuts = _cuts(connection, pipeline, batch, time) if time else ()
    if time and cuts:
        return Folds("time", (time,), cuts, learned=batch.id)
    group = _group(connection, pipeline, batch)
    if not any(_shifts(pipeline, name) for name in group):
        return Folds("key", group, learned=batch.id)
    return Folds("content", content_columns(pipeline), learned=batch.id)


def content_columns(pipeline: Pipeline) -> tuple[str, ...]:
    """What stands in a row beside its answer, wherever the row stands."""
    return tuple(name for name, column in pipeline.columns.items() if not column.made and name != pipeline.target.column)


def hash_of(table: str, columns: Sequence[str]) -> sql.Composable:
    texts = (sql.SQL("{}::text").format(sql.Identifier(table, name)) for name in columns)
    return sql.SQL("hash_record_extended(ROW({}), 11)").format(sql.SQL(", ").join(texts))


def is_shifting(pipeline: Pipeline) -> bool:
    """Whether a row's place in the source is part of what names it, so that tomorrow's row of that name may be another one."""
    return any(_shifts(pipeline, name) for name in pipeline.key)


def _shifts(pipeline: Pipeline, name: str) -> bool:
    return pipeline.columns[name].from_ == "{line}"


# Joined, and not looked up: a hash join spills to disk where the tables are larger than the memory that it may use.
_BESIDE = """
LEFT JOIN (SELECT {name} AS name, min({own}) FILTER (WHERE {answer} IS NOT NULL) AS place FROM {landed} t
    WHERE t.batch_id = {learned} GROUP BY 1) l ON l.name = {name}
"""
# Of a table that was pruned nobody knows what it taught. By key the folds are known all the same, and their twins speak of all.
_PLACE = """
CASE WHEN NOT EXISTS (SELECT FROM {landed} gone WHERE gone.batch_id = {learned}) THEN {pruned}
    WHEN {lost} THEN {strange} WHEN l.place IS NULL THEN {unlearned} ELSE {then} END
"""
_CUTS = """
SELECT min(t.{time})::text, percentile_disc({shares}::float8[]) WITHIN GROUP (ORDER BY t.{time})::text[]
FROM {landed} t WHERE t.batch_id = {batch} AND {answer} IS NOT NULL AND t.{time} IS NOT NULL
"""
_GROUPS = "SELECT count(DISTINCT ROW({key})) FROM {landed} t WHERE t.batch_id = {batch} AND {answer} IS NOT NULL"


def _cuts(connection: sa.Connection, pipeline: Pipeline, batch: Batch, time: str) -> tuple[str, ...]:
    ((first, cuts),) = _fetch(
        connection, _CUTS, pipeline, batch, time=sql.Identifier(time), shares=sql.Literal(list(CUTS))
    )  # fmt: skip
    return tuple(dict.fromkeys(cut for cut in cuts or () if cut != first))


def _group(connection: sa.Connection, pipeline: Pipeline, batch: Batch) -> tuple[str, ...]:
    for length in range(1, len(pipeline.key)):
        names = pipeline.key[:length]
        key = sql.SQL(", ").join(sql.SQL("t.{}").format(sql.Identifier(name)) for name in names)
        ((groups,),) = _fetch(connection, _GROUPS, pipeline, batch, key=key)
        if groups >= ENOUGH_GROUPS:
            return names
    return pipeline.key


def _fetch(
    connection: sa.Connection, text: str, pipeline: Pipeline, batch: Batch, **parts: sql.Composable
) -> Sequence[tuple[Any, ...]]:
    landed = sql.Identifier(batch.schema, "landed")
    statement = sql.SQL(text).format(landed=landed, batch=sql.Literal(batch.id), answer=answer_expression(pipeline), **parts)
    with driver_cursor(connection) as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())
