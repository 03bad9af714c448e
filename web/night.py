"""Assembles one night: how it went, what validation said, what was set aside, and where its numbers come from."""

from typing import Any

from domain.interval import Interval
from domain.pipeline import Pipeline
from domain.rejected import read_key
from domain.words import BatchKind
from store.reads.connection import Row
from store.reads.models import quality, versions
from store.reads.nights import (
    batches_of,
    publications_of,
    rejects_by_rule,
    rejects_of,
    runs_of,
    stages_of,
    usual_rows,
)
from store.reads.pipelines import Published
from store.reads.pruned import pruned, tell_pruned
from store.reads.rows import Question, column_types, read_page, remembered
from store.reads.trust import stand_night
from store.reads.verdicts import drift_of
from web.answers import DriftFigure, NightDiff
from web.differences import read_diff
from web.edge import Answered, View
from web.judged import judged_batch, verdict_of, worst_first
from web.morning import describe_alone, figures_of, label_of, trust_of, version_of
from web.schemas import Attempt, BatchLine, Lineage, NightAnswer, Publication, Reject, RejectedBy, Stage

ROWS_SHOWN = 12
REJECTS_SHOWN = 20
FEATURES_SHOWN = 6


def night(view: View, name: str) -> Answered:
    """One night of one pipeline; `latest` is the newest that readers see predictions of."""
    pipeline, interval = view.pipeline, view.named(name)
    start = interval.start
    found = stand_night(view.connection, pipeline, interval, now=view.now, alive=view.alive)
    line, trust = found.line, found.trust
    predictions, rows = found.seen(BatchKind.PREDICTION), found.seen(BatchKind.INPUT)
    runs = runs_of(view.connection, pipeline.name, start=start)
    landed = rows.batch if rows else line.input_batch if line else None
    judged = judged_batch(found)
    scored = line.prediction_batch if line and line.prediction_batch else predictions.batch if predictions else None
    stages = [stage_of(one) for one in stages_of(view.connection, line.attempt.run)] if line else []
    body = NightAnswer(
        night=describe_alone(view, pipeline, interval, found),
        usual_rows=usual_rows(view.connection, [pipeline.name]).get(pipeline.name),
        attempts=[_attempt(run) for run in runs],
        stages=stages,
        verdict=verdict_of(view.connection, judged),
        diff=read_diff(pipeline, stages),
        drift=_drift(view, scored),
        publications=[Publication.model_validate(one) for one in publications_of(view.connection, pipeline.name, start=start)],
        quality=_quality(view, interval),
        lineage=_lineage(view, pipeline, predictions, landed),
        trust=trust_of(trust),
        **_rejects(view, judged),
        **_first_rows(view, predictions),
    )
    page = {"rules": worst_first(body.verdict.rules) if body.verdict else [], "moved_most": _moved_most(body.diff)}
    return Answered(body, [(trust, pipeline)], page=page)


def _attempt(run: Row) -> Attempt:
    seconds = (run["ended_at"] - run["started_at"]).total_seconds() if run["ended_at"] else None
    return Attempt.model_validate({**run, "run": run["id"], "seconds": seconds})


def stage_of(line: Row) -> Stage:
    return Stage.model_validate(line)


def _drift(view: View, batch: int | None) -> list[DriftFigure]:
    lines = drift_of(view.connection, batch) if batch else []
    return [DriftFigure.model_validate({**one, "night": label_of(view.pipeline, one["interval_start"])}) for one in lines]


def _moved_most(diff: NightDiff | None) -> int:
    """The largest count of any range, which the bars of the page are drawn against."""
    return max([0, *diff.before, *diff.after]) if diff else 0


def _quality(view: View, interval: Interval) -> list[Any]:
    name, start = view.pipeline.name, interval.start
    lines = quality(view.connection, {name: (start, start)})[name]
    return figures_of(view.pipeline, lines)


def _rejects(view: View, batch: int | None) -> dict[str, Any]:
    if batch is None:
        return {"rejected_by": [], "rejects": [], "rejects_pruned": None}
    gone = pruned(view.connection, batch, part="rejected")
    name = view.pipeline.name
    rules = rejects_by_rule(view.connection, name, batch=batch)
    rows = rejects_of(view.connection, name, batch=batch, limit=REJECTS_SHOWN) if rules else []
    return {
        "rejected_by": [RejectedBy.model_validate(one) for one in rules],
        "rejects": [Reject.model_validate({**one, "key": read_key(one["landed"], view.pipeline.key) or None}) for one in rows],
        "rejects_pruned": _tell_rejects(view, gone) if gone and gone["rows"] else None,
    }


def _tell_rejects(view: View, gone: Row) -> str:
    rows = f"{gone['rows']:,} rows" if gone["rows"] > 1 else "1 row"
    return f"{rows} set aside: {tell_pruned(gone['at'], gone['who'], gone['why'], view.pipeline)}"


@remembered
def shown_columns(pipeline: Pipeline) -> tuple[str, ...]:
    """The columns that a page shows unless others are asked for: the key, what was said, and the first features."""
    features = [name for name in pipeline.features.columns if name not in pipeline.key]
    when = [pipeline.time_column] if pipeline.time_column else []
    likely = "probabilities" if pipeline.keeps_probabilities else "probability"
    types = column_types(pipeline)
    said = [name for name in ("prediction", "lower", "upper", likely, "model_version", "hindsight") if name in types]
    return tuple(dict.fromkeys([*pipeline.key, *said, *when, *features[:FEATURES_SHOWN], pipeline.target.column]))


def _first_rows(view: View, seen: Published | None) -> dict[str, Any]:
    columns = shown_columns(view.pipeline)
    types = column_types(view.pipeline)
    rows = []
    if seen is not None and seen.input_batch is not None:
        question = Question(columns, limit=ROWS_SHOWN)
        page = read_page(view.connection, view.pipeline, question, batch=seen.batch, input_batch=seen.input_batch)
        rows = list(page.rows)
    return {"columns": {name: types[name] for name in columns}, "rows": rows}


def _lineage(view: View, pipeline: Pipeline, predictions: Published | None, landed: int | None) -> Lineage:
    numbers = [
        number for number in (landed, predictions and predictions.input_batch, predictions and predictions.batch) if number
    ]
    batches = {number: BatchLine.model_validate({**line, "batch": number}) for number, line in
               batches_of(view.connection, numbers).items()}  # fmt: skip
    source = predictions.input_batch if predictions else landed
    model = None
    if predictions is not None:
        known = versions(view.connection, pipeline.name)
        model = next((version_of(pipeline, one) for one in known if one["version"] == predictions.model_version), None)
    return Lineage(
        input=batches.get(source) if source else None, model=model,
        predictions=batches.get(predictions.batch) if predictions else None,
    )  # fmt: skip
