"""Published predictions beside the answers that have come: joined, counted and ordered by Postgres, which spills to its disk, and
read in blocks. What a process holds of them does not grow with the rows.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from psycopg2 import sql

from domain.pipeline import Pipeline
from domain.words import BatchKind, Task
from store.batches import table_of
from store.engine import driver_cursor
from store.pipelines import inner_schema
from store.quality import Unjudged
from tasks.folds import content_columns, hash_of, is_shifting
from tasks.frames import answer_expression, copy_out
from tasks.metrics import Chances, Errors, Prior, tell_classes, tell_prior, tell_yes_no
from tasks.ranges import Held, range_columns

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

MOST_CLASSES = 50  # whose probabilities are read back


@dataclass(frozen=True, slots=True)
class Worth:
    """What the rows with an answer say of predictions and of the dummy; `lacking` says what they could not give."""

    rows: int
    figures: Mapping[str, float] = field(default_factory=dict)
    dummies: Mapping[str, float] = field(default_factory=dict)
    lacking: str = ""


def weigh(connection: sa.Connection, pipeline: Pipeline, which: Unjudged, *, prior: Prior) -> Worth:
    """Measures one batch by the answers that are known of it, and the dummy by the same ones."""
    if pipeline.target.task is Task.REGRESSION:
        return _weigh_numbers(connection, pipeline, which, prior)
    if pipeline.target.rule is not None:
        return _weigh_yes_no(connection, pipeline, which, prior)
    return _weigh_classes(connection, pipeline, which, prior)


_NUMBERS = "SELECT answer, said{ends} FROM ({answered}) a"


def _weigh_numbers(connection: sa.Connection, pipeline: Pipeline, which: Unjudged, prior: Prior) -> Worth:
    import numpy as np

    ends = {name: sql.SQL("p.{}").format(sql.Identifier(name)) for name in range_columns(pipeline)}
    listed = sql.SQL("").join(sql.SQL(", {}").format(sql.Identifier(name)) for name in ends)
    query = sql.SQL(_NUMBERS).format(ends=listed, answered=_answered(pipeline, which, **ends))
    errors, dummy, held = Errors(), Errors(), Held()
    with _blocks(connection, query, dict.fromkeys(("answer", "said", *ends), "number")) as blocks:
        for answers, said, *between in blocks:
            errors.add(answers, said)
            dummy.add(answers, np.full(len(answers), prior.mean))
            if between:
                held.add(answers, *between)
    lacking = f"r2 cannot be computed, for all {errors.rows:,} answers are equal" if errors.lowest == errors.highest else ""
    return Worth(errors.rows, errors.figures() | held.figures(), dummy.figures(), lacking)


_YES_NO = """
SELECT chance, count(*) FILTER (WHERE answer), count(*) FILTER (WHERE NOT answer), count(*) FILTER (WHERE answer AND said),
    count(*) FILTER (WHERE NOT answer AND said)
FROM ({answered}) a GROUP BY chance ORDER BY chance
"""
_COUNTED = {"chance": "number", "yes": "int", "no": "int"}


def _weigh_yes_no(connection: sa.Connection, pipeline: Pipeline, which: Unjudged, prior: Prior) -> Worth:
    query = sql.SQL(_YES_NO).format(answered=_answered(pipeline, which, chance=sql.SQL("p.probability")))
    chances, hits, alarms = Chances(), 0, 0
    with _blocks(connection, query, {**_COUNTED, "hits": "int", "alarms": "int"}) as blocks:
        for chance, yes, no, rightly, wrongly in blocks:
            chances.add(chance, yes, no)
            hits, alarms = hits + int(rightly.sum()), alarms + int(wrongly.sum())
    rows, counts = chances.yes + chances.no, {"True": chances.yes, "False": chances.no}
    if not rows:
        return Worth(0)
    lacking = ""
    if chances.unknown:
        lacking = f"roc_auc, log_loss and brier cannot be computed, for {chances.unknown:,} of {rows:,} rows had no probability"
    elif chances.area is None:
        lacking = f"roc_auc cannot be computed, for all {rows:,} answers are {chances.yes > 0}"
    return Worth(rows, tell_yes_no(chances, hits=hits, alarms=alarms), tell_prior(prior, counts, yes_no=True), lacking)


_PAIRS = "SELECT answer, coalesce(said, ''), count(*) FROM ({answered}) a GROUP BY 1, 2"
_CHANCES = """
SELECT c.place, c.chance, count(*) FILTER (WHERE a.answer = c.name), count(*) FILTER (WHERE a.answer <> c.name)
FROM ({answered}) a, LATERAL (VALUES {classes}) c (place, name, chance) GROUP BY c.place, c.chance ORDER BY c.place, c.chance
"""


def _weigh_classes(connection: sa.Connection, pipeline: Pipeline, which: Unjudged, prior: Prior) -> Worth:
    with driver_cursor(connection) as cursor:
        cursor.execute(sql.SQL(_PAIRS).format(answered=_answered(pipeline, which)))
        pairs = {(answer, said): int(count) for answer, said, count in cursor.fetchall()}
    if not pairs:
        return Worth(0)
    counts: dict[str, int] = {}
    for (answer, _), count in pairs.items():
        counts[answer] = counts.get(answer, 0) + count
    chances = _count_chances(connection, pipeline, which, sorted(prior.shares))
    return Worth(sum(counts.values()), tell_classes(chances, pairs), tell_prior(prior, counts, yes_no=False))


def _count_chances(
    connection: sa.Connection, pipeline: Pipeline, which: Unjudged, classes: Sequence[str]
) -> list[Chances]:  # fmt: skip
    """For each class; none where predictions do not keep their probabilities, or of too many."""
    if len(classes) == 2:  # then the probability of the one that was said tells that of the other
        second = sql.SQL(_SECOND).format(sql.Literal(classes[1]))
        kept, asked = sql.SQL("p.probability"), [sql.SQL("1 - {}").format(second), second]
    elif pipeline.keeps_probabilities and len(classes) <= MOST_CLASSES:
        kept, asked = sql.SQL("p.probabilities"), [sql.SQL(_OF_CLASS).format(sql.Literal(name)) for name in classes]
    else:
        return []
    listed = sql.SQL(", ").join(
        sql.SQL("({}, {}, {})").format(sql.Literal(place), sql.Literal(name), chance)
        for place, (name, chance) in enumerate(zip(classes, asked, strict=True))
    )
    query = sql.SQL(_CHANCES).format(classes=listed, answered=_answered(pipeline, which, kept=kept))
    found = [Chances() for _ in classes]
    with _blocks(connection, query, {"place": "int", **_COUNTED}) as blocks:
        for places, *counted in blocks:
            for place in range(int(places[0]), int(places[-1]) + 1):
                found[place].add(*(column[places == place] for column in counted))
    return found


_SECOND = "CASE WHEN a.said = {} THEN a.kept ELSE 1 - a.kept END"
_OF_CLASS = "CASE WHEN a.kept IS NOT NULL THEN coalesce((a.kept->>{})::float8, 0) END"  # what a model does not know has none

_ANSWERED = """
SELECT {answer} AS answer, p.prediction AS said{more} FROM {predictions} p JOIN {landed} t ON {same_key}
WHERE {answer} IS NOT NULL AND NOT p.hindsight AND {same_row}
"""
# Where a row's line is its name, another row may stand there in a later table.
_SAME_ROW = """EXISTS (SELECT FROM {landed} own WHERE own.batch_id = (SELECT input_batch FROM overnight.batch WHERE id = {batch})
    AND ROW({own_key}) = ROW({key}) AND {own} = {held})"""


def _answered(pipeline: Pipeline, which: Unjudged, **more: sql.Composable) -> sql.Composable:
    """The rows whose answer is known, with what was said of each and `more` of the predictions `p`, by name."""
    inner, keys = inner_schema(pipeline.name), (sql.Identifier(name) for name in pipeline.key)
    return sql.SQL(_ANSWERED).format(
        answer=answer_expression(pipeline),
        more=sql.SQL("").join(sql.SQL(", {} AS {}").format(what, sql.Identifier(name)) for name, what in more.items()),
        predictions=sql.Identifier(inner, table_of(BatchKind.PREDICTION, which.batch)),
        landed=sql.Identifier(inner, table_of(BatchKind.INPUT, which.labels)),
        same_key=sql.SQL(" AND ").join(sql.SQL("p.{0} = t.{0}").format(key) for key in keys),
        same_row=_same_row(pipeline, which) if pipeline.is_snapshot and is_shifting(pipeline) else sql.SQL("true"),
    )


def _same_row(pipeline: Pipeline, which: Unjudged) -> sql.Composable:
    held = content_columns(pipeline)
    return sql.SQL(_SAME_ROW).format(
        landed=sql.Identifier(inner_schema(pipeline.name), "landed"), batch=sql.Literal(which.batch),
        own_key=sql.SQL(", ").join(sql.Identifier("own", name) for name in pipeline.key),
        key=sql.SQL(", ").join(sql.Identifier("t", name) for name in pipeline.key),
        own=hash_of("own", held), held=hash_of("t", held),
    )  # fmt: skip


@contextmanager
def _blocks(connection: sa.Connection, query: sql.Composable, kinds: Mapping[str, str]) -> Iterator[Iterator[list["Array"]]]:
    """The columns of one block of lines after the other; whoever leaves early ends the query."""
    with copy_out(connection, query, kinds) as batches:
        yield ([column.to_numpy(zero_copy_only=False) for column in batch.columns] for batch in batches)
