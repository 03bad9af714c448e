"""A real Prefect server for the flows' tests: one per session, on SQLite, in a home of its own."""

import json
import os
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from infra.prefect_api import PrefectApi
from infra.services import PREFECT, Services, run_services
from infra.settings import Settings, load_settings
from tests.ports import free_port

# Prefect reads its settings when it is first imported, and would make a folder in the user's home.
os.environ.setdefault("PREFECT_HOME", tempfile.mkdtemp(prefix="prefect-"))
os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_ENABLED", "false")


@pytest.fixture(scope="session")
def prefect_services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Prefect's server, without worker or web."""
    home = tmp_path_factory.mktemp("home")
    settings = Settings(home=home, prefect_port=free_port(), database_url="postgresql://nobody@127.0.0.1:1/none")
    with run_services(settings, say=lambda _: None, parts={PREFECT}) as services:
        yield services
        _flush_logs()


@pytest.fixture
def port() -> int:
    return free_port()


def _flush_logs() -> None:
    """What is still on its way to a server that ends is tried again for a minute."""
    from prefect.logging.handlers import APILogWorker

    APILogWorker.drain_all()


@pytest.fixture
def api(prefect_services: Services) -> Iterator[PrefectApi]:
    with PrefectApi(prefect_services.prefect_url) as api:
        yield api


@pytest.fixture
def prefect(prefect_services: Services) -> Iterator[str]:
    """Prefect in this process talks to the session's server; yields its API."""
    from prefect.settings import (
        PREFECT_API_URL,
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
        PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW,
        temporary_settings,
    )

    values = {
        PREFECT_API_URL: prefect_services.prefect_url,
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
        PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW: "ignore",
    }
    with temporary_settings(values):
        yield prefect_services.prefect_url


@pytest.fixture
def here(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """This process's settings are the test's, as they are for a flow, which reads them itself."""
    for name in Settings.model_fields:
        value = getattr(settings, name)
        if value is not None:
            monkeypatch.setenv(f"OVERNIGHT_{name.upper()}", str(value))
    load_settings.cache_clear()
    yield settings
    load_settings.cache_clear()


class Inbox(list[dict[str, str]]):
    url = ""


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    """A real address for messages: a small HTTP server that keeps what it gets."""
    box = Inbox()

    class Keep(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            box.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Keep)
    box.url = f"json://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield box
    server.shutdown()
    server.server_close()
