"""Assembles the morning page and a pipeline's page."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from domain.interval import Interval
from domain.pipeline import Pipeline
from domain.standing import Standing
from domain.trust import TrustLine
from domain.words import BatchKind
from store.reads.connection import Row
from store.reads.models import estimate_of, moves, quality, tonights_models, versions
from store.reads.nights import batches_of, usual_rows
from store.reads.pipelines import NightLine, Published, nights_between, published_between, waived_between
from store.reads.trust import PipelineStanding, check_nights, judge_night
from web.edge import Answered, View
from web.schemas import Estimate, Figure, Morning, Move, Night, PipelineAnswer, Span, Summary, Trust, Version
from web.trends import UNUSUAL, mark_nights, most_drifted, read_drift

NIGHTS_SHOWN = 42
MISSING_SHOWN = 14
_TROUBLE = ("failed", "stopped", "held", "missing", "never published")


@lru_cache(maxsize=256)
def trust_of(line: TrustLine) -> Trust:
    return Trust.model_validate(line.to_json())


def morning(view: View) -> Answered:
    """All pipelines, those that need somebody first."""
    nights = [(one.pipeline.name, shown.start) for one in view.standings if (shown := shown_night(one))]
    usual = usual_rows(view.connection, [one.pipeline.name for one in view.standings])
    made = tonights_models(view.connection, nights)
    summaries = [
        summarise(view, one, usual=usual.get(one.pipeline.name), made=made.get(one.pipeline.name, {})) for one in view.standings
    ]
    summaries.sort(key=lambda one: (not (one.late or one.state in _TROUBLE), one.pipeline))
    body = Morning(headline=headline(summaries), pipelines=summaries, trust=[one.trust for one in summaries])
    return Answered(
        body, [(one.trust, one.pipeline) for one in view.standings], settled=not any(one.running for one in view.standings)
    )  # fmt: skip


def headline(summaries: Sequence[Summary]) -> str:
    """The night in one line."""
    if not summaries:
        return "No pipeline is registered yet."
    trouble = [one for one in summaries if one.late or one.state in _TROUBLE]
    if not trouble:
        return "The newest night of every pipeline is published." if len(summaries) > 1 else "The night is published."
    names = ", ".join(f"{one.pipeline} {'late' if one.late and one.state == 'missing' else one.state}" for one in trouble[:5])
    return f"{len(trouble)} of {len(summaries)} need{'s' if len(trouble) == 1 else ''} somebody: {names}."


def summarise(view: View, one: PipelineStanding, *, usual: float | None, made: Mapping[str, Any]) -> Summary:
    night = _shown_night(view, one)
    rows = night.rows if night else None
    change = (rows - usual) / usual if rows is not None and usual else None
    return Summary(
        pipeline=one.pipeline.name, title=one.pipeline.title, owner=one.pipeline.owner, state=_state(one),
        late=one.freshness.late_since is not None, night=night, usual_rows=usual, rows_change=change,
        retrained=made.get("retrained"), promoted=made.get("promoted"), quality=_newest_figure(view, one),
        estimate=_estimate(view, one), todo=one.todo, trust=trust_of(one.trust),
    )  # fmt: skip


def _state(one: PipelineStanding) -> str:
    if one.standing is None or (one.published is None and one.learned is None and one.line is None):
        return "never published"
    return str(one.standing.state)


def _newest_figure(view: View, one: PipelineStanding) -> Figure | None:
    if one.published is None:
        return None
    last = one.published.interval.start
    first = steps_back(one.pipeline, one.published.interval, steps=14).start
    figures = figures_of(one.pipeline, quality(view.connection, one.pipeline.name, first=first, last=last))
    shown = metric_shown(one.pipeline, figures)
    return next((f for f in reversed(figures) if f.metric == shown), None)


def metric_shown(pipeline: Pipeline, figures: Sequence[Figure]) -> str:
    """The metric that decides, where answers have given it; else one that they have: of classes whose probabilities are not kept
    the share that was right, of numbers the mean error."""
    there, own = {one.metric for one in figures if one.value is not None}, pipeline.model.metric
    if own in there or not there:
        return own
    return next((name for name in ("accuracy", "rmse", "mae") if name in there), min(there))


def _estimate(view: View, one: PipelineStanding) -> Estimate | None:
    if one.published is None:
        return None
    start, metric = one.published.interval.start, one.pipeline.model.metric
    line = estimate_of(view.connection, one.pipeline.name, metric=metric, night=start)
    return Estimate.model_validate({**line, "night": label_of(one.pipeline, start)}) if line else None


def steps_back(pipeline: Pipeline, interval: Interval, *, steps: int) -> Interval:
    for _ in range(steps):
        before = pipeline.calendar.before(interval.start)
        if before is None:
            break
        interval = before
    return interval


def shown_night(one: PipelineStanding) -> Interval | None:
    """The night whose figures stand on the morning page: the one to look at, or what readers see while nothing runs."""
    return one.published.interval if one.published and one.line is None else one.focus


def _shown_night(view: View, one: PipelineStanding) -> Night | None:
    interval = shown_night(one)
    if interval is None:
        return None
    if one.line is None:
        return describe_nights(view, one.pipeline, first=interval, last=interval)[0]
    assert one.standing is not None
    published = published_between(view.connection, one.pipeline.name, first=interval.start, last=interval.start)
    return describe_night(view, one.pipeline, interval, line=one.line, published=published, standing=one.standing)


def describe_night(
    view: View,
    pipeline: Pipeline,
    interval: Interval,
    *,
    line: NightLine | None,
    published: Sequence[Published],
    standing: Standing,
    batches: Mapping[int, Row] | None = None,
) -> Night:
    """A night's figures: of what readers see, or else of what its newest run has brought."""
    seen = {one.kind: one for one in published}
    rows, predictions = seen.get(BatchKind.INPUT), seen.get(BatchKind.PREDICTION)
    landed, rejected = (rows.rows, rows.rejected) if rows else (None, None)
    if rows is None and line is not None and line.input_batch:
        batch = (batches if batches is not None else batches_of(view.connection, [line.input_batch])).get(line.input_batch)
        landed, rejected = (batch["rows"], batch["rejected"]) if batch else (None, None)
    return Night(
        night=pipeline.calendar.label(interval), interval=Span(start=interval.start, end=interval.end),
        state=str(standing.state), why=standing.why, todo=standing.todo, run=line.attempt.run if line else None,
        runs=line.runs if line else 0, rows=landed, rejected=rejected,
        predictions=predictions.rows if predictions else None, batch=predictions.batch if predictions else None,
        model_version=predictions.model_version if predictions else None,
        published_at=predictions.published_at if predictions else None,
    )  # fmt: skip


def describe_nights(view: View, pipeline: Pipeline, *, first: Interval, last: Interval) -> list[Night]:
    """Every interval from `first` to `last`, with or without a run, oldest first."""
    name = pipeline.name
    lines = nights_between(view.connection, name, first=first.start, last=last.start)
    by_start = {line.interval.start: line for line in check_nights(view.connection, name, lines, alive=view.alive)}
    seen: dict[datetime, list[Published]] = {}
    for one in published_between(view.connection, name, first=first.start, last=last.start):
        seen.setdefault(one.interval.start, []).append(one)
    batches = batches_of(view.connection, [line.input_batch for line in lines if line.input_batch])
    waived = waived_between(view.connection, name, first=first.start, last=last.start)
    nights = []
    for interval in pipeline.calendar.between(first, last):
        line, published = by_start.get(interval.start), seen.get(interval.start, [])
        kinds = {one.kind for one in published}
        standing = judge_night(
            pipeline, interval, attempt=line.attempt if line else None, now=view.now,
            predictions=BatchKind.PREDICTION in kinds, rows=BatchKind.INPUT in kinds, waived=waived.get(interval.start, ""),
        )  # fmt: skip
        nights.append(
            describe_night(view, pipeline, interval, line=line, published=published, standing=standing, batches=batches)
        )
    return nights


def pipeline(view: View) -> Answered:
    """One pipeline: its nights, its realised quality, its champions."""
    one = view.one
    name = one.pipeline.name
    made = tonights_models(view.connection, [(name, shown.start)] if (shown := shown_night(one)) else []).get(name, {})
    first, last, hidden = _strip(one, view.now)
    nights = describe_nights(view, one.pipeline, first=first, last=last) if first and last else []
    drift = read_drift(view.connection, one.pipeline, first=first.start, last=last.start) if first and last else []
    champions = [move_of(one.pipeline, line) for line in moves(view.connection, name)]
    figures: list[Figure] = []
    if one.published:
        since = steps_back(one.pipeline, one.published.interval, steps=180).start
        figures = figures_of(one.pipeline, quality(view.connection, name, first=since, last=one.published.interval.start))
    body = PipelineAnswer(
        summary=summarise(view, one, usual=usual_rows(view.connection, [name]).get(name), made=made),
        nights=mark_nights(nights, figures=figures, drift=drift, moves=champions, metric=metric_shown(one.pipeline, figures)),
        nights_not_shown=hidden, metric=metric_shown(one.pipeline, figures), quality=figures, drift=drift, champions=champions,
        versions=[version_of(one.pipeline, line) for line in versions(view.connection, name)],
        trust=trust_of(one.trust),
    )  # fmt: skip
    page = {"unusual": UNUSUAL, "drifted": most_drifted(drift), "drift_nights": list(dict.fromkeys(one.night for one in drift))}
    settled = not any(night.state == "running" for night in nights)
    return Answered(body, [(one.trust, one.pipeline)], settled=settled, page=page)


def _strip(one: PipelineStanding, now: datetime) -> tuple[Interval | None, Interval | None, int]:
    """The span of nights to show: the newest that were taken, and at most some of those that are missing since."""
    calendar = one.pipeline.calendar
    due = calendar.before(now)
    taken = max(
        (i for i in (one.line and one.line.interval, one.published and one.published.interval,
                     one.learned and one.learned.interval) if i),
        key=lambda i: i.start, default=None,
    )  # fmt: skip
    if taken is None:
        if due is None:
            return None, None, 0
        ahead = calendar.distance(calendar.first, due)
        last = calendar.first
        for _ in range(min(ahead, MISSING_SHOWN - 1)):
            last = calendar.after(last)
        return calendar.first, last, max(0, ahead + 1 - MISSING_SHOWN)
    last, hidden = taken, 0
    if due is not None and due.start > taken.start:
        missing = calendar.distance(taken, due)
        for _ in range(min(missing, MISSING_SHOWN)):
            last = calendar.after(last)
        hidden = max(0, missing - MISSING_SHOWN)
    return steps_back(one.pipeline, last, steps=NIGHTS_SHOWN - 1), last, hidden


def figures_of(pipeline: Pipeline, lines: Sequence[Row]) -> list[Figure]:
    return [
        Figure.model_validate({**line, "night": label_of(pipeline, line["interval_start"]), "start": line["interval_start"]})
        for line in lines
    ]


def label_of(pipeline: Pipeline, start: datetime) -> str:
    """The name of the night that starts then."""
    return pipeline.calendar.label(pipeline.calendar.containing(start))


def move_of(pipeline: Pipeline, line: Row) -> Move:
    return Move.model_validate({**line, "night": label_of(pipeline, line["effective_from"])})


def version_of(pipeline: Pipeline, line: Row) -> Version:
    return Version.model_validate({**line, "night": label_of(pipeline, line["trained_for"])})
