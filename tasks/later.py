"""Moments among the features that lie after the prediction: mostly plans, such as a due date, or else a leak, such as the day on
which a case was closed. The difference is whether they are filled where the answer is not known yet."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa
from psycopg2 import sql

from domain.errors import LeakRefused
from domain.pipeline import Pipeline
from store.engine import driver_cursor
from store.pipelines import inner_schema
from store.publications import Published
from store.runs import load_run
from tasks.context import Night
from tasks.frames import answer_expression

MOSTLY, SELDOM, ENOUGH = 0.5, 0.1, 20

_COUNT = """
SELECT count(*) FILTER (WHERE {value} > {limit}), count({value}), count(*) FILTER (WHERE NOT known),
    count({value}) FILTER (WHERE NOT known)
FROM (SELECT t.*, b.interval_end AS "the night's end ", {answer} IS NOT NULL AS known
    FROM {landed} t JOIN overnight.batch b ON b.id = t.batch_id WHERE t.batch_id = ANY ({batches}::bigint[])) t
"""


@dataclass(frozen=True, slots=True)
class Later:
    """`share` of a feature's values lie after the row's own time, or after its night; `filled` is how much of it is there where
    the answer is not, None where too few rows lack theirs to tell."""

    share: float
    filled: float | None

    @property
    def comes_with_the_answer(self) -> bool:
        return self.filled is not None and self.filled < SELDOM

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "comes_with_the_answer": self.comes_with_the_answer}


def find_later(night: Night, connection: sa.Connection, nights: Sequence[Published]) -> dict[str, Later]:
    """The moments among the features that mostly lie after the time of their row, or of their night where rows have none, in the
    nights that are learned from and in this one, whose answers are seldom known."""
    pipeline, found = night.pipeline, {}
    tonight = load_run(connection, night.run.id).input_batch
    batches = [*(each.batch for each in nights), *([tonight] if tonight is not None else [])]
    for name in pipeline.features.datetime:
        if name != pipeline.time_column and pipeline.columns[name].type in ("date", "timestamp"):
            late, filled, unknown, filled_unknown = _count(connection, pipeline, name, batches)
            if filled >= ENOUGH and late > MOSTLY * filled:
                share = filled_unknown / unknown if unknown >= ENOUGH else None
                found[name] = Later(round(late / filled, 4), round(share, 4) if share is not None else None)
    return found


def _count(connection: sa.Connection, pipeline: Pipeline, name: str, batches: list[int]) -> tuple[int, int, int, int]:
    time = pipeline.time_column
    statement = sql.SQL(_COUNT).format(
        value=_moment(pipeline, name), limit=_moment(pipeline, time) if time else sql.Identifier("t", "the night's end "),
        answer=answer_expression(pipeline), landed=sql.Identifier(inner_schema(pipeline.name), "landed"),
        batches=sql.Literal(batches),
    )  # fmt: skip
    with driver_cursor(connection) as cursor:
        cursor.execute(statement)
        (line,) = cursor.fetchall()
    return line[0], line[1], line[2], line[3]


def _moment(pipeline: Pipeline, name: str) -> sql.Composable:
    column = sql.Identifier("t", name)
    if pipeline.columns[name].type == "timestamp":
        return column
    return sql.SQL("({}::timestamp AT TIME ZONE {})").format(column, sql.Literal(str(pipeline.interval.timezone)))


def refuse_later(night: Night, found: Mapping[str, Later], *, has_champion: bool) -> str:
    """The sentence why this may not be learned, empty when it may. Raises LeakRefused when there is no champion to go on with. A
    moment that is filled before the answer is known is a plan, and is named on the card alone."""
    confirmed = night.pipeline.features.confirmed
    names = [name for name, later in found.items() if later.comes_with_the_answer and name not in confirmed]
    if not names:
        return ""
    why = (
        f"the feature {names[0]!r} mostly lies after the prediction and is empty where {night.pipeline.target.column} is not"
        f" known yet, so it comes with the answer; take it out of features, or list it under features.confirmed"
    )
    if not has_champion:
        raise LeakRefused(why, hint=f"overnight check {night.pipeline.name}")
    return why
