"""Assembles one night: how it went, what validation said, what was set aside, and where its numbers come from."""

from collections.abc import Mapping
from typing import Any

from domain.interval import Interval
from domain.pipeline import Pipeline
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
    verdict_on,
)
from store.reads.pipelines import Published, nights_between, published_between
from store.reads.rows import OWN, Question, column_types, read_page
from store.reads.trust import check_nights, judge_night, trust_night
from web.edge import Answered, View
from web.morning import describe_night, figures_of, trust_of, version_of
from web.schemas import Attempt, BatchLine, Lineage, NightAnswer, Publication, Reject, RejectedBy, Rule, Stage, Verdict

ROWS_SHOWN = 12
REJECTS_SHOWN = 20
FEATURES_SHOWN = 6


def night(view: View, name: str) -> Answered:
    """One night of one pipeline; `latest` is the newest that readers see predictions of."""
    pipeline, interval = view.pipeline, view.named(name)
    start = interval.start
    lines = nights_between(view.connection, pipeline.name, first=start, last=start)
    line = next(iter(check_nights(view.connection, pipeline.name, lines, alive=view.alive)), None)
    pointers = published_between(view.connection, pipeline.name, first=start, last=start)
    seen = {one.kind: one for one in pointers}
    predictions, rows = seen.get(BatchKind.PREDICTION), seen.get(BatchKind.INPUT)
    standing = judge_night(
        pipeline, interval, attempt=line.attempt if line else None, predictions=bool(predictions), rows=bool(rows), now=view.now
    )
    trust = trust_night(pipeline, interval, seen=predictions, standing=standing, now=view.now)
    runs = runs_of(view.connection, pipeline.name, start=start)
    landed = rows.batch if rows else line.input_batch if line else None
    body = NightAnswer(
        night=describe_night(view, pipeline, interval, line=line, published=pointers, standing=standing),
        usual_rows=usual_rows(view.connection, [pipeline.name]).get(pipeline.name),
        attempts=[_attempt(run) for run in runs],
        stages=[stage_of(one) for one in stages_of(view.connection, line.attempt.run)] if line else [],
        verdict=_verdict(view, line.input_batch if line and line.input_batch else landed),
        publications=[Publication.model_validate(one) for one in publications_of(view.connection, pipeline.name, start=start)],
        quality=_quality(view, interval),
        lineage=_lineage(view, pipeline, predictions, landed),
        trust=trust_of(trust),
        **_rejects(view, line.input_batch if line and line.input_batch else landed),
        **_first_rows(view, predictions),
    )
    return Answered(body, [(trust, pipeline)], settled=standing.state != "running")


def _attempt(run: Row) -> Attempt:
    seconds = (run["ended_at"] - run["started_at"]).total_seconds() if run["ended_at"] else None
    return Attempt.model_validate({**run, "run": run["id"], "seconds": seconds})


def stage_of(line: Row) -> Stage:
    return Stage.model_validate(line)


def _quality(view: View, interval: Interval) -> list[Any]:
    lines = quality(view.connection, view.pipeline.name, first=interval.start, last=interval.start)
    return figures_of(view.pipeline, lines)


def _verdict(view: View, batch: int | None) -> Verdict | None:
    line = verdict_on(view.connection, batch) if batch else None
    if line is None:
        return None
    rules = [rule_of(result) for result in line["results"] if isinstance(result, dict)]
    return Verdict(outcome=line["outcome"], reason=line["reason"], at=line["at"], rules=rules)


def rule_of(result: Mapping[str, Any]) -> Rule:
    """One rule's result as `domain.verdict.RuleResult` wrote it; of older forms, whatever can be read."""
    passed = bool(result.get("success"))
    columns = result.get("columns") or [result.get("column")]
    return Rule(
        rule=str(result.get("rule") or result.get("expectation") or "a rule"),
        column=", ".join(str(column) for column in columns if column) or None,
        state=str(result.get("state") or ("passed" if passed else "failed")),
        passed=passed, severity=str(result.get("severity") or "critical"), found=_found(result),
        examples=[_example(one) for one in (result.get("examples") or [])][:10], result=dict(result),
    )  # fmt: skip


def _found(result: Mapping[str, Any]) -> str:
    said = result.get("error") or result.get("sentence")
    if said:
        return str(said)
    return "" if result.get("unexpected_count") is None else f"{result['unexpected_count']} rows broke it"


def _example(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {part}" for key, part in value.items())[:200]
    return str(value)[:200]


def _rejects(view: View, batch: int | None) -> dict[str, Any]:
    if batch is None:
        return {"rejected_by": [], "rejects": []}
    name = view.pipeline.name
    rules = rejects_by_rule(view.connection, name, batch=batch)
    rows = rejects_of(view.connection, name, batch=batch, limit=REJECTS_SHOWN) if rules else []
    return {
        "rejected_by": [RejectedBy.model_validate(one) for one in rules],
        "rejects": [Reject.model_validate(one) for one in rows],
    }


def shown_columns(pipeline: Pipeline) -> tuple[str, ...]:
    """The columns that a page shows unless others are asked for: the key, what was said, and the first features."""
    features = [name for name in pipeline.features.columns if name not in pipeline.key]
    when = [pipeline.time_column] if pipeline.time_column else []
    return tuple(dict.fromkeys([*pipeline.key, *OWN[:3], *when, *features[:FEATURES_SHOWN], pipeline.target.column]))


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
