"""One prediction by its key, answered from the event loop: one statement, and no thread or framework around it.

A short cut and no second truth: what it says is what the route of the same address says about no rows, with the rows put in by
the same serializer, and whatever is out of the ordinary (nothing known yet, a running night, another batch by now, a word
that cannot be, a database that does not answer) is left to that route.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from urllib.parse import parse_qsl

from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError
from starlette.types import Scope

from domain.errors import UsageError
from store.reads.connection import Row
from store.reads.express import Express
from store.reads.rows import POINTER, Page, Question, compose, names_one, page_of
from web import api
from web.access import guest_of
from web.edge import Edge, Known, kept_as
from web.entities import describe_rows
from web.keeping import Kept, address_of
from web.questions import OWN_WORDS, RowsAsked, read_question
from web.schemas import RowsAnswer
from web.tags import holds

_ROUTE = next(route for route in api.router.routes if isinstance(route, APIRoute) and route.endpoint is api.get_rows)
_ROWS = TypeAdapter(list[Row], config=RowsAnswer.model_config)  # as that model writes them
_NO_ROWS = b'"rows":[]'  # inside any text its quotes would be escaped, and before it there is no other list
MOST_BLANKS = 64


class LookUps:
    """What KeptAnswers asks for that it does not hold."""

    def __init__(self, edge: Edge, express: Express) -> None:
        self.edge, self.express = edge, express

    async def __call__(self, scope: Scope, now: datetime) -> Kept | None:
        found = _ROUTE.path_regex.match(scope["path"])
        known = self.edge.recall(found["pipeline"], guest_of(scope), now=now) if found else None
        if known is None:
            return None
        try:
            kept = await self._look_up(scope, known)
        except (UsageError, ValidationError):
            return None
        if kept is not None:
            scope["route"] = _ROUTE  # by which answers are counted
        return kept

    async def _look_up(self, scope: Scope, known: Known) -> Kept | None:
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)  # as Starlette reads it
        asked, pipeline, seen = read_asked(query), known.one.pipeline, known.one.published
        question = read_question(pipeline, asked, query)
        if not (asked.lone and not asked.facets and names_one(pipeline, question) and seen and seen.input_batch is not None):
            return None
        statement, parameters = compose(pipeline, question, batch=seen.batch, input_batch=seen.input_batch, pointed=True)
        blank = known.blanks.get(question.columns) or self._answer_nothing(known, question)
        if holds(scope, blank.tag):
            return blank
        rows = await self.express.ask(statement, parameters)
        if not rows or rows[0][POINTER] != seen.publication:
            return None
        kept = put_rows(blank, page_of(pipeline, question, rows))
        self.edge.shelf.put(address_of(scope), kept)
        return kept

    def _answer_nothing(self, known: Known, question: Question) -> Kept:
        answered = describe_rows(known.one.pipeline, question, Page([], None), seen=known.one.published, trust=known.one.trust)
        tag = self.edge.tag(known, None)
        if len(known.blanks) >= MOST_BLANKS:
            known.blanks.clear()
        response = self.edge.respond(answered, tag, template=None, path="")
        return known.blanks.setdefault(question.columns, kept_as(response, known, tag))


def put_rows(blank: Kept, page: Page) -> Kept:
    """The answer about these rows; there is no page after them."""
    rows = b'"rows":' + _ROWS.dump_json(list(page.rows))
    return Kept(blank.version, blank.until, blank.tag, blank.headers, blank.body.replace(_NO_ROWS, rows, 1))


def read_asked(query: Sequence[tuple[str, str]]) -> RowsAsked:
    """As the route reads an address; raises UsageError for a word that is there twice, and ValidationError."""
    if len(dict(query)) < len(query):
        raise UsageError("a word stands twice in the address")
    return _read_own(tuple(pair for pair in query if pair[0] in OWN_WORDS))


@lru_cache(maxsize=64)
def _read_own(words: tuple[tuple[str, str], ...]) -> RowsAsked:
    return RowsAsked.model_validate(dict(words))
