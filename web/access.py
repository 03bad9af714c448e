"""Who may read what. Open to this machine; to others it asks for a token, or believes a proxy that it was told of."""

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import Request, cookie_parser
from starlette.types import ASGIApp, Receive, Scope, Send

from domain.errors import OvernightError, UsageError
from domain.secrets import LONGEST, hash_secret
from infra.settings import Settings
from store.reads.connection import Reader
from store.reads.pulse import Pulse
from store.reads.tokens import find_token
from web.limits import FREE, Limiter, asker_of, check_size
from web.scope import header_of
from web.sessions import Sessions

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
OPEN = frozenset({"/healthz", "/readyz", "/login"})
KNOWN_AT_ONCE = 2000
_GUEST = "overnight.guest"


@dataclass(frozen=True, slots=True)
class Guest:
    """Who asks, and which pipelines they may see; `pipelines` is None for all of them."""

    name: str = ""
    pipelines: frozenset[str] | None = None
    until: datetime | None = None
    secret_hash: bytes = b""

    def sees(self, pipeline: str | None) -> bool:
        return self.pipelines is None or pipeline in self.pipelines

    @property
    def scope(self) -> str:
        """Guests of one scope may be given each other's answers; no pipeline's name holds a comma or a star."""
        return "*" if self.pipelines is None else ",".join(sorted(self.pipelines))


EVERYBODY = Guest("everybody")
NOBODY = Guest("nobody", frozenset())


def guest_of(scope: Scope) -> Guest:
    """Fails when nobody was at the door: then nothing may be answered."""
    guest: Guest = scope[_GUEST]
    return guest


def known_as(scope: Scope) -> str:
    """The name of the token, or of the person, that a question was asked with; of who was not recognised, `nobody`."""
    guest: Guest = scope.get(_GUEST, NOBODY)
    return guest.name


@dataclass(frozen=True, slots=True)
class Believed:
    """The proxies whose word counts, and the header in which they name whom they have let in."""

    proxies: Sequence[Network] = ()
    header: str = ""

    def is_proxy(self, scope: Scope) -> bool:
        """By the address at the other end of the connection, never by what a header says of it."""
        return bool(self.proxies) and self._holds(str((scope.get("client") or ("",))[0]))

    def _holds(self, text: str) -> bool:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return False
        return any(address in network for network in self.proxies)

    def address(self, scope: Scope) -> str:
        """Where a question comes from: the other end of the connection, or whom the nearest proxies say that they speak for."""
        peer = str((scope.get("client") or ("unknown",))[0])
        if not self.proxies or not self._holds(peer):
            return peer
        told = [part.strip() for line in Headers(scope=scope).getlist("x-forwarded-for") for part in line.split(",")]
        return next((one for one in reversed(told) if one and not self._holds(one)), peer)

    def guest(self, headers: Headers) -> Guest | None:
        """Named twice is named by nobody: one of the two may have come from outside."""
        named = headers.getlist(self.header) if self.header else []
        return Guest(named[0].strip()) if len(named) == 1 and named[0].strip() else None


def read_believed(settings: Settings) -> Believed:
    """Raises UsageError for addresses that are none, and for a header without a proxy that may send it."""
    header = (settings.web_trust_header or "").lower()
    texts = [part.strip() for part in (settings.web_proxies or "").split(",") if part.strip()]
    try:
        proxies = [ipaddress.ip_network(text) for text in texts]
    except ValueError as error:
        raise UsageError(f"OVERNIGHT_WEB_PROXIES: {error}", where="web", hint="docs/how-to/share.md") from None
    if header and not re.fullmatch(r"[a-z0-9-]+", header):
        raise UsageError(f"OVERNIGHT_WEB_TRUST_HEADER: {header!r} is no header's name", where="web", hint="docs/how-to/share.md")
    if header and not proxies:
        raise UsageError(
            "OVERNIGHT_WEB_TRUST_HEADER without OVERNIGHT_WEB_PROXIES would believe everybody", where="web",
            hint="docs/how-to/share.md",
        )  # fmt: skip
    return Believed(proxies, header)


class Keys:
    """Whom each secret lets in. What is known is used while nothing is heard, so that a revoked token is none at once."""

    def __init__(self, reader: Reader, pulse: Pulse | None, now: Callable[[], datetime], sessions: Sessions) -> None:
        self._reader, self._pulse, self._now, self.sessions = reader, pulse, now, sessions
        self._known: dict[bytes, tuple[int, date, Guest]] = {}

    def read(self, headers: Mapping[str, str], *, scheme: str) -> bytes | None:
        """The hash of what was shown at the door: as bearer, as a password, or as a session's cookie. Empty for what lets
        nobody in, None when nothing was shown; a cookie of no session, or of one that has ended, is nothing."""
        shown = headers.get("authorization")
        if shown is not None:
            return digest_of(read_secret(shown))
        cookie = cookie_parser(headers.get("cookie", "")).get(cookie_name(scheme))
        return self.sessions.read(cookie, self._now()) if cookie else None

    def known(self, digest: bytes) -> Guest | None:
        """Whom the secret of that hash lets in, without asking the database."""
        version, now = self._version(), self._now()
        held = self._known.get(digest)
        if held is None or version is None or held[:2] != (version, now.date()):
            return None
        return _unexpired(held[2], now)

    def still(self, guest: Guest) -> bool:
        """Whether a guest who came in earlier would be let in now."""
        return not guest.secret_hash or self.find(guest.secret_hash) is not None

    def _version(self) -> int | None:
        return self._pulse.version if self._pulse and self._pulse.connected else None

    def find(self, digest: bytes) -> Guest | None:
        """The same by asking the database; None for a hash that lets nobody in."""
        if not digest:
            return None
        version, now = self._version(), self._now()
        line = self._reader.ask(lambda connection: find_token(connection, digest))
        if line is None:
            self._known.pop(digest, None)
            return None
        pipelines = None if line["pipelines"] is None else frozenset(line["pipelines"])
        guest = _unexpired(Guest(line["name"], pipelines, line["expires_at"], digest), now)
        if guest is not None and version is not None:
            if len(self._known) >= KNOWN_AT_ONCE:
                self._known.clear()
            self._known[digest] = (version, now.date(), guest)
        return guest


def _unexpired(guest: Guest, now: datetime) -> Guest | None:
    return guest if guest.until is None or now < guest.until else None


Refuse = Callable[[Request, OvernightError | None], object]


class Door:
    """Lets in or refuses before anything else is looked at: routes, kept answers, tags. Without keys everybody is let in,
    and without a limiter as often as they like."""

    def __init__(
        self, app: ASGIApp, keys: Keys | None, believed: Believed, limiter: Limiter | None, refuse: "Callable[..., ASGIApp]"
    ) -> None:
        self.app, self.keys, self.believed, self.limiter, self.refuse = app, keys, believed, limiter, refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        proxied = self.believed.is_proxy(scope)
        if proxied and (scheme := header_of(scope, b"x-forwarded-proto")) in (b"http", b"https"):
            scope["scheme"] = scheme.decode()
        scope[_GUEST] = NOBODY  # in place, because who counts answers looks into it afterwards
        error: OvernightError | None = None
        guest: Guest | None = None
        try:
            check_size(scope)
            guest = await self._recognise(scope, proxied=proxied)
            scope[_GUEST] = guest or NOBODY
            self._count(scope, guest)
        except OvernightError as failed:
            error = failed
        if guest is None or error is not None:
            await self.refuse(Request(scope), error)(scope, receive, send)
            return
        await self.app(scope, receive, send)

    async def _recognise(self, scope: Scope, *, proxied: bool) -> Guest | None:
        if self.keys is None:
            return EVERYBODY
        if scope["path"] in OPEN or re.fullmatch(r"/static/[a-z.]+", scope["path"]):
            return NOBODY
        headers = Headers(scope=scope)
        digest = self.keys.read(headers, scheme=scope.get("scheme", "http"))
        if digest is None:
            return self.believed.guest(headers) if proxied else None
        known = self.keys.known(digest)
        if known is None:
            if self.limiter is not None:  # whoever tries out secrets is counted; after too many the database is not asked
                self.limiter.check(asker_of(self.believed.address(scope)), "one address")
            known = await run_in_threadpool(self.keys.find, digest)
        return known

    def _count(self, scope: Scope, guest: Guest | None) -> None:
        """By token or by the name that a proxy has given, wherever they ask from; everybody else by address."""
        if self.limiter is None or scope["path"] in FREE or scope["path"].startswith("/static/"):
            return
        if guest is None or guest is EVERYBODY or guest is NOBODY:
            self.limiter.count(asker_of(self.believed.address(scope)), "one address")
        else:
            self.limiter.count(guest.secret_hash or ("named", guest.name), "one token" if guest.secret_hash else "one person")


def cookie_name(scheme: str) -> str:
    """Over https the browser itself keeps a cookie of that prefix from being set by any other host."""
    return "__Host-overnight" if scheme == "https" else "overnight"


def read_secret(shown: str) -> str:
    """What an Authorization header holds: as bearer, or as the password of basic authentication."""
    kind, _, rest = shown.strip().partition(" ")
    if kind.lower() == "bearer":
        return rest.strip()
    return _password(rest) if kind.lower() == "basic" else ""


def digest_of(secret: str) -> bytes:
    """Its hash; empty for what can be no secret."""
    return hash_secret(secret) if 0 < len(secret) <= LONGEST else b""


def _password(encoded: str) -> str:
    try:
        return base64.b64decode(encoded.strip(), validate=True).decode().partition(":")[2]
    except (binascii.Error, ValueError):
        return ""
