"""The application: routes, templates and the readers' pool, put together once."""

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from infra.postgres import database_url
from infra.settings import Settings, load_settings
from store.reads.connection import Reader
from store.reads.express import Express
from store.reads.pulse import Pulse
from web import (
    api,
    charts,
    curves,
    documentation,
    events,
    exports,
    feed,
    health,
    login,
    metrics,
    pages,
    pictures,
    portrait,
    scoreboard,
    words,
)
from web.access import Door, Keys, read_believed
from web.accesslog import WITHOUT_SECRETS, AccessLog, open_log
from web.edge import Clock, Edge
from web.entities import key_address
from web.errors import install_errors, log
from web.files import KeptFiles
from web.keeping import KeptAnswers
from web.limits import USUAL_RATE, Limiter
from web.lookup import LookUps
from web.negotiation import Negotiated
from web.security import NamedHosts, SecurityHeaders
from web.sessions import open_sessions

HERE = Path(__file__).parent
LOOPBACK = ("localhost", "127.0.0.1", "[::1]", "testserver")
DESCRIPTION = """Published predictions, each with its trust line. Everything here only reads.

Every answer carries `trust`; the header `Overnight-Trust` says the same in one line, and `ETag` names the publication.
"""


def create_app(settings: Settings, *, now: Clock | None = None, live: bool = True, closed: bool = False) -> FastAPI:
    """The web layer on the database that the settings name. `now` is the clock, asked once per request; without `live`
    it neither listens to the database nor keeps any answer; `closed` asks everybody for a token, as the settings may too."""
    believed = read_believed(settings)
    closed = closed or settings.web_tokens or bool(believed.header)
    reader = open_reader(settings)
    pulse, express = (Pulse(reader), Express(reader, seconds=settings.web_seconds)) if live else (None, None)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        reader.open()
        if pulse and express:
            pulse.start()
            express.open()
        try:
            yield
        finally:
            if pulse and express:
                await express.close()
                pulse.stop()
            reader.close()

    app = FastAPI(
        title="Overnight", version=version("overnight"), description=DESCRIPTION, lifespan=lifespan, docs_url=None,
        redoc_url=None, openapi_url=None, telemetry={"tracing": False, "metrics": False, "logs": False},  # ours is /metrics
    )  # fmt: skip
    edge = app.state.edge = Edge(reader, now or _utc_now, templates(), build_name(), pulse)
    app.state.pulse, app.state.express = pulse, express
    app.state.keys = Keys(reader, pulse, edge.now, open_sessions(settings)) if closed else None
    app.state.hosts, app.state.export_seconds = named_hosts(settings), settings.web_export_seconds
    app.state.files = KeptFiles(settings.home / "downloads", most_bytes=settings.web_keep_files << 20)
    edge.pages.globals["closed"] = closed
    for part in (login, health, metrics, events, documentation, feed, exports, portrait, scoreboard, api, pages):
        app.include_router(part.router)
    app.add_api_route("/static/{name}", _static, include_in_schema=False)
    install_errors(app)
    app.state.requests = metrics.Requests()
    if pulse and express:
        app.add_middleware(KeptAnswers, shelf=edge.shelf, pulse=pulse, now=edge.now, look_up=LookUps(edge, express))
    app.add_middleware(Negotiated)
    app.add_middleware(Door, keys=app.state.keys, believed=believed, limiter=open_limiter(settings, closed), refuse=login.refuse)
    anywhere = closed and not app.state.hosts  # a page of another host cannot show a token, so no name needs to be known
    app.add_middleware(NamedHosts, names=["*"] if anywhere else [*LOOPBACK, *app.state.hosts])
    app.state.log = settings.web_log or ("text" if closed else "none")  # on an open loopback nobody asks but who runs it
    told = AccessLog(believed) if app.state.log != "none" else None
    app.add_middleware(metrics.CountRequests, requests=app.state.requests, told=told)
    app.add_middleware(SecurityHeaders)
    log.addFilter(WITHOUT_SECRETS)
    return app


def serve_app() -> FastAPI:
    """The application by the settings of its process, as each worker makes it."""
    app = create_app(load_settings())
    open_log(app.state.log)
    return app


def open_limiter(settings: Settings, closed: bool) -> Limiter | None:
    """On an open loopback everybody is the one who runs it."""
    rate = settings.web_rate if settings.web_rate is not None else USUAL_RATE if closed else 0
    return Limiter(rate) if rate else None


def named_hosts(settings: Settings) -> list[str]:
    return [part.strip().lower() for part in (settings.web_hosts or "").split(",") if part.strip()]


def _utc_now() -> datetime:
    return datetime.now(UTC)


def open_reader(settings: Settings) -> Reader:
    """A pool that logs in as the reader, or acts as it when the URL's user is the one who may do everything."""
    acts = settings.database_url is not None and settings.reader_url is None
    role = "overnight_reader" if acts else None
    return Reader(database_url(settings, role="reader"), role=role, seconds=settings.web_seconds)


def templates() -> Environment:
    pages_ = Environment(
        loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    filters: dict[str, Callable[..., object]] = {
        "count": words.count, "figure": words.figure, "share": words.share, "seconds": words.seconds, "clock": words.clock,
        "cell": words.cell, "mark": words.mark, "slug": words.slug, "night": words.night_words, "flat": words.flat,
        "key_of": key_address, "plain": words.plain, "part": words.part, "thing": words.thing, "prose": words.prose,
    }  # fmt: skip
    pages_.filters.update(filters)
    pages_.globals.update(
        trust_words=words.trust_words, is_number=words.is_number, quality_chart=charts.quality_chart, bar=charts.bar,
        distribution=pictures.distribution, rule_history=pictures.history, drift_chart=pictures.drift, two_bars=pictures.two_bars,
        rows_chart=charts.rows_chart, curves=curves,
        build=build_name(), release=version("overnight"), stylesheet=f"/static/overnight.css?{build_name()}",
        script=f"/static/overnight.js?{build_name()}",
    )  # fmt: skip
    return pages_


@lru_cache(maxsize=1)
def build_name() -> str:
    """A name for this code and these templates, so that a change of either changes every tag."""
    digest = hashlib.sha256()
    for path in sorted(HERE.rglob("*")):
        if path.suffix in (".py", ".html", ".css", ".js"):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:8]


_STATIC = {"overnight.css": "text/css", "overnight.svg": "image/svg+xml", "overnight.js": "text/javascript"}


def _static(name: str, request: Request) -> Response:
    """The files that pages load; the address of a build never changes what it holds."""
    if name not in _STATIC:
        return Response(status_code=404)
    tag = f'"{build_name()}"'
    kept = {"ETag": tag, "Cache-Control": "public, max-age=31536000, immutable" if request.url.query else "public, max-age=300"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=kept)
    return Response((HERE / "static" / name).read_bytes(), media_type=_STATIC[name], headers=kept)
