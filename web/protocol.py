"""uvicorn's own reading of HTTP, with an end to what it takes in before a question is whole: it has none itself."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from web.limits import LONGEST_BODY

MOST_HEAD = 64 << 10
HEAD_SECONDS = 15.0


class BoundedHttp(HttpToolsProtocol):
    """A connection whose address and headers grow past 64 kB, or are not whole after 15 seconds, is told so and closed."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._partial, self._body, self._in_head = 0, 0, False
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        self._partial += len(data)
        super().data_received(data)
        if not self._in_head or self.transport.is_closing():
            return
        if self._partial > MOST_HEAD:
            self._turn_away(431, "The address and headers of a request are at most 64 kB.")
        elif self._deadline is None:
            self._await_head()

    def on_message_begin(self) -> None:
        self._partial, self._body, self._in_head = 0, 0, True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._forget_deadline()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._body += len(body)
        if self._body > LONGEST_BODY:  # who announced as much has been told so; who did not is cut off
            self.transport.close()
        else:
            super().on_body(body)

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_deadline()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        self._deadline = self.loop.call_later(HEAD_SECONDS, self._too_slow)

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        if self._answering():
            self._await_head()
        elif not self.transport.is_closing():
            self._turn_away(408, f"A request's headers did not come within {HEAD_SECONDS:.0f} seconds.")

    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _turn_away(self, status: int, sentence: str) -> None:
        """Nothing of this request has reached the application. Nothing is said to who has asked nothing yet, nor into the
        middle of the answer to the question before."""
        if self._in_head and not self._answering():
            self._say(status, sentence)
        self.transport.close()

    def _say(self, status: int, sentence: str) -> None:
        said = sentence.encode("ascii")
        head = b"content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(said)
        self.transport.write(STATUS_LINE[status] + head + said)
