"""The API: every page's address under /api/v1, as JSON."""

from dataclasses import replace
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from store.reads.facets import MOST_ROWS
from web import entities, judged, morning, night
from web.edge import Answered, Edge, View
from web.model import model
from web.questions import RowsAsked, facet_words, form_words, permalink, read_question
from web.schemas import KeyAnswer, ModelAnswer, Morning, NightAnswer, PipelineAnswer, RowsAnswer, VerdictAnswer

Name = Annotated[str, Path(max_length=60, description="a pipeline's name")]
NightName = Annotated[str, Path(max_length=60, description="a night's name, such as 2013-02-04, or 'latest'")]
Number = Annotated[int, Path(ge=1, le=2**31 - 1, description="a model's version")]
Key = Annotated[str, Path(max_length=500, description="the key; commas between the values when it has several columns")]
router = APIRouter(prefix="/api/v1", tags=["read"])


def edge_of(request: Request) -> Edge:
    edge: Edge = request.app.state.edge
    return edge


@router.get("/", response_model=Morning, summary="How all pipelines stand this morning")
def get_morning(request: Request) -> Response:
    return edge_of(request).answer(request, morning.morning)


@router.get("/p/{pipeline}", response_model=PipelineAnswer, summary="One pipeline: nights, realised quality, champions")
def get_pipeline(request: Request, pipeline: Name) -> Response:
    return edge_of(request).answer(request, morning.pipeline, pipeline=pipeline)


@router.get("/p/{pipeline}/rows", response_model=RowsAnswer, summary="Published rows of one night, filtered, sorted, in pages")
def get_rows(request: Request, pipeline: Name, asked: Annotated[RowsAsked, Query()]) -> Response:
    """Filter with `column=value` or `column__op=value`, where op is eq, ne, lt, le, gt, ge or null."""
    return edge_of(request).answer(request, lambda view: rows_of(request, view, asked), pipeline=pipeline, lone=asked.lone)


def rows_of(request: Request, view: View, asked: RowsAsked) -> Answered:
    """What both the page and the API answer about rows."""
    query = request.query_params.multi_items()
    question = read_question(view.pipeline, asked, query)
    path = quote(request.scope["path"])
    page = not path.startswith("/api/")
    found = entities.rows(
        view, question, night=asked.night, as_of=asked.moment(view.pipeline), path=path, query=query,
        facets=page or asked.facets == "yes",
    )  # fmt: skip
    if not page:
        return found
    words = form_words(view.pipeline, asked, question, path=path, query=query)
    assert isinstance(found.body, RowsAnswer)
    words["todo"] = "" if found.body.rows else view.one.todo
    words["permalink"] = permalink(found.body, path=path, query=query)
    words["facets"] = facet_words(found.body.facets, path=path, query=query)
    return replace(found, page={**words, "countable": MOST_ROWS})


@router.get("/p/{pipeline}/key/{key:path}", response_model=KeyAnswer, summary="One key through all nights")
def get_key(request: Request, pipeline: Name, key: Key) -> Response:
    return edge_of(request).answer(request, lambda view: entities.key(view, key), pipeline=pipeline)


@router.get("/p/{pipeline}/models/{version}", response_model=ModelAnswer, summary="One model version's card")
def get_model(request: Request, pipeline: Name, version: Number) -> Response:
    return edge_of(request).answer(request, lambda view: model(view, version), pipeline=pipeline)


@router.get(
    "/p/{pipeline}/{interval}/verdict", response_model=VerdictAnswer, summary="What each rule said of one night, and before"
)
def get_verdict(request: Request, pipeline: Name, interval: NightName) -> Response:
    return edge_of(request).answer(request, lambda view: judged.verdict(view, interval), pipeline=pipeline)


@router.get("/p/{pipeline}/{interval}", response_model=NightAnswer, summary="One night: stages, verdict, rejects, lineage")
def get_night(request: Request, pipeline: Name, interval: NightName) -> Response:
    return edge_of(request).answer(request, lambda view: night.night(view, interval), pipeline=pipeline)
