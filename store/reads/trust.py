"""The trust line of a pipeline and of one night, from the ledger, the calendar and the clock. Needs no scheduler."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from domain.interval import Interval
from domain.pipeline import Pipeline
from domain.standing import Attempt, NightState, Standing, bare, explain_trust, judge_learning, judge_standing
from domain.trust import Freshness, TrustLine, deadline_of, judge_freshness
from domain.words import BatchKind, Outcome, RunState
from store.reads.connection import Connection
from store.reads.pipelines import (
    Alive,
    NightLine,
    Published,
    find_gaps,
    lock_keys,
    newest_published,
    newest_tried,
    nights_between,
    published_between,
    waived_between,
)


@dataclass(frozen=True, slots=True)
class PipelineStanding:
    """How a pipeline stands at one moment.

    `focus` is the night to look at: the newest that was tried or published, or else the first that was missed; `line` is its
    newest run and `standing` how it stands. `todo` is what helps with the night that made the pipeline late, or with `focus`.
    """

    pipeline: Pipeline
    published: Published | None
    learned: Published | None
    freshness: Freshness
    focus: Interval | None
    line: NightLine | None
    standing: Standing | None
    todo: str
    trust: TrustLine
    running: bool

    @property
    def key(self) -> int:
        """The publication that readers of the newest predictions see."""
        return self.published.publication if self.published else 0


@dataclass(frozen=True, slots=True)
class NightStanding:
    """How one night stands at one moment: its newest run, what readers see of it by kind, and its trust line."""

    line: NightLine | None
    published: Sequence[Published]
    standing: Standing
    trust: TrustLine

    def seen(self, kind: BatchKind) -> Published | None:
        return next((one for one in self.published if one.kind == kind), None)


@dataclass(frozen=True, slots=True)
class _Read:
    """What the ledger says of one pipeline: the newest of each kind, who has `waived` the newest that was tried, and what was
    `asked` of the night that made it late."""

    published: Published | None
    learned: Published | None
    by: Interval | None
    freshness: Freshness
    tried: NightLine | None
    asked: NightLine | None
    waived: str
    gaps: Sequence[Interval]


def stand(connection: Connection, pipelines: Sequence[Pipeline], *, now: datetime, alive: Alive) -> list[PipelineStanding]:
    """How each of the pipelines stands at `now`, all read from one moment of the database, in as many questions for all as for
    one."""
    names = [pipeline.name for pipeline in pipelines]
    predictions = newest_published(connection, names, kind=BatchKind.PREDICTION)
    rows = newest_published(connection, names, kind=BatchKind.INPUT)
    newest = {name: _seen(predictions.get(name), rows.get(name)) for name in names}
    fresh = judge_pipelines(connection, pipelines, newest=newest, now=now)
    missed = {name: one.missed for name, one in fresh.items() if one.missed is not None}
    tried = check_life(connection, {name: [line] for name, line in newest_tried(connection, names).items()}, alive=alive)
    asked = nights_between(connection, {name: (night.start, night.start) for name, night in missed.items()})
    asked = check_life(connection, asked, alive=alive)
    ahead = {name: (line.interval.start,) * 2 for name, (line,) in tried.items() if _is_ahead(line, newest[name])}
    waived = waived_between(connection, ahead)
    gaps = find_gaps(connection, names)
    return [
        _stand(one, now=now, read=_Read(
            predictions.get(name), rows.get(name), newest[name], fresh[name],
            next(iter(tried.get(name, ())), None), next(iter(asked.get(name, ())), None),
            next(iter(waived.get(name, {}).values()), ""), gaps.get(name, []),
        ))
        for one, name in zip(pipelines, names, strict=True)
    ]  # fmt: skip


def _is_ahead(line: NightLine, newest: Interval | None) -> bool:
    return newest is None or line.interval.start > newest.start


def judge_pipelines(
    connection: Connection, pipelines: Sequence[Pipeline], *, newest: Mapping[str, Interval | None], now: datetime,
    by: datetime | None = None,
) -> dict[str, Freshness]:  # fmt: skip
    """Whether readers wait, by pipeline, given the newest night that they see of each; not for a night that is waived, or was
    by the moment `by`."""
    waived: dict[str, dict[datetime, str]] = {}

    def judge(one: Pipeline) -> Freshness:
        return judge_freshness(
            calendar=one.calendar, deadline=one.publish.deadline, newest_published=newest[one.name], now=now,
            waived=waived.get(one.name, ()),
        )  # fmt: skip

    fresh = {one.name: judge(one) for one in pipelines}
    late = {name: (one.missed.start, now) for name, one in fresh.items() if one.missed is not None}
    waived = waived_between(connection, late, by=by)
    return fresh | {one.name: judge(one) for one in pipelines if waived.get(one.name)}


def _seen(published: Published | None, learned: Published | None) -> Interval | None:
    return judge_learning(published.interval if published else None, learned.interval if learned else None)


def check_life(
    connection: Connection, lines: Mapping[str, Sequence[NightLine]], *, alive: Alive
) -> dict[str, list[NightLine]]:  # fmt: skip
    """The same lines, by pipeline, each running attempt marked with whether its process still holds the night."""
    open_ = [
        (name, line.interval.start) for name, some in lines.items() for line in some if line.attempt.state is RunState.RUNNING
    ]
    keys = lock_keys(connection, open_)
    return {name: [_marked(line, keys.get((name, line.interval.start)), alive) for line in some] for name, some in lines.items()}


def _marked(line: NightLine, key: int | None, alive: Alive) -> NightLine:
    if key is None:
        return line
    return replace(line, attempt=replace(line.attempt, alive=alive.holds(line, key)))


def judge_night(
    pipeline: Pipeline, interval: Interval, *, attempt: Attempt | None, predictions: bool, rows: bool, now: datetime,
    waived: str = "", held: str | None = None,
) -> Standing:  # fmt: skip
    """How one night stands, as `domain.standing` says it."""
    calendar = pipeline.calendar
    overdue = deadline_of(interval, calendar=calendar, at=pipeline.publish.deadline) <= now
    return judge_standing(
        pipeline=pipeline.name, label=calendar.label(interval), attempt=attempt, predictions=predictions, rows=rows,
        overdue=overdue, waived=waived, held=held,
    )  # fmt: skip


def held_since(seen: Published | None) -> str | None:
    """Why the predictions that readers see of a night were held after they were published; None when they were not."""
    return seen.verdict_reason or "" if seen is not None and seen.verdict == Outcome.HELD else None


def stand_night(
    connection: Connection, pipeline: Pipeline, interval: Interval, *, now: datetime, alive: Alive
) -> NightStanding:  # fmt: skip
    """How one night stands at `now`."""
    span = {pipeline.name: (interval.start, interval.start)}
    line = next(iter(check_life(connection, nights_between(connection, span), alive=alive)[pipeline.name]), None)
    published = published_between(connection, span)[pipeline.name]
    seen = next((one for one in published if one.kind == BatchKind.PREDICTION), None)
    waived = waived_between(connection, {} if published else span)
    standing = judge_night(
        pipeline, interval, attempt=line.attempt if line else None, predictions=seen is not None, rows=bool(published), now=now,
        waived=waived.get(pipeline.name, {}).get(interval.start, ""), held=held_since(seen),
    )  # fmt: skip
    trust = trust_night(pipeline, interval, seen=seen, standing=standing, now=now)
    return NightStanding(line, published, standing, trust)


def _stand(pipeline: Pipeline, *, now: datetime, read: _Read) -> PipelineStanding:
    calendar, published, tried, by, freshness = pipeline.calendar, read.published, read.tried, read.by, read.freshness
    seen = published.interval if published else None
    rows = read.learned.interval if read.learned else None
    last = tried.interval if tried else None

    def judged(night: Interval, of: NightLine | None) -> Standing:
        shown = published if seen and seen.start == night.start else None
        return judge_night(
            pipeline, night, attempt=of.attempt if of else None, now=now, predictions=shown is not None,
            rows=bool(rows and rows.start == night.start), waived=read.waived if of is tried else "", held=held_since(shown),
        )  # fmt: skip

    night = question = tried.interval if tried and (by is None or tried.interval.start >= by.start) else None
    asked = tried if night else None
    if freshness.missed is not None:
        question, asked = freshness.missed, read.asked
    reason = explain_trust(
        freshness=freshness, calendar=calendar, published=seen,
        learned=rows, question=judged(question, asked) if question else None,
        question_label=calendar.label(question) if question else "", gaps=read.gaps, held=held_since(published),
    )  # fmt: skip
    focus = _newest(last, by) or question or calendar.before(now)
    line = tried if tried and focus and tried.interval.start == focus.start else None
    if freshness.late_since and question and (focus is None or (by and focus.start <= by.start)):
        focus, line = question, asked
    standing = judged(focus, line) if focus else None
    trust = _kept_back(_trust_line(pipeline, published, freshness=freshness, reason=reason), standing)
    todos = [one.todo for one in (question and judged(question, asked), standing) if one and one.todo]
    return PipelineStanding(
        pipeline, published, read.learned, freshness, focus, line, standing, next(iter(todos), ""),
        trust, running=any(one and one.attempt.state is RunState.RUNNING for one in (tried, asked, line)),
    )  # fmt: skip


def _newest(*intervals: Interval | None) -> Interval | None:
    return max((one for one in intervals if one is not None), key=lambda one: one.start, default=None)


def _trust_line(pipeline: Pipeline, seen: Published | None, *, freshness: Freshness, reason: str) -> TrustLine:
    if seen is None:
        return TrustLine(pipeline.name, None, None, None, None, freshness.fresh, freshness.late_since, None, reason)
    return trust_batch(pipeline, seen, freshness=freshness, reason=reason)


def trust_batch(pipeline: Pipeline, seen: Published, *, freshness: Freshness, reason: str) -> TrustLine:
    """The trust line of a batch that readers see, or saw."""
    question = question_of(seen.target, pipeline)
    if question:
        reason = f"{reason} The predictions answer another question than is asked now: {question}.".lstrip()
    return TrustLine(
        pipeline.name, seen.interval, seen.batch, seen.model_version, seen.published_at, freshness.fresh,
        freshness.late_since, seen.verdict, reason, rows=seen.rows, hindsight_rows=seen.hindsight_rows,
        held=bare(held_since(seen) or ""), question=question,
    )  # fmt: skip


def question_of(taught: Mapping[str, Any] | None, pipeline: Pipeline) -> str:
    """What a model was taught to answer, where pipeline.yaml asks for something else today; else empty."""
    asked = pipeline.target
    if taught is None or (taught["column"], taught.get("as")) == (asked.column, asked.as_):
        return ""
    return str(taught.get("as") or taught["column"])


def trust_night(
    pipeline: Pipeline, interval: Interval, *, seen: Published | None, standing: Standing, now: datetime
) -> TrustLine:
    """The trust line of one night: late when its own deadline has passed and readers see nothing of it, though they should."""
    deadline = deadline_of(interval, calendar=pipeline.calendar, at=pipeline.publish.deadline)
    done = seen is not None or standing.state in (NightState.LEARNING, NightState.WAIVED)
    late_since = None if done or deadline > now else deadline
    freshness = Freshness(late_since is None, interval, late_since)
    line = _trust_line(pipeline, seen, freshness=freshness, reason=standing.why)
    return line if seen else replace(_kept_back(line, standing), interval=interval)


def _kept_back(line: TrustLine, standing: Standing | None) -> TrustLine:
    """Of a held night, that it is held and why; any other line as it is."""
    held = standing is not None and standing.state is NightState.HELD and line.batch is None
    return replace(line, verdict=Outcome.HELD, held=standing.why) if standing and held else line
