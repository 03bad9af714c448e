"""A web on this test's database, with a clock that the test holds."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
import uvicorn
from bookkeeping import Ledger, write_nights
from fastapi.testclient import TestClient

from deployments.catalogue import Definition
from infra.postgres import Postmaster
from infra.settings import Settings
from tests.patience import wait_for
from tests.ports import free_port
from web.__main__ import http_protocol
from web.app import create_app


class Clock:
    """What time it is for the web; a test moves it."""

    def __init__(self) -> None:
        self.now = datetime(2024, 1, 5, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(shops: Definition, writer: sa.Engine) -> Ledger:
    return Ledger(shops, writer)


@pytest.fixture
def client(settings: Settings, clock: Clock) -> Iterator[TestClient]:
    with TestClient(create_app(settings, now=clock, live=False), follow_redirects=False, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def published(ledger: Ledger) -> Ledger:
    """1 and 2 January to learn from, 3 and 4 January with predictions: all that is due on the 5th."""
    return ledger  # the database is a copy of one that holds these nights


@pytest.fixture
def template(request: pytest.FixtureRequest) -> str:
    return request.getfixturevalue("four_nights") if "published" in request.fixturenames else "template_overnight"


@pytest.fixture(scope="session")
def four_nights(server: Postmaster, tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_nights(server, "template_published", folder=tmp_path_factory.mktemp("published"), fill=_publish)


def _publish(ledger: Ledger) -> None:
    ledger.publish("2024-01-01")
    ledger.publish("2024-01-02")
    model = ledger.train("2024-01-03")
    batch = ledger.publish("2024-01-03", model=model)
    ledger.judge_quality("2024-01-03", batch=batch, model=model, value=0.71)
    ledger.publish("2024-01-04", model=model, rows=66)


@pytest.fixture
def ask(client: TestClient) -> Callable[[str], dict]:
    """The API's answer to a path, which must be there."""

    def get(path: str) -> dict:
        answer = client.get(f"/api/v1{path}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    return get


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def served(settings: Settings, clock: Callable, port: int) -> Iterator[int]:
    """The port of a web that listens."""
    server = uvicorn.Server(uvicorn.Config(create_app(settings, now=clock), port=port, log_level="error", http=http_protocol()))
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_for(lambda: server.started or not thread.is_alive(), every=0.02)
    assert server.started
    yield port
    server.should_exit = True
    thread.join()
