"""A real Chromium on a real web over a ledger with every kind of night in it."""

import math
import os
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
import uvicorn
from playwright.sync_api import Browser, expect, sync_playwright

from deployments.catalogue import Definition
from infra.postgres import Postmaster
from infra.settings import Settings
from tests.patience import wait_for
from tests.ports import free_port
from web.app import create_app

sys.path.insert(0, str(Path(__file__).parents[1] / "web"))
from bookkeeping import Ledger, write_nights  # the path to it is made one line above

CHROMIUM = os.environ.get("OVERNIGHT_CHROMIUM", "/usr/bin/chromium")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
FIRST = date(2024, 1, 1)
SOON = 120_000  # milliseconds; on a machine of its own it takes a fraction of one second, in CI there are neighbours


# One file's, and no longer: its event loop runs in this thread and would stand in the way of every asyncio.run after it.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        pytest.skip(f"there is no Chromium at {CHROMIUM}; OVERNIGHT_CHROMIUM names another place")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS, timeout=SOON)
        expect.set_options(timeout=SOON)
        yield browser
        browser.close()


@pytest.fixture
def month(shops: Definition, writer: sa.Engine) -> Ledger:
    """Five weeks: three nights to learn from, four champions, a held night, a failed one, and the newest one held."""
    return Ledger(shops, writer)  # the database is a copy of one that holds these nights


@pytest.fixture(scope="session")
def five_weeks(server: Postmaster, tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_nights(server, "template_month", folder=tmp_path_factory.mktemp("month"), fill=_take_five_weeks)


@pytest.fixture
def template(five_weeks: str) -> str:
    return five_weeks


def _take_five_weeks(ledger: Ledger) -> None:
    model = None
    for number in range(35):
        day = (FIRST + timedelta(days=number)).isoformat()
        if number in (4, 11, 18, 25):
            model = ledger.train(day, previous=model)
        if number in (20, 34):
            ledger.hold(day)
        elif number == 22:
            ledger.fail(day)
        else:
            batch = ledger.publish(day, rows=120 + number, model=model)
            if model and number < 31:
                ledger.judge_quality(day, batch=batch, model=model, value=0.66 + 0.05 * math.sin(number))


@pytest.fixture
def address(settings: Settings, month: Ledger) -> Iterator[str]:
    """Where the web listens; for it, it is the morning of 5 February 2024."""
    port = free_port()
    app = create_app(settings, now=lambda: datetime(2024, 2, 5, 9, tzinfo=UTC))
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", timeout_graceful_shutdown=3))
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_for(lambda: server.started or not thread.is_alive(), every=0.02)
    assert server.started
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()
