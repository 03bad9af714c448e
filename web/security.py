"""What stands around every answer: security headers, HEAD, and a host that is really this one."""

import re
from collections.abc import Collection

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.errors import answer_unknown, problem
from web.scope import header_of

POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; script-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), interest-cohort=()",
}
_RAW = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]


class SecurityHeaders:
    """Adds the headers to every answer, errors included, answers HEAD as GET without the body, and is the last to catch."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        bodiless = scope["method"] == "HEAD"
        started = False

        async def guarded(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                named = {name for name, _ in message.get("headers", ())}
                message = {**message, "headers": [*message.get("headers", ()), *(one for one in _RAW if one[0] not in named)]}
            elif bodiless:
                message = {**message, "body": b""}
            await send(message)

        try:
            await self.app({**scope, "method": "GET", "overnight.method": "HEAD"} if bodiless else scope, receive, guarded)
        except Exception as error:
            if started:  # half an answer is cut off, which the reader's side can see; nothing is added to it
                raise
            await answer_unknown(Request(scope), error)(scope, receive, guarded)


PROBES = frozenset({"/healthz", "/readyz"})  # asked by address, by whatever starts and stops this; they tell nothing


class NamedHosts:
    """Answers under its own names alone, so that no page of another host can make a browser read an open web. `*`: under any."""

    def __init__(self, app: ASGIApp, names: Collection[str]) -> None:
        self.app, self.names = app, frozenset(name.lower() for name in names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or "*" in self.names or scope["path"] in PROBES:
            await self.app(scope, receive, send)
            return
        said = header_of(scope, b"host").decode("latin-1").lower()
        name = said.partition("]")[0] + "]" if said.startswith("[") else said.partition(":")[0]
        if name in self.names:
            await self.app(scope, receive, send)
            return
        plain = re.sub(r"[^a-z0-9.:\[\]-]", "?", name)[:80]
        hint = f"OVERNIGHT_WEB_HOSTS={plain} overnight web" if plain and "?" not in plain else "OVERNIGHT_WEB_HOSTS"
        what = f"This web does not go by the name {plain}." if plain else "The question names no host."
        await problem(Request(scope), 400, what, hint=hint)(scope, receive, send)
