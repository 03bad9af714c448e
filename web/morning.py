"""Assembles the morning page and a pipeline's page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from domain.interval import Interval
from domain.pipeline import Pipeline
from domain.standing import Standing
from domain.trust import TrustLine
from domain.words import BatchKind
from store.reads.connection import Row
from store.reads.models import INSTEAD, estimates_of, moves, newest_quality, quality, tonights_models, versions
from store.reads.nights import batches_of, usual_rows
from store.reads.pipelines import NightLine, Published, faults_of, nights_between, published_between, waived_between
from store.reads.trust import NightStanding, PipelineStanding, check_life, held_since, judge_night
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
    summaries = sorted(summarise(view, view.standings), key=lambda one: (not _needs_somebody(one), one.pipeline))
    body = Morning(headline=headline(summaries), pipelines=summaries, trust=[one.trust for one in summaries])
    return Answered(body, [(one.trust, one.pipeline) for one in view.standings])


def headline(summaries: Sequence[Summary]) -> str:
    """The night in one line."""
    if not summaries:
        return "No pipeline is registered yet."
    trouble = [one for one in summaries if _needs_somebody(one)]
    if not trouble:
        return "The newest night of every pipeline is published." if len(summaries) > 1 else "The night is published."
    names = ", ".join(f"{one.pipeline} {_say_trouble(one)}" for one in trouble[:5])
    return f"{len(trouble)} of {len(summaries)} need{'s' if len(trouble) == 1 else ''} somebody: {names}."


def _needs_somebody(one: Summary) -> bool:
    return bool(one.late or one.fault) or one.state in _TROUBLE


def _say_trouble(one: Summary) -> str:
    if one.late and one.state == "missing":
        return "late"
    return one.state if one.late or one.state in _TROUBLE else "broken"


def summarise(view: View, standings: Sequence[PipelineStanding]) -> list[Summary]:
    """What a morning needs to know of each pipeline, in as many questions for all of them as for one."""
    names, seen = [one.pipeline.name for one in standings], [one for one in standings if one.published]
    shown = {one.pipeline.name: night for one in standings if (night := shown_night(one))}
    usual = usual_rows(view.connection, names)
    made = tonights_models(view.connection, [(name, night.start) for name, night in shown.items()])
    known = {one.pipeline.name: one.line for one in standings if one.line}
    taken = read_nights(view, {name: (night, night) for name, night in shown.items()}, known=known)
    metrics = {one.pipeline.name: one.pipeline.model.metric for one in seen}
    figures = newest_quality(view.connection, {one.pipeline.name: _fortnight(one) for one in seen}, metrics=metrics)
    starts = {one.pipeline.name: one.published.interval.start for one in seen if one.published}
    estimates = estimates_of(view.connection, {name: (metrics[name], start) for name, start in starts.items()})
    faults = faults_of(view.connection, names)

    def summary(one: PipelineStanding) -> Summary:
        name = one.pipeline.name
        night = _describe_shown(view, one, shown[name], taken) if name in shown else None
        rows, so_far = night.rows if night else None, usual.get(name)
        return Summary(
            pipeline=name, title=one.pipeline.title, owner=one.pipeline.owner, state=_state(one),
            late=one.freshness.late_since is not None, night=night, usual_rows=so_far,
            rows_change=(rows - so_far) / so_far if rows is not None and so_far else None,
            retrained=made.get(name, {}).get("retrained"), promoted=made.get(name, {}).get("promoted"),
            quality=_figure(one.pipeline, figures.get(name)), estimate=_estimate(one, estimates.get(name)),
            fault=faults.get(name, ""), todo=f"overnight check {name}" if name in faults else one.todo, trust=trust_of(one.trust),
        )  # fmt: skip

    return [summary(one) for one in standings]


def _state(one: PipelineStanding) -> str:
    if one.standing is None or (one.published is None and one.learned is None and one.line is None):
        return "never published"
    return str(one.standing.state)


def _fortnight(one: PipelineStanding) -> tuple[datetime, datetime]:
    """In which a figure counts as the newest: before what readers see."""
    assert one.published is not None
    return steps_back(one.pipeline, one.published.interval, steps=14).start, one.published.interval.start


def _figure(pipeline: Pipeline, line: Row | None) -> Figure | None:
    return next(iter(figures_of(pipeline, [line])), None) if line else None


def metric_shown(pipeline: Pipeline, figures: Sequence[Figure]) -> str:
    """The metric that decides, where answers have given it; else one that they have."""
    there, own = {one.metric for one in figures if one.value is not None}, pipeline.model.metric
    if own in there or not there:
        return own
    return next((name for name in INSTEAD if name in there), min(there))


def _estimate(one: PipelineStanding, line: Row | None) -> Estimate | None:
    if line is None:
        return None
    return Estimate.model_validate({**line, "night": label_of(one.pipeline, line["interval_start"])})


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


def _describe_shown(view: View, one: PipelineStanding, night: Interval, taken: "Taken") -> Night:
    if one.line is None:
        return taken.describe(view, one.pipeline, first=night, last=night)[0]
    assert one.standing is not None
    return describe_night(
        one.pipeline, night, line=one.line, published=taken.published[one.pipeline.name], standing=one.standing,
        batches=taken.batches,
    )  # fmt: skip


def describe_night(
    pipeline: Pipeline,
    interval: Interval,
    *,
    line: NightLine | None,
    published: Sequence[Published],
    standing: Standing,
    batches: Mapping[int, Row],
) -> Night:
    """A night's figures: of what readers see, or else of what its newest run has brought, which is one of `batches`."""
    seen = {one.kind: one for one in published}
    rows, predictions = seen.get(BatchKind.INPUT), seen.get(BatchKind.PREDICTION)
    landed, rejected = (rows.rows, rows.rejected) if rows else (None, None)
    if rows is None and line is not None and line.input_batch:
        batch = batches.get(line.input_batch)
        landed, rejected = (batch["rows"], batch["rejected"]) if batch else (None, None)
    return Night(
        night=pipeline.calendar.label(interval), interval=Span(start=interval.start, end=interval.end),
        state=str(standing.state), why=standing.why, todo=standing.todo, run=line.attempt.run if line else None,
        runs=line.runs if line else 0, rows=landed, rejected=rejected,
        predictions=predictions.rows if predictions else None, batch=predictions.batch if predictions else None,
        model_version=predictions.model_version if predictions else None,
        published_at=predictions.published_at if predictions else None,
    )  # fmt: skip


def describe_alone(view: View, pipeline: Pipeline, interval: Interval, found: NightStanding) -> Night:
    """The same of a night that is shown by itself: what its newest run has brought is asked for if readers do not see it."""
    line, rows = found.line, found.seen(BatchKind.INPUT)
    brought = [line.input_batch] if line and line.input_batch and rows is None else []
    return describe_night(
        pipeline, interval, line=line, published=found.published, standing=found.standing,
        batches=batches_of(view.connection, brought),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Taken:
    """What the ledger says of spans of nights, by pipeline."""

    lines: Mapping[str, Sequence[NightLine]]
    published: Mapping[str, Sequence[Published]]
    batches: Mapping[int, Row]
    waived: Mapping[str, Mapping[datetime, str]]

    def describe(self, view: View, pipeline: Pipeline, *, first: Interval, last: Interval) -> list[Night]:
        """Every interval from `first` to `last`, with or without a run, oldest first."""
        by_start = {line.interval.start: line for line in self.lines[pipeline.name]}
        seen: dict[datetime, list[Published]] = {}
        for one in self.published[pipeline.name]:
            seen.setdefault(one.interval.start, []).append(one)
        nights = []
        for interval in pipeline.calendar.between(first, last):
            line, published = by_start.get(interval.start), seen.get(interval.start, [])
            kinds = {one.kind: one for one in published}
            standing = judge_night(
                pipeline, interval, attempt=line.attempt if line else None, now=view.now,
                predictions=BatchKind.PREDICTION in kinds, rows=BatchKind.INPUT in kinds,
                waived=self.waived[pipeline.name].get(interval.start, ""), held=held_since(kinds.get(BatchKind.PREDICTION)),
            )  # fmt: skip
            nights.append(
                describe_night(pipeline, interval, line=line, published=published, standing=standing, batches=self.batches)
            )
        return nights


def read_nights(
    view: View, spans: Mapping[str, tuple[Interval, Interval]], *, known: Mapping[str, NightLine] | None = None
) -> Taken:  # fmt: skip
    """Reads spans of nights, from the first to the last of each pipeline. Of a pipeline whose one night's newest run is `known`,
    only what readers see is asked."""
    known = known or {}
    starts = {name: (first.start, last.start) for name, (first, last) in spans.items()}
    unknown = {name: span for name, span in starts.items() if name not in known}
    lines = check_life(view.connection, nights_between(view.connection, unknown), alive=view.alive)
    lines |= {name: [line] for name, line in known.items()}
    published = published_between(view.connection, starts)
    seen = {(name, one.interval.start) for name, some in published.items() for one in some if one.kind == BatchKind.INPUT}
    brought = [
        line.input_batch for name, some in lines.items() for line in some
        if line.input_batch and (name, line.interval.start) not in seen
    ]  # fmt: skip
    return Taken(lines, published, batches_of(view.connection, brought), waived_between(view.connection, unknown))


def describe_nights(view: View, pipeline: Pipeline, *, first: Interval, last: Interval) -> list[Night]:
    """Every interval of one pipeline from `first` to `last`, with or without a run, oldest first."""
    return read_nights(view, {pipeline.name: (first, last)}).describe(view, pipeline, first=first, last=last)


def pipeline(view: View) -> Answered:
    """One pipeline: its nights, its realised quality, its champions."""
    one = view.one
    name = one.pipeline.name
    first, last, hidden = _strip(one, view.now)
    nights = describe_nights(view, one.pipeline, first=first, last=last) if first and last else []
    drift = read_drift(view.connection, one.pipeline, first=first.start, last=last.start) if first and last else []
    champions = [move_of(one.pipeline, line) for line in moves(view.connection, name)]
    figures: list[Figure] = []
    if one.published:
        since = steps_back(one.pipeline, one.published.interval, steps=180).start
        figures = figures_of(one.pipeline, quality(view.connection, {name: (since, one.published.interval.start)})[name])
    body = PipelineAnswer(
        summary=summarise(view, [one])[0],
        nights=mark_nights(nights, figures=figures, drift=drift, moves=champions, metric=metric_shown(one.pipeline, figures)),
        nights_not_shown=hidden, metric=metric_shown(one.pipeline, figures), quality=figures, drift=drift, champions=champions,
        versions=[version_of(one.pipeline, line) for line in versions(view.connection, name)],
        trust=trust_of(one.trust),
    )  # fmt: skip
    page = {"unusual": UNUSUAL, "drifted": most_drifted(drift), "drift_nights": list(dict.fromkeys(one.night for one in drift))}
    return Answered(body, [(one.trust, one.pipeline)], page=page)


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
