"""Server-sent events: what changes in the ledger, as it is heard. Each says what to read again; nothing is read from it."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Request
from fastapi.responses import Response, StreamingResponse

from store.reads.pulse import Beat, Pulse
from web.errors import problem

MOST_STREAMS = 200
PING_SECONDS = 15.0
router = APIRouter(tags=["operate"])


@router.get("/events", summary="Server-sent events: runs, stages and publications as they happen")
async def events(request: Request, last_event_id: Annotated[str, Header(max_length=40)] = "") -> Response:
    """Event names are those of the ledger's tables, and `published` for a pointer that moved. `Last-Event-ID` continues."""
    pulse: Pulse | None = request.app.state.pulse
    if pulse is None:
        return problem(request, 503, "This web does not listen to the database.")
    if pulse.streams >= MOST_STREAMS:
        return problem(request, 429, f"{MOST_STREAMS} streams are open already.", headers={"Retry-After": "30"})
    after = int(last_event_id) if last_event_id.isdecimal() and last_event_id.isascii() else pulse.version
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_stream(pulse, min(after, pulse.version)), media_type="text/event-stream", headers=headers)


async def _stream(pulse: Pulse, after: int) -> AsyncIterator[str]:
    ring = pulse.subscribe()
    try:
        yield "retry: 2000\n\n"
        while True:
            for beat in pulse.since(after):
                after = beat.number
                yield _words(beat)
            try:
                await asyncio.wait_for(ring.wait(), PING_SECONDS)
            except TimeoutError:
                yield ": still here\n\n"
            ring.clear()
    finally:
        pulse.unsubscribe(ring)


def _words(beat: Beat) -> str:
    return f"id: {beat.number}\nevent: {beat.event}\ndata: {json.dumps(beat.data)}\n\n"
