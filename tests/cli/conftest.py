"""The command as a person types it: a process of its own, in a home with an embedded Postgres of its own."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from infra.postgres import database_url, stop_server
from infra.settings import Settings
from store.engine import create_engine, transaction
from tests.conftest import SHOPS, SHOPS_EXPECTATIONS

DAYS = ["2024-01-01", "2024-01-02", "2024-01-03"]


@dataclass(frozen=True)
class Said:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The last line of stdout."""
        return json.loads(self.out.strip().splitlines()[-1])


class Home:
    """A home with the pipeline `shops` on its shelf."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.published_once = folder, False
        self.settings = Settings(home=folder / "home", deployments=folder / "deployments", data=folder / "data")
        shelf = self.settings.deployments / "shops"
        shelf.mkdir(parents=True)
        (shelf / "pipeline.yaml").write_text(SHOPS)
        (shelf / "expectations.yaml").write_text(SHOPS_EXPECTATIONS)

    @property
    def environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("OVERNIGHT_")}
        s = self.settings
        own = {"HOME": s.home, "DEPLOYMENTS": s.deployments, "DATA": s.data_folder}
        return {**kept, **{f"OVERNIGHT_{name}": str(value) for name, value in own.items()}, "COLUMNS": "100"}

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "cli.main", *words]

    def publications(self) -> list[tuple[object, ...]]:
        """Where every pointer stands."""
        engine = create_engine(database_url(self.settings, role="reader"), role="reader", pool_size=1)
        with transaction(engine) as connection:
            lines = connection.execute(sa.text("SELECT kind, interval_start, batch FROM reading.published ORDER BY 1, 2")).all()
        engine.dispose()
        return [tuple(line) for line in lines]

    def say(self, *words: str) -> Said:
        done = subprocess.run(
            self.command(*words), capture_output=True, text=True, env=self.environment, timeout=300, check=False
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Said(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def home() -> Iterator[Home]:
    """Not under pytest's own folder: each pytest that starts closes that to other users, and the server, which is one of them,
    stops at its next checkpoint."""
    folder = Path(tempfile.mkdtemp(prefix="overnight-cli-"))
    made = Home(folder)
    yield made
    stop_server(made.settings.postgres_folder)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def settings(home: Home) -> Settings:
    """`write_day` writes where the command reads."""
    return home.settings


@pytest.fixture
def published(home: Home, write_day: Callable[..., Path]) -> Home:
    """Three nights are published, the third from whatever a test before this one left; its file is as it was at first."""
    for day in DAYS:
        write_day(day)
    if not home.published_once:
        said = home.say("backfill", "shops", "--from", DAYS[0], "--to", DAYS[-1], "--json")
        assert said.code == 0, said.err
        home.published_once = True
    return home
