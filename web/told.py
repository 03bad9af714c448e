"""What a language model is told: the pages' answers, shorter, the trust line before the numbers. Assembled by what assembles
the pages, so that the two cannot disagree."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from pydantic import Field

from domain.errors import UsageError
from domain.pipeline import Pipeline
from domain.standing import NightState, Standing
from domain.trust import TrustLine
from store.reads.pipelines import published_on
from store.reads.rows import Filter, Question
from store.reads.trust import trust_night
from web import morning
from web.answers import Answer
from web.edge import NotFound, View
from web.entities import key as read_entity
from web.entities import read_key, rows, split_key
from web.model import Card
from web.model import model as read_model
from web.morning import trust_of
from web.night import night as read_night
from web.night import shown_columns
from web.questions import RowsAsked, read_filter
from web.schemas import (
    Estimate,
    Figure,
    KeyAnswer,
    ModelAnswer,
    Morning,
    Night,
    NightAnswer,
    PipelineAnswer,
    RejectedBy,
    RowsAnswer,
    Trust,
)
from web.words import trust_words

MOST_ROWS = 50
MOST_NIGHTS = 30
IMPORTANT = 8


class Told(Answer):
    """An answer; its first field is what has to be passed on with any number of it."""

    trust_line: str = Field(description="Pass this on, word for word, with every number of this answer.")
    why: str = Field(
        description="One sentence: why it stands so, and what readers see meanwhile. Pass it on unless all is fresh."
    )
    trust: Trust = Field(description="The same for programs.")


class PipelineTold(Told):
    pipeline: str
    question: str = Field(description="What the predictions answer, in the owner's words.")
    owner: str
    key: list[str] = Field(description="The columns that name a row.")
    state: str = Field(description="How the newest night stands.")
    newest_night: Night | None
    quality: Figure | None = Field(description="The newest realised figure, beside the dummy's.")
    estimate: Estimate | None = Field(description="What the newest night should be worth; an estimate, never a realised figure.")


class PipelinesTold(Answer):
    headline: str
    pipelines: list[PipelineTold]


class PredictionTold(Told):
    pipeline: str
    question: str
    night: str | None
    as_of: datetime | None
    values: dict[str, Any] | None = Field(
        description="The row: its key, what was predicted, and what the model was shown. Null when the night has no predictions."
    )


class PredictionsTold(Told):
    pipeline: str
    question: str
    night: str | None
    as_of: datetime | None
    total: int = Field(description="Rows of the whole night, whatever was asked for.")
    rows: list[dict[str, Any]]
    more: bool = Field(description="Whether further rows match.")


class SaidTold(Answer):
    """What one night said, with that night's own trust line."""

    trust_line: str
    night: str
    values: dict[str, Any]
    changed_model: bool = Field(description="Whether another model said this than the night before.")


class HistoryTold(Told):
    pipeline: str
    question: str
    key: dict[str, Any]
    nights: list[SaidTold] = Field(description="Newest first.")
    held_nights: list[str] = Field(description="Nights in this span that were held: readers see nothing of them.")


class NightTold(Told):
    pipeline: str
    night: Night
    verdict: str | None = Field(description="What validation said of the night's rows, in a sentence.")
    failed_rules: list[str]
    rejected_by: list[RejectedBy] = Field(description="How many rows each rule has set aside.")
    broken_limits: list[str] = Field(description="Limits against the night before that it did not keep.")
    quality: list[Figure] = Field(description="What its predictions turned out to be worth.")


class FigureTold(Answer):
    """One night's realised figure, with that night's own trust line."""

    trust_line: str
    figure: Figure


class QualityTold(Told):
    pipeline: str
    question: str
    metric: str = Field(description="The pipeline's own metric: what decides which model is champion.")
    figures: list[FigureTold] = Field(description="Realised, newest first, each beside the dummy that always says the same.")
    estimate: Estimate | None = Field(description="What the newest night should be worth; an estimate, never a realised figure.")


class ModelTold(Told):
    pipeline: str
    question: str
    version: int
    champion: bool
    learned: list[dict[str, Any]] = Field(description="Nights and rows that it learned from and was judged on.")
    metric: str
    how: str = Field(description="How it was judged before any night was scored.")
    note: str
    measured: list[dict[str, Any]] = Field(description="Held-out figures beside the dummy's; the deciding metric first.")
    decision: str = Field(description="Why it became champion, or did not.")
    importance: list[dict[str, Any]] = Field(description="What the figure loses when a column is shuffled; the largest first.")
    nights_scored: int
    rows_scored: int


def told(line: TrustLine, pipeline: Pipeline) -> dict[str, Any]:
    return {"trust_line": _words(line, pipeline), "why": line.reason, "trust": trust_of(line)}


def _words(line: TrustLine, pipeline: Pipeline) -> str:
    return "; ".join(trust_words(line, pipeline))


def tell_pipelines(view: View) -> PipelinesTold:
    """Every pipeline of the view, those that need somebody first."""
    answered = morning.morning(view)
    assert isinstance(answered.body, Morning)
    lines = {pipeline.name: (line, pipeline) for line, pipeline in answered.trust}
    pipelines = []
    for one in answered.body.pipelines:
        line, pipeline = lines[one.pipeline]
        pipelines.append(PipelineTold(
            **told(line, pipeline), pipeline=one.pipeline, question=one.title, owner=one.owner, key=list(pipeline.key),
            state=one.state, newest_night=one.night, quality=one.quality, estimate=one.estimate,
        ))  # fmt: skip
    return PipelinesTold(headline=answered.body.headline, pipelines=pipelines)


def tell_prediction(view: View, key: str, *, night: str = "latest", as_of: str = "") -> PredictionTold:
    """One row of one night, as readers see it or saw it; raises NotFound when the night is there and the key is not."""
    pipeline = view.pipeline
    read_key(pipeline, key)
    parts = split_key(key) if len(pipeline.key) > 1 else [key]
    filters = tuple(Filter(name, "eq", part) for name, part in zip(pipeline.key, parts, strict=True))
    body, line = _rows(view, Question(shown_columns(pipeline), filters, limit=1), night=night, as_of=as_of)
    if body.night is not None and not body.rows:
        named = f"{' and '.join(pipeline.key)} {', '.join(parts)[:80]}"
        raise NotFound(f"{pipeline.name} {body.night} has no row of {named}; other nights may have one")
    return PredictionTold(
        **told(line, pipeline), pipeline=pipeline.name, question=pipeline.title, night=body.night, as_of=body.as_of,
        values=body.rows[0] if body.rows else None,
    )  # fmt: skip


def tell_predictions(
    view: View, where: Mapping[str, Any], *, night: str = "latest", sort: str = "", columns: Sequence[str] = (), limit: int = 10,
    as_of: str = "",
) -> PredictionsTold:  # fmt: skip
    """Rows of one night that match, in order."""
    pipeline = view.pipeline
    question = Question(
        tuple(dict.fromkeys(columns)) or shown_columns(pipeline),
        tuple(read_filter(name, str(value)) for name, value in where.items()),
        sort=sort.removeprefix("-") or None, descending=sort.startswith("-"), limit=limit,
    )  # fmt: skip
    body, line = _rows(view, question, night=night, as_of=as_of)
    return PredictionsTold(
        **told(line, pipeline), pipeline=pipeline.name, question=pipeline.title, night=body.night, as_of=body.as_of,
        total=body.total, rows=body.rows, more=body.next is not None,
    )  # fmt: skip


def _rows(view: View, question: Question, *, night: str, as_of: str) -> tuple[RowsAnswer, TrustLine]:
    moment = RowsAsked(as_of=as_of).moment(view.pipeline)
    answered = rows(view, question, night=night, as_of=moment, path="", query=())
    assert isinstance(answered.body, RowsAnswer)
    return answered.body, answered.trust[0][0]


def tell_history(view: View, key: str, *, limit: int = MOST_NIGHTS) -> HistoryTold:
    """What each published night said of one key, with that night's own trust line."""
    answered = read_entity(view, key)
    assert isinstance(answered.body, KeyAnswer)
    body, pipeline = answered.body, view.pipeline
    lines = _lines(view, [one.interval.start for one in body.nights[:limit]])
    nights = [
        SaidTold(trust_line=lines[one.interval.start], night=one.night, values=one.values, changed_model=one.changed_model)
        for one in body.nights[:limit]
    ]
    return HistoryTold(
        **told(view.one.trust, pipeline), pipeline=pipeline.name, question=pipeline.title, key=body.key, nights=nights,
        held_nights=body.held_nights,
    )  # fmt: skip


def _lines(view: View, starts: Sequence[datetime]) -> dict[datetime, str]:
    """The trust line of each published night, by its start."""
    pipeline, published = view.pipeline, Standing(NightState.PUBLISHED, "Published.")
    seen = published_on(view.connection, pipeline.name, starts)
    return {
        start: _words(trust_night(pipeline, one.interval, seen=one, standing=published, now=view.now), pipeline)
        for start, one in seen.items()
    }


def tell_night(view: View, name: str) -> NightTold:
    """How one night stands, and why."""
    answered = read_night(view, name)
    assert isinstance(answered.body, NightAnswer)
    body = answered.body
    rules = body.verdict.rules if body.verdict else []
    return NightTold(
        **told(answered.trust[0][0], view.pipeline), pipeline=view.pipeline.name, night=body.night,
        verdict=f"{body.verdict.outcome}: {body.verdict.reason}" if body.verdict else None,
        failed_rules=[f"{one.title or one.rule}: {one.found}" for one in rules if one.state in ("failed", "error")],
        rejected_by=body.rejected_by,
        broken_limits=[f"{one.name}: {one.found}, limit {one.limit}" for one in body.diff.limits if not one.passed]
        if body.diff else [],
        quality=body.quality,
    )  # fmt: skip


def tell_quality(view: View, *, limit: int = 14) -> QualityTold:
    """What predictions turned out to be worth, night by night."""
    answered = morning.pipeline(view)
    assert isinstance(answered.body, PipelineAnswer)
    body, pipeline = answered.body, view.pipeline
    figures = [one for one in reversed(body.quality) if one.metric == body.metric][:limit]
    lines = _lines(view, [one.start for one in figures])
    return QualityTold(
        **told(view.one.trust, pipeline), pipeline=pipeline.name, question=pipeline.title, metric=body.metric,
        figures=[FigureTold(trust_line=lines[one.start], figure=one) for one in figures], estimate=body.summary.estimate,
    )  # fmt: skip


def tell_model(view: View, version: int | None = None) -> ModelTold:
    """One version's card; of none in particular, of the version whose predictions readers see."""
    seen = view.one.published.model_version if view.one.published else None
    number = version if version is not None else seen
    if number is None:
        raise UsageError(f"no model of {view.pipeline.name} has published anything yet; name a version")
    answered = read_model(view, number)
    body, card = answered.body, answered.page["card"]
    assert isinstance(body, ModelAnswer)
    assert isinstance(card, Card)
    return ModelTold(
        **told(view.one.trust, view.pipeline), pipeline=view.pipeline.name, question=view.pipeline.title,
        version=body.version, champion=body.champion, learned=[dict(one) for one in card.spans], metric=card.metric, how=card.how,
        note=card.note, measured=[asdict(one) for one in card.held], decision=card.why,
        importance=[dict(one) for one in card.importance[:IMPORTANT]], nights_scored=body.nights_scored,
        rows_scored=body.rows_scored,
    )  # fmt: skip
