"""How we speak to a Prefect server that is there, but cannot always answer."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from domain.errors import OrchestratorUnavailable
from infra import prefect_api
from infra.prefect_api import PrefectApi


class BusyServer(HTTPServer):
    """Turns the first `busy` requests that write away, as Prefect does while another writes to its SQLite."""

    def __init__(self, *, busy: int) -> None:
        self.busy, self.asked = busy, list[dict[str, Any]]()
        super().__init__(("127.0.0.1", 0), _Answers)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/api"


class _Answers(BaseHTTPRequestHandler):
    server: BusyServer

    def do_GET(self) -> None:
        self._answer(200, {"id": "7", "name": "shops"})

    def do_POST(self) -> None:
        self.server.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        if len(self.server.asked) <= self.server.busy:
            self._answer(503, {"exception_message": "Service Unavailable"})
        else:
            self._answer(201, {"id": "8", "name": "calm-heron", "state_type": "SCHEDULED", "state_name": "Scheduled"})

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def busy(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[BusyServer]:
    monkeypatch.setattr(prefect_api, "BUSY_PAUSES", (0.0, 0.0, 0.0))
    server = BusyServer(busy=request.param)
    answering = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    answering.start()
    yield server
    server.shutdown()
    answering.join()
    server.server_close()


@pytest.mark.parametrize("busy", [2], indirect=True)
def test_a_busy_server_is_asked_again_for_the_same_run(busy: BusyServer) -> None:
    with PrefectApi(busy.url) as api:
        assert api.create_run("shops", interval="2024-01-05").id == "8"
    assert len(busy.asked) == 3
    assert len({asked["idempotency_key"] for asked in busy.asked}) == 1


@pytest.mark.parametrize("busy", [99], indirect=True)
def test_a_server_that_stays_busy_is_a_sentence(busy: BusyServer) -> None:
    with PrefectApi(busy.url) as api, pytest.raises(OrchestratorUnavailable, match="503 Service Unavailable"):
        api.create_run("shops")
    assert len(busy.asked) == 4
