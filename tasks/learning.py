"""What a model learns from: the rows of a window's published nights whose answers are known, and which are held out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from domain.promotion import count_held_out
from domain.words import Task
from store.publications import Published
from tasks.context import Night
from tasks.features import feature_columns, load_hook, prepare
from tasks.frames import ANSWER, NIGHT, Kind, count_answers, learning_query, read_frame

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Lesson:
    """One row of `features`, `answers` and `place` for each row learned from; `place` points into `nights`, whose last
    `held_out` are kept for judging. `share` of the rows with an answer were read."""

    task: Task
    nights: Sequence[Published]
    held_out: int
    features: "pd.DataFrame"
    answers: "Array"
    place: "Array"
    share: float

    @property
    def rows(self) -> int:
        return len(self.answers)

    @property
    def held(self) -> "Array":
        """True for the rows of the held-out nights."""
        return self.place >= len(self.nights) - self.held_out

    def since(self, moment: datetime) -> "Array":
        """True for the rows of nights that start at or after a moment."""
        first = next((i for i, night in enumerate(self.nights) if night.interval.start >= moment), len(self.nights))
        return self.place >= first

    def why_unfit(self, *, needed: int) -> str:
        """The sentence why nothing can be learned from this, empty when something can."""
        if len(self.nights) < needed:
            return f"{len(self.nights)} of {needed} published nights have known answers to learn from"
        if self.task is Task.REGRESSION:
            return ""
        for answers, where in ((self.answers, "the window"), (self.answers[~self.held], "the nights before the held-out ones")):
            seen = {str(value) for value in answers}
            if len(seen) < 2:
                return f"all {len(answers):,} known answers in {where} are {seen.pop()}, so there is nothing to learn"
        return ""


def read_lesson(night: Night, connection: sa.Connection, nights: Sequence[Published]) -> Lesson:
    """Reads a window; nights without a known answer are left out, and a window past `model.max_rows` is sampled."""
    pipeline = night.pipeline
    counts = count_answers(connection, pipeline, [each.batch for each in nights])
    known = [each for each in nights if each.batch in counts]
    share = min(1.0, pipeline.model.max_rows / max(1, sum(counts.values())))
    columns = feature_columns(pipeline)
    raw, answers, place = read_rows(night, connection, known, columns, share=share)
    held_out = count_held_out([each.interval for each in known], holdout=pipeline.model.holdout) if known else 0
    return Lesson(
        pipeline.target.task, known, held_out, prepare(raw, columns, load_hook(night.definition)), answers, place, share
    )


def read_rows(
    night: Night, connection: sa.Connection, nights: Sequence[Published], columns: Mapping[str, Kind], *, share: float
) -> "tuple[pd.DataFrame, Array, Array]":
    """Raw columns, answers, and each row's place in `nights`; in an order that content alone decides."""
    query, kinds = learning_query(night.pipeline, [each.batch for each in nights], columns, share=share)
    frame = read_frame(connection, query, kinds)
    return frame[list(columns)], _answers(frame[ANSWER], night), frame[NIGHT].to_numpy()


def _answers(column: "pd.Series[Any]", night: Night) -> "Array":
    """Booleans, numbers, or classes as text."""
    import numpy as np

    if night.pipeline.target.task is Task.REGRESSION:
        return column.to_numpy(dtype=np.float64)
    if night.pipeline.target.rule is not None:
        return column.to_numpy(dtype=bool)
    return column.astype("str").to_numpy(dtype=object)
