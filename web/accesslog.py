"""One line for each request, and nothing in it that opens anything: no token, no session, no password of an address."""

import json
import logging
import re
import sys
import uuid
from dataclasses import dataclass
from itertools import count
from typing import Any, Protocol
from urllib.parse import quote, unquote_plus

from starlette.types import Scope

from domain.secrets import PREFIX
from web.access import Believed, known_as
from web.limits import FREE

log = logging.getLogger("overnight.access")
LONGEST = 2000
HIDDEN = "***"
_TELLING = re.compile(r"token|secret|passw|pwd|auth|session|cookie|credential|signature|api.?key", re.IGNORECASE)
_SECRET = re.compile(re.escape(PREFIX) + r"[A-Za-z0-9_-]*", re.IGNORECASE)
_REQUEST = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_WORDS = "%(from)s %(method)s %(path)s %(status)d %(ms).1f ms %(bytes)d bytes, request %(request)s, %(who)r"
_process, _numbers = uuid.uuid4().hex[:8], count(1)


def name_request(scope: Scope) -> bytes:
    """The name by which whoever asked, a proxy and this log know one request: theirs when it is a plain one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST.fullmatch(value):
            return bytes(value)
    return b"%s-%x" % (_process.encode(), next(_numbers))


class Told(Protocol):
    def __call__(self, scope: Scope, *, status: int, seconds: float, size: int) -> None:
        """Is told of an answer when its last byte has been sent."""


@dataclass(frozen=True, slots=True)
class AccessLog:
    """Writes the lines. Probes that are answered as they should be are left out."""

    believed: Believed

    def __call__(self, scope: Scope, *, status: int, seconds: float, size: int) -> None:
        if status < 400 and scope["path"] in FREE:
            return
        head = scope.get("overnight.method") == "HEAD"
        log.info(_WORDS, {
            "from": self.believed.address(scope), "method": "HEAD" if head else scope["method"], "path": shown_address(scope),
            "status": status, "ms": round(seconds * 1000, 1), "bytes": 0 if head else size,
            "request": scope["overnight.request"].decode(), "who": known_as(scope),
        })  # fmt: skip


def shown_address(scope: Scope) -> str:
    """The path and the query without what looks like a secret, in characters that no line of a log is broken by."""
    path = quote(hide(scope["path"])[:LONGEST], safe="/:@,=*")
    query = scope["query_string"].decode("latin-1")[: 4 * LONGEST]
    return f"{path}?{'&'.join(map(_shown_word, query.split('&')))}"[:LONGEST] if query else path


def _shown_word(word: str) -> str:
    name, equals, value = word.partition("=")
    name, value = unquote_plus(name), unquote_plus(value)
    kept = HIDDEN if equals and _TELLING.search(name) else hide(value)
    return quote(hide(name), safe="*") + (f"={quote(kept, safe='/:@,*')}" if equals else "")


def hide(text: str) -> str:
    """A text without the tokens in it."""
    return _SECRET.sub(PREFIX + HIDDEN, text) if PREFIX[0] in text.lower() else text


class JsonLines(logging.Formatter):
    """A line of JSON with the same words."""

    def format(self, record: logging.LogRecord) -> str:
        said: dict[str, Any] = dict(record.args) if isinstance(record.args, dict) else {"message": record.getMessage()}
        return json.dumps({"at": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"), **said})


def open_log(form: str) -> None:
    """Writes the lines to standard output, as text or as JSON; none at all when that is asked for."""
    if form == "none":
        return
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines() if form == "json" else logging.Formatter("%(asctime)s %(message)s"))
    log.handlers, log.propagate = [handler], False
    log.setLevel(logging.INFO)


class WithoutSecrets(logging.Filter):
    """Takes tokens out of whatever else is logged: addresses, sentences, the last line of a traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = hide(record.getMessage()), ()
        if record.exc_info and not record.exc_text:
            record.exc_text = hide(_PLAIN.formatException(record.exc_info))
        return True


_PLAIN = logging.Formatter()
WITHOUT_SECRETS = WithoutSecrets()
