"""The same address in another form: by what an Accept header asks for first, or by `.json` behind it."""

import re

from starlette.types import ASGIApp, Receive, Scope, Send

from web.scope import header_of

FORMS = {
    b"application/json": "json", b"text/csv": "csv", b"application/x-ndjson": "ndjson",
    b"application/vnd.apache.parquet": "parquet",
}  # fmt: skip
_ROWS = re.compile(r"(?:/api/v1)?/p/[^/]+/(?!(?:scoreboard|champion)$)[^/.]+")  # rows, or a night: what is a file too
_JSON = re.compile(r"(?:/api/v1)?/p/[^/]+/[^/]+\.json")
_FILE = re.compile(r"/p/[^/]+/(?:[^/]+|models/[^/]+)\.[a-z]+")


class Negotiated:
    """Leads a question to the address of the form that is asked for, before routes, kept answers and tags. What names no form
    of its own, as browsers do not, gets a page under `/p` and JSON under `/api`."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path: str = scope["path"]
            if path.endswith(".json") and _JSON.fullmatch(path):
                scope["path"] = as_json(path.removesuffix(".json"))
            elif path == "/" or path.startswith(("/p/", "/api/v1/p/")):
                asked = header_of(scope, b"accept")
                form = FORMS.get(asked.partition(b",")[0].partition(b";")[0].strip().lower()) if asked else None
                if form is not None:
                    scope["path"] = as_json(path) if form == "json" else as_file(path, form)
        await self.app(scope, receive, send)


def as_json(path: str) -> str:
    """The API's address of a page; that of a file is itself."""
    return path if path.startswith("/api/") or _FILE.fullmatch(path) else f"/api/v1{path}"


def as_file(path: str, form: str) -> str:
    """The download of the same rows, where there is one."""
    return f"{path}.{form}" if _ROWS.fullmatch(path) else path
