"""A window past `model.max_rows`, for estimators that learn in parts (`partial_fit`): every row of it, a chunk at a time, in
bounded memory. The sample that others would learn from teaches the encoder and is what figures are measured on."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from psycopg2 import sql

from domain.words import Task
from store.engine import driver_cursor, transaction
from store.pipelines import inner_schema
from tasks.context import Night
from tasks.features import feature_columns, load_hook
from tasks.frames import ANSWER, NIGHT, answer_expression, copy_out, learning_query, to_frame
from tasks.learning import Lesson, known_answers
from tasks.preparing import prepare

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

ALL = -1  # the number of the model of all rows; twins have theirs
CHUNK_ROWS = 10_000
_SHUFFLED = "SELECT q.* FROM ({}) q ORDER BY hash_record_extended(q.*, 13)"  # an order that content alone decides, and no night


def learns_in_parts(model: Any, lesson: Lesson) -> bool:
    """Whether there is more to learn from than was read, and the model can take it in parts."""
    return lesson.share < 1 and hasattr(model[-1], "partial_fit") and not getattr(model[-1], "early_stopping", False)


def learn_whole(night: Night, lesson: Lesson, models: Mapping[int, Any]) -> dict[int, Any]:
    """The models with their estimators taught anew, by every row of the window that each may learn from, in one pass."""
    from sklearn.base import clone
    from sklearn.pipeline import Pipeline as Steps

    taught = {number: clone(model[-1]) for number, model in models.items() if learns_in_parts(model, lesson)}
    if not taught:
        return dict(models)
    with transaction(night.engine) as connection:
        extra = {} if night.pipeline.target.task is Task.REGRESSION else {"classes": _classes(night, connection, lesson)}
        for frame, answers, place in _read(night, connection, lesson):
            for number, estimator in taught.items():
                rows = _learned_from(lesson, place, number)
                if rows.any():
                    estimator.partial_fit(models[number][:-1].transform(frame[rows]), answers[rows], **extra)
    return {
        number: Steps([*model.steps[:-1], (model.steps[-1][0], taught[number])]) if number in taught else model
        for number, model in models.items()
    }


def _learned_from(lesson: Lesson, place: "Array", number: int) -> "Array":
    import numpy as np

    if number == ALL:
        return np.ones(len(place), dtype=bool)
    if lesson.folds is not None:
        return lesson.folds.learned_from(place, number)
    return np.less(place, len(lesson.nights) - lesson.held_out)


def _read(night: Night, connection: sa.Connection, lesson: Lesson) -> "Iterator[tuple[Any, Array, Array]]":
    pipeline, columns = night.pipeline, feature_columns(night.pipeline)
    told = lesson.folds.tell(pipeline, lesson.nights[0].batch) if lesson.folds is not None else {}
    query, kinds = learning_query(pipeline, [each.batch for each in lesson.nights], columns, share=1.0, **told)
    hook = load_hook(night.definition)
    with copy_out(connection, sql.SQL(_SHUFFLED).format(query), kinds) as batches:
        for table in _in_chunks(batches):
            frame = to_frame(table)
            yield prepare(frame[list(columns)], columns, hook), known_answers(frame[ANSWER], night), frame[NIGHT].to_numpy()


def _in_chunks(batches: Iterable[Any]) -> Iterator[Any]:
    """Tables of equal length, wherever the stream was cut, so that equal rows teach equal models."""
    import pyarrow as pa

    waiting: list[Any] = []
    for batch in batches:
        waiting.append(batch)
        while sum(each.num_rows for each in waiting) >= CHUNK_ROWS:
            table = pa.Table.from_batches(waiting)
            yield table.slice(0, CHUNK_ROWS).unify_dictionaries()
            waiting = table.slice(CHUNK_ROWS).to_batches()
    if sum(each.num_rows for each in waiting):
        yield pa.Table.from_batches(waiting).unify_dictionaries()


_CLASSES = "SELECT DISTINCT {answer} FROM {landed} t WHERE t.batch_id = ANY ({batches}::bigint[]) AND {answer} IS NOT NULL"


def _classes(night: Night, connection: sa.Connection, lesson: Lesson) -> "Array":
    import numpy as np

    pipeline = night.pipeline
    statement = sql.SQL(_CLASSES).format(
        answer=answer_expression(pipeline), landed=sql.Identifier(inner_schema(pipeline.name), "landed"),
        batches=sql.Literal([each.batch for each in lesson.nights]),
    )  # fmt: skip
    with driver_cursor(connection) as cursor:
        cursor.execute(statement)
        return np.unique(np.array([value for (value,) in cursor.fetchall()], dtype=bool if pipeline.target.rule else object))
