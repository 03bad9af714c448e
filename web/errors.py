"""Every way a question can go wrong, as one sentence: a page for people, problem+json for programs. Never a traceback."""

import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from domain.errors import DatabaseUnavailable, OvernightError, Pruned, UsageError
from store.reads.connection import TooSlow
from web.edge import NotFound, Unchanged
from web.limits import TooLong, TooOften
from web.schemas import Problem

log = logging.getLogger("overnight.web")
_TITLES = {
    401: "A token is needed",
    404: "There is nothing here",
    410: "The rows are gone",
    400: "The question is not understood",
    422: "The question is not understood",
    413: "The question is too long",
    414: "The question is too long",
    429: "Too much at once",
    503: "The numbers cannot be read now",
    500: "Something broke here",
}


def install_errors(app: FastAPI) -> None:
    app.add_exception_handler(Unchanged, answer_unchanged)
    app.add_exception_handler(OvernightError, answer_known)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


def status_of(error: OvernightError) -> int:
    match error:
        case NotFound():
            return 404
        case Pruned():
            return 410
        case TooLong():
            return error.status
        case TooOften():
            return 429
        case DatabaseUnavailable() | TooSlow():
            return 503
        case UsageError():
            return 400
    return 500


def wants_json(request: Request) -> bool:
    """Programs ask under /api, or say so; everybody else gets a page."""
    path = request.scope["path"]
    return path.startswith(("/api/", "/healthz", "/readyz", "/metrics", "/events", "/openapi")) or "json" in request.headers.get(
        "accept", ""
    )


def problem(request: Request, status: int, detail: str, *, hint: str = "", headers: dict[str, str] | None = None) -> Response:
    """The error as whoever asked can read it."""
    title = _TITLES.get(status) or HTTPStatus(status).phrase
    kept = {"Cache-Control": "no-store", **(headers or {})}
    if wants_json(request):
        said = f"{detail} Try: {hint}" if hint else detail
        body = Problem(title=title, status=status, detail=said).model_dump_json()
        return Response(body, status, kept, "application/problem+json")
    page = request.app.state.edge.pages.get_template("error.html")
    text = page.render(status=status, title=title, detail=detail, hint=hint, path=request.scope["path"], trusts=())
    return Response(text, status, kept, "text/html")


def answer_unchanged(_: Request, error: Exception) -> Response:
    assert isinstance(error, Unchanged)
    return Response(status_code=304, headers={"ETag": error.tag, "Cache-Control": "private, no-cache"})


def answer_known(request: Request, error: Exception) -> Response:
    """An error that has its sentence already."""
    assert isinstance(error, OvernightError)
    status = status_of(error)
    if status >= 500:
        log.warning("%s: %s", request.scope["path"], error, exc_info=error.__cause__)
    what = error.what[:1].upper() + error.what[1:]
    detail = what if what.endswith((".", "?")) else f"{what}."
    return problem(request, status, detail, hint=error.hint, headers=_headers_of(error, status))


def _headers_of(error: OvernightError, status: int) -> dict[str, str]:
    match error:
        case TooOften():
            return {"Retry-After": str(error.seconds)}
        case TooLong():
            return {"Connection": "close"}  # and what follows is not read
    return {"Retry-After": "5"} if status == 503 else {}


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first: dict[str, Any] = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"][1:]) or "the question"
    return problem(request, 422, f"{place}: {str(first['msg']).removeprefix('Value error, ').lower()}."[:300])


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    detail = "No page has this address." if error.status_code == 404 else f"{error.detail}."
    return problem(request, error.status_code, detail, headers=dict(error.headers or {}))


def answer_unknown(request: Request, error: Exception) -> Response:
    """The last resort: a sentence for the reader, the traceback for the log."""
    name = request.scope.get("overnight.request", b"").decode()
    log.error("%s ended in an error that nobody expected (request %s)", request.scope["path"], name, exc_info=error)
    said = f"This is a fault of the web layer; its log has the details, under {name}. No number is affected."
    return problem(request, 500, said if name else said.replace(", under ", ""))
