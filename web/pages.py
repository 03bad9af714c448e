"""The pages: the same answers as the API's, drawn for people."""

from typing import Annotated
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from web import entities, judged, morning, night
from web.api import Key, Name, NightName, Number, edge_of, rows_of
from web.edge import Answered, View
from web.model import model
from web.questions import OWN_WORDS, RowsAsked
from web.search import Hit, search

router = APIRouter(include_in_schema=False)


@router.get("/")
def morning_page(request: Request) -> Response:
    return edge_of(request).answer(request, morning.morning, template="morning.html")


@router.get("/search")
def search_page(
    request: Request,
    q: Annotated[str, Query(max_length=500)] = "",
    within: Annotated[str, Query(alias="in", max_length=60)] = "",
) -> Response:
    """Leads to what is called so; to a page of hits when there is none or more than one."""
    hits: list[Hit] = []

    def assemble(view: View) -> Answered:
        found = search(view, q, within=within)
        hits.extend(found.page["hits"])
        return found

    page = edge_of(request).answer(request, assemble, template="search.html", keep=False)
    if len(hits) == 1:
        return RedirectResponse("/p/" + "/".join(quote(part, safe="") for part in hits[0].parts), 303)
    return page


@router.get("/p/{pipeline}")
def pipeline_page(request: Request, pipeline: Name, key: Annotated[str, Query(max_length=500)] = "") -> Response:
    if key:
        return RedirectResponse(f"/p/{quote(pipeline, safe='')}/key/{quote(key, safe='')}", 303)
    return edge_of(request).answer(request, morning.pipeline, pipeline=pipeline, template="pipeline.html")


@router.get("/p/{pipeline}/rows")
def rows_page(request: Request, pipeline: Name, asked: Annotated[RowsAsked, Query()]) -> Response:
    plain = _plain_address(request)
    if plain is not None:
        return RedirectResponse(plain, 303)
    return edge_of(request).answer(
        request, lambda view: rows_of(request, view, asked), pipeline=pipeline, lone=asked.lone, template="rows.html"
    )  # fmt: skip


def _plain_address(request: Request) -> str | None:
    """The permalink of a filter that the page's form has asked for, None when the address is one already."""
    query = request.query_params
    if not any(name in query for name in ("where", "is", "value", "show")) and "" not in query.values():
        return None
    kept = [
        (name, value) for name, value in query.multi_items() if name not in ("where", "is", "value", "show", "after") and value
    ]
    if query.getlist("show"):
        kept = [(name, value) for name, value in kept if name != "columns"] + [("columns", ",".join(query.getlist("show")))]
    if query.get("where") and (query.get("value") or query.get("is") == "null"):
        operator = query.get("is") or "eq"
        name = query["where"] if operator == "eq" and query["where"] not in OWN_WORDS else f"{query['where']}__{operator}"
        kept.append((name, query.get("value") or "true"))
    path = quote(request.scope["path"])
    return f"{path}?{urlencode(kept)}" if kept else path


@router.get("/p/{pipeline}/key/{key:path}")
def key_page(request: Request, pipeline: Name, key: Key) -> Response:
    return edge_of(request).answer(request, lambda view: entities.key(view, key), pipeline=pipeline, template="key.html")


@router.get("/p/{pipeline}/models/{version}")
def model_page(request: Request, pipeline: Name, version: Number) -> Response:
    return edge_of(request).answer(request, lambda view: model(view, version), pipeline=pipeline, template="model.html")


@router.get("/p/{pipeline}/{interval}/verdict")
def verdict_page(request: Request, pipeline: Name, interval: NightName) -> Response:
    return edge_of(request).answer(
        request, lambda view: judged.verdict(view, interval), pipeline=pipeline, template="verdict.html"
    )


@router.get("/p/{pipeline}/{interval}")
def night_page(request: Request, pipeline: Name, interval: NightName) -> Response:
    return edge_of(request).answer(request, lambda view: night.night(view, interval), pipeline=pipeline, template="night.html")
