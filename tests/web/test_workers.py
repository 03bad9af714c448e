"""Several processes that share one address: one that is killed is replaced, and all stop gracefully."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest
from bookkeeping import Ledger

from infra.settings import Settings
from tests.patience import PATIENCE, wait_for

pytestmark = pytest.mark.slow  # because interpreters start


@pytest.fixture
def house(settings: Settings, published: Ledger, port: int) -> Iterator[psutil.Process]:
    urls = {"OVERNIGHT_DATABASE_URL": settings.database_url, "OVERNIGHT_READER_URL": settings.reader_url}
    environment = {**os.environ, **{name: url for name, url in urls.items() if url}, "OVERNIGHT_HOME": str(settings.home)}
    command = [sys.executable, "-m", "web", "--workers", "2", "--port", str(port)]
    with subprocess.Popen(command, env=environment, cwd=Path(__file__).parents[2]) as process:
        yield psutil.Process(process.pid)
        process.terminate()


def workers(house: psutil.Process) -> list[psutil.Process]:
    found = []
    for one in house.children():
        with suppress(psutil.NoSuchProcess):  # which a zombie is too
            found += [one] if "spawn_main" in " ".join(one.cmdline()) else []
    return found


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/api/v1/p/shops/rows?shop=s000003").json()["rows"][0]["shop"] == "s000003"
    except httpx.HTTPError:
        return False


def test_a_worker_that_is_killed_is_replaced_and_a_stop_ends_all_of_them(house: psutil.Process, port: int) -> None:
    wait_for(lambda: len(workers(house)) == 2 and answers(port))
    victim, other = workers(house)
    victim.kill()
    wait_for(lambda: len(workers(house)) == 2 and victim not in workers(house))
    wait_for(lambda: answers(port))
    with httpx.stream("GET", f"http://127.0.0.1:{port}/events", timeout=PATIENCE) as stream:  # which would never end by itself
        next(stream.iter_lines())
        left = [house, *house.children(recursive=True)]
        assert other in left
        house.terminate()
        _, alive = psutil.wait_procs(left, timeout=PATIENCE)
    assert alive == []
