"""`observe`: what published predictions turned out to be worth, wherever answers have arrived or were corrected."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from psycopg2 import sql

from domain.pipeline import Pipeline
from domain.report import StageReport
from domain.words import BatchKind, Stage, StageState, Task
from store.batches import table_of
from store.engine import transaction
from store.models import load_version
from store.pipelines import inner_schema
from store.quality import Unjudged, record_quality, unjudged_by_table, unjudged_predictions, unjudged_shadows
from tasks.context import Night
from tasks.estimates import estimate_unanswered, tell_estimates
from tasks.folds import content_columns, hash_of, is_shifting
from tasks.frames import ANSWER, answer_expression, answer_kind, read_frame
from tasks.metrics import Prior, measure_classes, measure_numbers, measure_prior, measure_said, measure_yes_no
from tasks.models import same_question
from tasks.ranges import measure_ranges, range_columns

if TYPE_CHECKING:
    import pandas as pd

MOST_CLASSES = 50  # whose probabilities are read back


@dataclass(frozen=True, slots=True)
class Judged:
    """One night's figures, each with the dummy's; `lacking` says what its answers could not give."""

    night: Unjudged
    rows: int
    figures: Mapping[str, tuple[float, float | None]]
    lacking: str


def observe(night: Night) -> StageReport:
    """Judges each published prediction batch up to this night by the answers that readers see now, once for each batch of
    answers; earlier figures stay. Batches scored in hindsight are never judged (law 5)."""
    earliest = night.interval.start.astimezone(night.pipeline.interval.timezone) - night.pipeline.model.window
    with transaction(night.engine) as connection:
        find = unjudged_by_table if night.pipeline.is_snapshot else unjudged_predictions
        waiting = find(connection, night.pipeline.name, start=earliest, end=night.interval.end)
        judged = [found for each in waiting if (found := _judge(night, connection, each)) is not None]
        for shadow in unjudged_shadows(connection, night.pipeline.name, start=earliest, end=night.interval.end):
            _judge(night, connection, shadow)
        estimated = estimate_unanswered(night, connection)
    told = tell_estimates(night, estimated)
    if not judged:
        why = "no answers have arrived yet for what is published" if waiting else "nothing new to judge"
        return StageReport(Stage.OBSERVE, StageState.SKIPPED, f"{why}; {told}" if told else why)
    rows = sum(each.rows for each in judged)
    detail = {"nights": [_told(night, each) for each in judged]}
    why = _reason(night, judged)
    return StageReport(Stage.OBSERVE, StageState.DONE, f"{why}; {told}" if told else why, rows, rows, detail=detail)


def _judge(night: Night, connection: sa.Connection, which: Unjudged) -> Judged | None:
    """Measures and records one batch; None when none of its answers is known, or none more than were judged before."""
    version = load_version(connection, which.model)
    prior = Prior.from_json(version.metrics["prior"])
    classes = sorted(prior.shares)
    frame = _read(night, connection, which, classes=classes)
    if len(frame) <= which.judged:
        return None
    if not same_question(version, night.pipeline):
        return None  # the answers of today's question say nothing about predictions of another one
    figures = _measure(night, frame, classes=classes)
    dummies = measure_prior(_answers(night, frame), prior)
    both: dict[str, tuple[float, float | None]] = {m: (value, dummies[m]) for m, value in figures.items() if m in dummies}
    both |= {metric: (value, None) for metric, value in _measure_ranges(night, frame).items()}
    record_quality(
        connection, pipeline=night.pipeline.name, interval_start=which.interval.start, batch=which.batch, model=which.model,
        labels=which.labels, rows=len(frame), figures=both, run=night.run.id,
    )  # fmt: skip
    return Judged(which, len(frame), both, _lacking(night, frame, both))


_ANSWERED = """
SELECT {answer} AS answer, p.prediction, p.probability{ends}{each} FROM {predictions} p JOIN {landed} t ON {same_key}
WHERE {answer} IS NOT NULL AND NOT p.hindsight AND {same_row}
"""
# Where a row's line is its name, another row may stand there in a later table.
_SAME_ROW = """EXISTS (SELECT FROM {landed} own WHERE own.batch_id = (SELECT input_batch FROM overnight.batch WHERE id = {batch})
    AND ROW({own_key}) = ROW({key}) AND {own} = {held})"""


_EACH = ", CASE WHEN p.probabilities IS NOT NULL THEN coalesce((p.probabilities->>{name})::float8, 0) END"


def _each(pipeline: Pipeline, classes: Sequence[str]) -> dict[str, sql.Composable]:
    """The probability of each class by its place, where predictions keep them; nothing where there are too many to read."""
    if not pipeline.keeps_probabilities or len(classes) > MOST_CLASSES:
        return {}
    return {f"class {place}": sql.SQL(_EACH).format(name=sql.Literal(name)) for place, name in enumerate(classes)}


def _read(night: Night, connection: sa.Connection, which: Unjudged, *, classes: Sequence[str]) -> "pd.DataFrame":
    pipeline, inner = night.pipeline, inner_schema(night.pipeline.name)
    keys, each = (sql.Identifier(name) for name in pipeline.key), _each(pipeline, classes)
    query = sql.SQL(_ANSWERED).format(
        answer=answer_expression(pipeline),
        ends=sql.SQL("").join(sql.SQL(", p.{}").format(sql.Identifier(name)) for name in range_columns(pipeline)),
        each=sql.SQL("").join(each.values()),
        predictions=sql.Identifier(inner, table_of(BatchKind.PREDICTION, which.batch)),
        landed=sql.Identifier(inner, table_of(BatchKind.INPUT, which.labels)),
        same_key=sql.SQL(" AND ").join(sql.SQL("p.{0} = t.{0}").format(key) for key in keys),
        same_row=_same_row(pipeline, which) if pipeline.is_snapshot and is_shifting(pipeline) else sql.SQL("true"),
    )
    kind = answer_kind(pipeline)
    ends = dict.fromkeys(range_columns(pipeline), "number")
    return read_frame(
        connection, query, {ANSWER: kind, "prediction": kind, "probability": "number", **ends, **dict.fromkeys(each, "number")}
    )


def _same_row(pipeline: Pipeline, which: Unjudged) -> sql.Composable:
    held = content_columns(pipeline)
    return sql.SQL(_SAME_ROW).format(
        landed=sql.Identifier(inner_schema(pipeline.name), "landed"), batch=sql.Literal(which.batch),
        own_key=sql.SQL(", ").join(sql.Identifier("own", name) for name in pipeline.key),
        key=sql.SQL(", ").join(sql.Identifier("t", name) for name in pipeline.key),
        own=hash_of("own", held), held=hash_of("t", held),
    )  # fmt: skip


def _measure_ranges(night: Night, frame: "pd.DataFrame") -> dict[str, float]:
    """Where the pipeline asks for ranges: how many answers they held, and how wide they were."""
    ends = [frame[name].to_numpy(dtype="float64") for name in range_columns(night.pipeline)]
    return measure_ranges(_answers(night, frame), *ends) if ends else {}


def _answers(night: Night, frame: "pd.DataFrame", column: str = ANSWER) -> Any:
    if night.pipeline.target.task is Task.REGRESSION:
        return frame[column].to_numpy(dtype="float64")
    if night.pipeline.target.rule is not None:
        return frame[column].to_numpy(dtype=bool)
    return frame[column].astype("str").to_numpy(dtype=object)


def _measure(night: Night, frame: "pd.DataFrame", *, classes: Sequence[str]) -> dict[str, float]:
    import numpy as np

    answers, said = _answers(night, frame), _answers(night, frame, "prediction")
    if night.pipeline.target.task is Task.REGRESSION:
        return measure_numbers(answers, said)
    if night.pipeline.target.rule is not None:
        return measure_yes_no(answers, frame["probability"].to_numpy(dtype="float64"), said)
    if len(classes) == 2:  # then the probability of the one that was said tells that of the other
        second = frame["probability"].to_numpy(dtype="float64")
        second = np.where(said == classes[1], second, 1 - second)
        return measure_classes(answers, np.column_stack([1 - second, second]), classes)
    each = [frame[name].to_numpy(dtype="float64") for name in _each(night.pipeline, classes)]
    if not each or any(np.isnan(column).any() for column in each):  # of predictions that were made before they were kept
        return measure_said(answers, said)
    return {**measure_classes(answers, np.column_stack(each), classes), **measure_said(answers, said)}


def _lacking(night: Night, frame: "pd.DataFrame", figures: Mapping[str, Any]) -> str:
    if night.pipeline.target.rule is not None and "roc_auc" not in figures:
        return f"roc_auc cannot be computed, for all {len(frame):,} answers are {bool(frame[ANSWER].iloc[0])}"
    if night.pipeline.target.task is Task.REGRESSION and "r2" not in figures:
        return f"r2 cannot be computed, for all {len(frame):,} answers are equal"
    return ""


def _told(night: Night, judged: Judged) -> dict[str, Any]:
    return {
        "night": night.pipeline.calendar.label(judged.night.interval), "batch": judged.night.batch, "rows": judged.rows,
        "figures": {metric: {"value": value, "dummy": dummy} for metric, (value, dummy) in judged.figures.items()},
        "lacking": judged.lacking,
    }  # fmt: skip


def _reason(night: Night, judged: list[Judged]) -> str:
    """One sentence: which nights, and for a single one its first figure."""
    label = night.pipeline.calendar.label
    if len(judged) > 1:
        lacking = [label(each.night.interval) for each in judged if each.lacking]
        missing = f"; some figures could not be computed for {', '.join(lacking[:3])}" if lacking else ""
        return f"judged {sum(each.rows for each in judged):,} answers of {len(judged)} nights{missing}"
    one = judged[0]
    metric, (value, dummy) = next(iter(sorted(one.figures.items(), key=lambda item: item[0] != night.pipeline.model.metric)))
    told = f"{metric} {value:.4f}" + (f" against the dummy's {dummy:.4f}" if dummy is not None else "")
    return f"judged {one.rows:,} answers of {label(one.night.interval)}: {told}" + (f"; {one.lacking}" if one.lacking else "")
