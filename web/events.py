"""Server-sent events: what changes in the ledger, as it is heard. Each says what to read again; nothing is read from it."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Request
from fastapi.responses import Response, StreamingResponse

from domain.errors import OvernightError
from store.reads.pulse import Beat, Pulse
from web.access import Guest, guest_of
from web.errors import problem

MOST_STREAMS = 200
PING_SECONDS = 15.0
LastEvent = Annotated[str, Header(max_length=40, description="the newest event that was heard; what came after it is told first")]
router = APIRouter(tags=["operate"])


@router.get("/events", summary="Server-sent events: runs, stages and publications as they happen")
async def events(request: Request, last_event_id: LastEvent = "") -> Response:
    """Event names are those of the ledger's tables, and `published` for a pointer that moved. `Last-Event-ID` continues."""
    pulse: Pulse | None = request.app.state.pulse
    if pulse is None:
        return problem(request, 503, "This web does not listen to the database.")
    if pulse.streams >= MOST_STREAMS:
        return problem(request, 429, f"{MOST_STREAMS} streams are open already.", headers={"Retry-After": "30"})
    after = int(last_event_id) if last_event_id.isdecimal() and last_event_id.isascii() else pulse.version
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_stream(request, pulse, min(after, pulse.version)), media_type="text/event-stream", headers=headers)


async def _stream(request: Request, pulse: Pulse, after: int) -> AsyncIterator[str]:
    guest, ring, runs = guest_of(request.scope), pulse.subscribe(), set[int]()
    for beat in pulse.since(0):
        _may_hear(guest, beat, runs)
    try:
        yield "retry: 2000\n\n"
        while True:
            for beat in pulse.since(after):
                after = beat.number
                if beat.event in ("token", "listening") and not await _is_still_let_in(request):
                    return
                if _may_hear(guest, beat, runs):
                    yield _words(beat)
            try:
                await asyncio.wait_for(ring.wait(), PING_SECONDS)
            except TimeoutError:
                if not await _is_still_let_in(request):
                    return
                yield ": still here\n\n"
            ring.clear()
    finally:
        pulse.unsubscribe(ring)


async def _is_still_let_in(request: Request) -> bool:
    keys = request.app.state.keys
    try:
        return keys is None or await asyncio.to_thread(keys.still, guest_of(request.scope))
    except OvernightError:
        return False


def _may_hear(guest: Guest, beat: Beat, runs: set[int]) -> bool:
    """Whether it is of a pipeline that the guest sees. A stage names its run alone, so the runs of those are remembered."""
    if beat.event == "token":
        return False
    if guest.pipelines is None or beat.event == "listening":
        return True
    if beat.event == "run" and guest.sees(beat.data.get("pipeline")):
        runs.add(beat.data["id"])
    return guest.sees(beat.data.get("pipeline")) or beat.data.get("run") in runs


def _words(beat: Beat) -> str:
    return f"id: {beat.number}\nevent: {beat.event}\ndata: {json.dumps(beat.data)}\n\n"
