"""Prometheus metrics in their text form: what was asked of this process, and how each pipeline stands."""

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from itertools import accumulate
from time import monotonic

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from domain.errors import OvernightError
from domain.standing import NightState
from store.reads.connection import Connection
from store.reads.pipelines import Alive, living_runs
from store.reads.trust import PipelineStanding, stand
from web.access import Guest, guest_of
from web.accesslog import Told, name_request
from web.api import edge_of
from web.edge import find_pipelines

router = APIRouter(tags=["operate"])
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Requests:
    """Counts of this process's answers; one lock, because they are counted in the event loop and read in a thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: Counter[tuple[str, int]] = Counter()
        self._within: Counter[tuple[str, int]] = Counter()  # by the first bound that an answer kept, counted once
        self._seconds: Counter[str] = Counter()

    def count(self, route: str, status: int, seconds: float) -> None:
        with self._lock:
            self._answers[route, status] += 1
            self._seconds[route] += seconds  # type: ignore[assignment]  # a Counter adds whatever numbers it is given
            self._within[route, bisect_left(BOUNDS, seconds)] += 1

    def lines(self) -> list[str]:
        with self._lock:
            answers, within, seconds = dict(self._answers), dict(self._within), dict(self._seconds)
        totals: Counter[str] = Counter()
        lines = ["# HELP overnight_web_answers_total Answers by route and status.", "# TYPE overnight_web_answers_total counter"]
        for (route, status), number in sorted(answers.items()):
            totals[route] += number
            lines.append(f'overnight_web_answers_total{{route="{_quoted(route)}",status="{status}"}} {number}')
        lines += ["# HELP overnight_web_seconds Time to the end of an answer.", "# TYPE overnight_web_seconds histogram"]
        for route, number in sorted(totals.items()):
            label = f'route="{_quoted(route)}"'
            up_to = accumulate(within.get((route, place), 0) for place in range(len(BOUNDS)))
            lines += [f'overnight_web_seconds_bucket{{{label},le="{b}"}} {n}' for b, n in zip(BOUNDS, up_to, strict=True)]
            lines.append(f'overnight_web_seconds_bucket{{{label},le="+Inf"}} {number}')
            lines += [
                f"overnight_web_seconds_sum{{{label}}} {seconds[route]:.6f}",
                f"overnight_web_seconds_count{{{label}}} {number}",
            ]
        return lines


class CountRequests:
    """Counts every answer under its route's template, so that the names stay few whatever is asked; tells `told` of each, and
    gives each a name that the answer carries too."""

    def __init__(self, app: ASGIApp, requests: Requests, told: Told | None) -> None:
        self.app, self.requests, self.told = app, requests, told

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status, size = monotonic(), 500, 0
        name = scope["overnight.request"] = name_request(scope)

        async def counted(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message.get("headers", ()), (b"x-request-id", name)]}
            else:
                size += len(message.get("body", b""))
            await send(message)

        try:
            await self.app(scope, receive, counted)
        finally:
            took = monotonic() - began
            self.requests.count(getattr(scope.get("route"), "path", "none"), status, took)
            if self.told:
                self.told(scope, status=status, seconds=took, size=size)


@router.get("/metrics", summary="Prometheus metrics: this process's answers, and how each pipeline stands")
def metrics(request: Request) -> Response:
    edge = edge_of(request)
    lines = request.app.state.requests.lines()
    try:
        alive, now = edge.reader.ask(living_runs), edge.now()
        lines += edge.reader.ask_at_once(lambda connection: _pipelines(connection, guest_of(request.scope), now=now, alive=alive))
        up = 1
    except OvernightError:
        up = 0
    lines += ["# HELP overnight_database_up Whether the database answered.", "# TYPE overnight_database_up gauge"]
    lines.append(f"overnight_database_up {up}")
    return Response("\n".join([*lines, ""]), media_type="text/plain; version=0.0.4", headers={"Cache-Control": "no-store"})


def _late_seconds(one: PipelineStanding, now: datetime) -> int:
    return _since(one.freshness.late_since, now)


def _age_seconds(one: PipelineStanding, now: datetime) -> int:
    return _since(one.published.published_at if one.published else None, now)


GAUGES: dict[str, tuple[str, Callable[[PipelineStanding, datetime], int]]] = {
    "overnight_late": ("1 when a night that was due is not published.", lambda one, _: int(one.trust.late_since is not None)),
    "overnight_late_seconds": ("How long ago the first missed deadline passed.", _late_seconds),
    "overnight_published_age_seconds": ("How long ago the newest predictions were published.", _age_seconds),
    "overnight_published_rows": ("Rows of the newest predictions.", lambda one, _: one.published.rows if one.published else 0),
    "overnight_published_interval_start": (
        "The start of the newest published night, in seconds since 1970.",
        lambda one, _: int(one.published.interval.start.timestamp()) if one.published else 0,
    ),
}


def _pipelines(connection: Connection, guest: Guest, *, now: datetime, alive: Alive) -> list[str]:
    standings = stand(connection, find_pipelines(connection, None, guest=guest), now=now, alive=alive)
    lines: list[str] = []
    for name, (about, figure) in GAUGES.items():
        lines += [f"# HELP {name} {about}", f"# TYPE {name} gauge"]
        lines += [f'{name}{{pipeline="{one.pipeline.name}"}} {figure(one, now)}' for one in standings]
    return lines + _states(standings)


def _states(standings: list[PipelineStanding]) -> list[str]:
    lines = ["# HELP overnight_night_state The state of the night to look at: 1 for the one it is in.",
             "# TYPE overnight_night_state gauge"]  # fmt: skip
    for one in standings:
        lines += [
            f'overnight_night_state{{pipeline="{one.pipeline.name}",state="{state}"}} '
            f"{int(one.standing is not None and one.standing.state == state)}"
            for state in NightState
        ]
    return lines


def _since(moment: datetime | None, now: datetime) -> int:
    return 0 if moment is None else max(0, int((now - moment).total_seconds()))


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
