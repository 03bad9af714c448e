"""The login page: a token becomes a session. These are the only addresses that take anything in."""

import re
from datetime import timedelta
from urllib.parse import parse_qs, quote, urlsplit

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from starlette.concurrency import run_in_threadpool

from domain.errors import OvernightError
from web.access import Keys, cookie_name, digest_of
from web.api import edge_of
from web.errors import answer_known
from web.schemas import Problem

LONGEST_FORM = 4096
AT_MOST = timedelta(days=30)
FILES = (".csv", ".ndjson", ".parquet", ".atom")  # what asks for these may know no other way than basic authentication
UNKNOWN = "Reading needs a token; whoever runs this web makes one with overnight token new."
router = APIRouter(include_in_schema=False)


def refuse(request: Request, error: OvernightError | None = None) -> Response:
    """What stands at a closed door: the form for people, a problem for programs, and a 503 when nobody can be recognised."""
    if error is not None:
        return answer_known(request, error)
    path = request.scope["path"]
    if not path.startswith("/api/") and "text/html" in request.headers.get("accept", ""):
        query = request.scope["query_string"].decode("latin-1")
        return show_form(request, status=401, then=quote(path) + (f"?{query}" if query else ""))
    body = Problem(title="A token is needed", status=401, detail=UNKNOWN).model_dump_json()
    ways = 'Bearer realm="overnight"' + (', Basic realm="overnight"' if path.endswith(FILES) else "")
    return Response(body, 401, {"Cache-Control": "no-store", "WWW-Authenticate": ways}, "application/problem+json")


def show_form(request: Request, *, status: int = 200, then: str = "/", said: str = "") -> Response:
    page = edge_of(request).pages.get_template("login.html").render(then=local(then), said=said, path="/login", trusts=())
    headers = {"Cache-Control": "no-store"} | ({"WWW-Authenticate": 'Bearer realm="overnight"'} if status == 401 else {})
    return Response(page, status, headers, "text/html")


def local(address: str) -> str:
    """An address on this web, whatever was asked for: never another host's."""
    return address if re.fullmatch(r"/(?![/\\])[!-~]*", address) else "/"


@router.get("/login")
def login_page(request: Request) -> Response:
    return show_form(request) if keys_of(request) else RedirectResponse("/", 303)


@router.post("/login")
async def log_in(request: Request) -> Response:
    keys = keys_of(request)
    if keys is None:
        return RedirectResponse("/", 303)
    if not from_here(request):
        return show_form(request, status=403, said="That form was not this page's. Here is this page's.")
    form = await _read_form(request)
    then, secret = local(form.get("then", "/")), form.get("token", "").strip()
    guest = await run_in_threadpool(keys.find, digest_of(secret))
    if guest is None:
        return show_form(request, status=401, then=then, said="This token lets nobody in: mistyped, expired or revoked.")
    answer = RedirectResponse(then, 303, {"Cache-Control": "no-store"})
    now = edge_of(request).now()
    until = min(guest.until or now + AT_MOST, now + AT_MOST)
    _set_cookie(answer, request, keys.sessions.write(guest.secret_hash, until), seconds=int((until - now).total_seconds()))
    return answer


@router.post("/logout")
async def log_out(request: Request) -> Response:
    answer = RedirectResponse("/login", 303, {"Cache-Control": "no-store"})
    if from_here(request):
        _set_cookie(answer, request, "", seconds=0)
    return answer


def keys_of(request: Request) -> Keys | None:
    keys: Keys | None = request.app.state.keys
    return keys


def from_here(request: Request) -> bool:
    """Whether a form that was sent is one of this web's own pages'. Who sends no origin is no browser."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = request.headers.get("origin")
    if origin is None:
        return True
    try:
        sent = urlsplit(origin)
        return bool(sent.netloc) and (sent.netloc == request.headers.get("host") or sent.hostname in request.app.state.hosts)
    except ValueError:
        return False


async def _read_form(request: Request) -> dict[str, str]:
    """The fields of a short form; of anything else none, whatever it claims to be."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LONGEST_FORM:
            return {}
    fields = parse_qs(body.decode("utf-8", "replace"), max_num_fields=10) if body.count(b"&") < 10 else {}
    return {name: values[0] for name, values in fields.items()}


def _set_cookie(answer: Response, request: Request, session: str, *, seconds: int) -> None:
    scheme = request.scope["scheme"]
    answer.set_cookie(
        cookie_name(scheme), session, max_age=seconds, path="/", secure=scheme == "https", httponly=True, samesite="lax"
    )
