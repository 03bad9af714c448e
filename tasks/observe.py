"""`observe`: what published predictions turned out to be worth, wherever answers have arrived or were corrected."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from domain.report import StageReport
from domain.words import Stage, StageState
from store.engine import transaction
from store.models import load_version
from store.quality import Unjudged, record_quality, unjudged_by_table, unjudged_predictions, unjudged_shadows
from tasks.answers import weigh
from tasks.context import Night
from tasks.estimates import estimate_unanswered, tell_estimates
from tasks.metrics import Prior
from tasks.models import same_question


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
    if not same_question(version, night.pipeline):
        return None  # the answers of today's question say nothing about predictions of another one
    worth = weigh(connection, night.pipeline, which, prior=Prior.from_json(version.metrics["prior"]))
    if worth.rows <= which.judged or not worth.figures:
        return None
    both = {metric: (value, worth.dummies.get(metric)) for metric, value in worth.figures.items()}
    record_quality(
        connection, pipeline=night.pipeline.name, interval_start=which.interval.start, batch=which.batch, model=which.model,
        labels=which.labels, rows=worth.rows, figures=both, run=night.run.id,
    )  # fmt: skip
    return Judged(which, worth.rows, both, worth.lacking)


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
