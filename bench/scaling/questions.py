"""What readers and operators ask, as calls that keep nothing from one time to the next: pages, status, plans."""

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from datetime import datetime

from deployments.catalogue import Definition
from domain.interval import Interval
from infra.settings import Settings, load_settings


@contextmanager
def pages(settings: Settings, now: datetime) -> Iterator[Callable[[str], None]]:
    """Asks the web for a page, without a server between."""
    from fastapi.testclient import TestClient

    from web.app import create_app

    with TestClient(create_app(settings, now=lambda: now, live=False)) as client:

        def ask(path: str) -> None:
            answer = client.get(path)
            assert answer.status_code == 200, answer.text[:500]

        yield ask


@contextmanager
def as_commands(settings: Settings) -> Iterator[None]:
    """Commands read their settings from the environment."""
    named = {
        "OVERNIGHT_HOME": settings.home, "OVERNIGHT_DEPLOYMENTS": settings.deployments, "OVERNIGHT_DATA": settings.data_folder
    }  # fmt: skip
    os.environ.update({name: str(path) for name, path in named.items()})
    load_settings.cache_clear()
    try:
        yield
    finally:
        for name in named:
            del os.environ[name]
        load_settings.cache_clear()


def status() -> None:
    from cli.listing import status as show

    with redirect_stdout(io.StringIO()):
        show(None, as_json=True)


def plan(definition: Definition, nights: list[Interval], settings: Settings) -> None:
    from tasks.planning import make_plan

    make_plan(definition, nights[0], nights[-1], settings, mode="missing", model="as-due")
