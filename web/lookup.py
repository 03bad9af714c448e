"""One prediction by its key, answered from the event loop: one statement, and no thread or framework around it.

A short cut and no second truth: what it says is read, described and tagged by the functions that the route of the same address
uses, and whatever is out of the ordinary (nothing known yet, a running night, another batch by now, a word that cannot be,
a database that does not answer) is left to that route.
"""

from collections.abc import Sequence
from urllib.parse import parse_qsl

from fastapi.responses import Response
from fastapi.routing import APIRoute
from pydantic import ValidationError
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from domain.errors import UsageError
from store.reads.express import Express
from store.reads.rows import POINTER, compose, names_one, page_of
from web import api
from web.access import guest_of
from web.edge import Edge, Known, Unchanged
from web.entities import describe_rows
from web.errors import answer_unchanged
from web.questions import RowsAsked, read_question

_ROUTE = next(route for route in api.router.routes if isinstance(route, APIRoute) and route.endpoint is api.get_rows)


class LookUps:
    """Stands inside everything that may refuse, beside the answers that are kept."""

    def __init__(self, app: ASGIApp, edge: Edge, express: Express) -> None:
        self.app, self.edge, self.express = app, edge, express

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = _ROUTE.path_regex.match(scope["path"]) if scope["type"] == "http" and scope["method"] == "GET" else None
        response = await self._answer(Request(scope), found["pipeline"]) if found else None
        if response is None:
            await self.app(scope, receive, send)
            return
        scope["route"] = _ROUTE  # by which answers are counted
        await response(scope, receive, send)

    async def _answer(self, request: Request, pipeline: str) -> Response | None:
        known = self.edge.recall(pipeline, guest_of(request), now=self.edge.now())
        if known is None:
            return None
        try:
            return await self._look_up(request, known)
        except Unchanged as unchanged:
            return answer_unchanged(request, unchanged)
        except (UsageError, ValidationError):
            return None

    async def _look_up(self, request: Request, known: Known) -> Response | None:
        query = parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)  # as Starlette reads it
        asked, pipeline, seen = read_asked(query), known.one.pipeline, known.one.published
        question = read_question(pipeline, asked, query)
        if not (asked.lone and not asked.facets and names_one(pipeline, question) and seen and seen.input_batch is not None):
            return None
        tag = self.edge.check_tag(request, known, None)
        statement, parameters = compose(pipeline, question, batch=seen.batch, input_batch=seen.input_batch, pointed=True)
        rows = await self.express.ask(statement, parameters)
        if not rows or rows[0][POINTER] != seen.publication:
            return None
        answered = describe_rows(pipeline, question, page_of(pipeline, question, rows), seen=seen, trust=known.one.trust)
        response = self.edge.respond(answered, tag, template=None, path=request.scope["path"])
        self.edge.keep(request, response, known, tag)
        return response


def read_asked(query: Sequence[tuple[str, str]]) -> RowsAsked:
    """As the route reads an address; raises UsageError for a word that is there twice, and ValidationError."""
    words = dict(query)
    if len(words) < len(query):
        raise UsageError("a word stands twice in the address")
    return RowsAsked.model_validate(words)
