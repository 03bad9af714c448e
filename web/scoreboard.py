"""The scoreboard: champion, challengers and dummy, night by night, realised or estimated; and who was champion on a night."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import Field

from store.reads.models import champion_on, scoreboard
from web.answers import Answer
from web.api import Name, edge_of
from web.edge import Answered, View
from web.morning import label_of, trust_of
from web.schemas import Trust

LINES = 400
router = APIRouter(tags=["read"])
Metric = Annotated[str, Query(max_length=40, description="a metric; none: the pipeline's own")]
NightAsked = Annotated[str, Query(max_length=60, description="a night's name; none: the newest that is published")]


class Score(Answer):
    """One model on one night. `value` is null until answers come; an estimate is never a realised figure."""

    night: str
    role: str = Field(description="champion (what readers see) or challenger (in the shadow)")
    model_version: int
    batch: int
    metric: str
    value: float | None = Field(description="realised")
    dummy: float | None = Field(description="the same for the dummy's answer")
    rows: int | None = Field(description="rows whose answer is known")
    restated: int | None = Field(description="how often answers that changed gave the figure anew")
    first_value: float | None = Field(description="the figure before that")
    estimate: float | None = Field(description="what was expected before the answers came")
    estimate_low: float | None
    estimate_high: float | None
    at: datetime


class ScoreboardAnswer(Answer):
    pipeline: str
    metric: str
    scores: list[Score] = Field(description="newest night first, the champion before challengers")
    trust: Trust


class ChampionAnswer(Answer):
    pipeline: str
    night: str | None
    version: int | None = Field(description="null when no version may score that night")
    trust: Trust


def read_scoreboard(view: View, *, metric: str) -> Answered:
    pipeline = view.pipeline
    chosen = metric or pipeline.model.metric
    lines = scoreboard(view.connection, pipeline.name, metric=chosen, limit=LINES)
    scores = [Score.model_validate({**line, "night": label_of(pipeline, line["interval_start"])}) for line in lines]
    body = ScoreboardAnswer(pipeline=pipeline.name, metric=chosen, scores=scores, trust=trust_of(view.one.trust))
    return Answered(body, [(view.one.trust, pipeline)])


def read_champion(view: View, *, night: str) -> Answered:
    pipeline, published = view.pipeline, view.one.published
    interval = view.named(night) if night else (published.interval if published else None)
    version = champion_on(view.connection, pipeline.name, night=interval.start) if interval else None
    label = pipeline.calendar.label(interval) if interval else None
    body = ChampionAnswer(pipeline=pipeline.name, night=label, version=version, trust=trust_of(view.one.trust))
    return Answered(body, [(view.one.trust, pipeline)])


@router.get("/api/v1/p/{pipeline}/scoreboard", response_model=ScoreboardAnswer, summary="Champion, challengers, dummy by night")
def get_scoreboard(request: Request, pipeline: Name, metric: Metric = "") -> Response:
    return edge_of(request).answer(request, lambda view: read_scoreboard(view, metric=metric), pipeline=pipeline)


@router.get("/api/v1/p/{pipeline}/champion", response_model=ChampionAnswer, summary="Who was champion on a night")
def get_champion(request: Request, pipeline: Name, night: NightAsked = "") -> Response:
    return edge_of(request).answer(request, lambda view: read_champion(view, night=night), pipeline=pipeline)


@router.get("/p/{pipeline}/scoreboard", include_in_schema=False)
def scoreboard_page(request: Request, pipeline: Name, metric: Metric = "") -> Response:
    return edge_of(request).answer(
        request, lambda view: read_scoreboard(view, metric=metric), pipeline=pipeline, template="scoreboard.html"
    )
