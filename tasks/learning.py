"""What a model learns from: rows whose answers are known, of a window's published nights or of tonight's whole table, and
which of them are kept out of it to judge by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from domain.promotion import count_held_out
from domain.words import Task
from store.batches import load_batch
from store.publications import Published
from tasks.context import Night
from tasks.features import feature_columns, load_hook
from tasks.folds import Folds, choose_folds
from tasks.frames import ANSWER, NIGHT, Kind, count_answers, learning_query, read_frame
from tasks.preparing import prepare

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Array = np.ndarray[Any, Any]

FEWEST = 20  # rows of a table: with fewer, five folds say nothing


@dataclass(frozen=True)
class Lesson:
    """One row of `features`, `answers` and `place` for each row learned from; `place` points into `nights`, whose last
    `held_out` are kept for judging, or is the row's fold where there are `folds`. `share` of the `known` rows, those with an
    answer, were read."""

    task: Task
    nights: Sequence[Published]
    held_out: int
    features: "pd.DataFrame"
    answers: "Array"
    place: "Array"
    share: float
    folds: Folds | None = None
    known: int = 0

    @property
    def rows(self) -> int:
        return len(self.answers)

    @property
    def held(self) -> "Array":
        """True for the rows of the held-out nights, or of the last fold."""
        newest = len(self.nights) - self.held_out if self.folds is None else self.place.max()
        return self.place >= newest

    @property
    def splits(self) -> "Sequence[tuple[int, Array, Array]]":
        """Each trial's number, the rows that its twin learns from, and the rows that it is asked about; the newest last. A fold
        that the sample missed has a twin too, for its rows are in the table; one that nothing here may teach has none."""
        if self.folds is None:
            return [(0, ~self.held, self.held)]
        every = [(fold, self.folds.learned_from(self.place, fold), self.place == fold) for fold in range(self.folds.count)]
        return [(fold, fit, held) for fold, fit, held in every if fit.any() and not self.is_empty(fold)]

    def is_empty(self, fold: int) -> bool:
        """Whether no row of the table that was learned from is in this fold, so that the model of all rows has seen none of it,
        nor of what comes after it."""
        return self.folds is not None and self.folds.by != "time" and self.share == 1 and not (self.place == fold).any()

    @property
    def counted(self) -> "Array":
        """True for the rows that figures are of."""
        return self.held if self.folds is None else self.folds.counted(self.place)

    def since(self, moment: datetime) -> "Array":
        """True for the rows of nights that start at or after a moment."""
        first = next((i for i, night in enumerate(self.nights) if night.interval.start >= moment), len(self.nights))
        return self.place >= first

    def why_unfit(self, *, needed: int) -> str:
        """The sentence why nothing can be learned from this, empty when something can."""
        if self.folds is None and len(self.nights) < needed:
            return f"{len(self.nights)} of {needed} published nights have known answers to learn from"
        if self.folds is not None and self.rows < FEWEST:
            return f"{self.rows} of the table's rows have a known answer, and {FEWEST} are needed to learn and to judge"
        if self.folds is not None and not any(self.counted[held].any() for _, _, held in self.splits):
            return f"all {self.rows:,} rows that may be learned from fall into one fold, so none is left to judge by"
        if not self.features.notna().any(axis=None):
            return f"none of the {len(self.features.columns)} features holds a value, so there is nothing to learn from"
        if self.task is Task.REGRESSION:
            return ""
        wholes = [(self.answers, "the window" if self.folds is None else "the table")]
        if self.folds is None:  # a fold of one answer only gets a twin that always says it
            wholes.append((self.answers[~self.held], "the nights before the held-out ones"))
        for answers, where in wholes:
            seen = {str(value) for value in answers}
            if len(seen) < 2:
                return f"all {len(answers):,} known answers in {where} are {seen.pop()}, so there is nothing to learn"
        return ""


def read_lesson(night: Night, connection: sa.Connection, nights: Sequence[Published]) -> Lesson:
    """Reads a window; nights without a known answer are left out, and a window past `model.max_rows` is sampled."""
    pipeline = night.pipeline
    folds = choose_folds(connection, pipeline, load_batch(connection, nights[0].batch)) if pipeline.is_snapshot else None
    counts = count_answers(connection, pipeline, [each.batch for each in nights])
    known = [each for each in nights if each.batch in counts]
    share = min(1.0, pipeline.model.max_rows / max(1, sum(counts.values())))
    columns = feature_columns(pipeline)
    raw, answers, place = read_rows(night, connection, known, columns, share=share, folds=folds)
    held_out = count_held_out([each.interval for each in known], holdout=pipeline.model.holdout) if known else 0
    return Lesson(
        pipeline.target.task, known, held_out, prepare(raw, columns, load_hook(night.definition)), answers, place, share,
        folds, sum(counts.values()),
    )  # fmt: skip


def read_rows(
    night: Night,
    connection: sa.Connection,
    nights: Sequence[Published],
    columns: Mapping[str, Kind],
    *,
    share: float,
    folds: Folds | None = None,
) -> "tuple[pd.DataFrame, Array, Array]":
    """Raw columns, answers, and each row's place in `nights`, or its fold; in an order that content alone decides."""
    told = folds.tell(night.pipeline, nights[0].batch) if folds is not None and nights else {}
    query, kinds = learning_query(night.pipeline, [each.batch for each in nights], columns, share=share, **told)
    frame = read_frame(connection, query, kinds)
    return frame[list(columns)], known_answers(frame[ANSWER], night), frame[NIGHT].to_numpy()


def known_answers(column: "pd.Series[Any]", night: Night) -> "Array":
    """Booleans, numbers, or classes as text."""
    import numpy as np

    if night.pipeline.target.task is Task.REGRESSION:
        return column.to_numpy(dtype=np.float64)
    if night.pipeline.target.rule is not None:
        return column.to_numpy(dtype=bool)
    return column.astype("str").to_numpy(dtype=object)
