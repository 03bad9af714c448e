"""Real Postgres for every test: one embedded server per session, one fresh database per test that asks for it."""

import os
import shutil
import signal
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import psycopg2
import pytest
import sqlalchemy as sa

from deployments.catalogue import Definition, load_definition
from infra.postgres import Postmaster, embedded_url, start_server, stop_server
from infra.settings import SILENCE, THREADS_SLEEP, Settings
from store.engine import create_engine, parse_url
from store.migrate import migrate
from store.pipelines import register

os.environ.update(SILENCE | THREADS_SLEEP)
# Tests run side by side, one to a core: a second thread of OpenMP only takes the core of a neighbour, and both wait.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A busy machine is no failure; CI takes the second, with which two runs of one commit try the same.
hypothesis.settings.register_profile("untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.register_profile("same", hypothesis.settings.get_profile("untimed"), derandomize=True)
hypothesis.settings.load_profile("untimed")
# A shell's background jobs ignore Ctrl-C, and so would every process that a test starts and interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def server() -> Iterator[Postmaster]:
    """The session's PostgreSQL server, with a migrated template database.

    Not under pytest's own folder: that is closed to other users, the server's among them, by each pytest that starts.
    """
    home = Path(tempfile.mkdtemp(prefix="overnight-tests-"))
    folder = home / "postgres"
    server = start_server(folder)
    # Processes are killed here, machines are not: what the kernel holds is safe, and nothing has to wait for a disk.
    off = [f"ALTER SYSTEM SET {setting} = off" for setting in ("fsync", "full_page_writes")]
    _execute(server, *off, "SELECT pg_reload_conf()", "CREATE DATABASE template_overnight")
    migrate(embedded_url(server, database="template_overnight"))
    yield server
    stop_server(folder)
    shutil.rmtree(home, ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest tests first: one that began last would keep one worker busy while the others have nothing left."""
    items.sort(key=_seconds, reverse=True)


def _seconds(item: pytest.Item) -> int:
    slow = item.get_closest_marker("slow")
    return int(slow.args[0]) if slow and slow.args else 0


def _execute(server: Postmaster, *statements: str) -> None:
    connection = psycopg2.connect(embedded_url(server, database="postgres"))
    connection.autocommit = True
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
    connection.close()


def copy_database(server: Postmaster, name: str, *, template: str = "template_overnight") -> str:
    """Makes a database like the template, to which nobody may be connected; its admin URL."""
    _execute(
        server,
        f"CREATE DATABASE {name} TEMPLATE {template}",
        f"GRANT CREATE ON DATABASE {name} TO overnight_owner",  # a template's own grants are not copied
        f"GRANT TEMPORARY ON DATABASE {name} TO overnight_writer, overnight_validate",
    )
    return embedded_url(server, database=name)


@pytest.fixture
def template() -> str:
    """What this test's database is a copy of."""
    return "template_overnight"


@pytest.fixture
def database(server: Postmaster, template: str) -> Iterator[str]:
    """The admin URL of a migrated database of this test's own, empty unless `template` is another one."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    yield copy_database(server, name, template=template)
    _execute(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def role_url(server: Postmaster, database: str) -> Callable[[str], str]:
    """The URL with which a role logs in as itself."""
    name = parse_url(database).database or ""
    return lambda role: embedded_url(server, user=f"overnight_{role}", database=name)


@pytest.fixture
def settings(tmp_path: Path, database: str, role_url: Callable[[str], str]) -> Settings:
    """Settings of a home of this test's own, on the test's database."""
    return Settings(
        home=tmp_path / "home",
        deployments=tmp_path / "deployments",
        data=tmp_path / "data",
        database_url=database,
        writer_url=role_url("writer"),
        reader_url=role_url("reader"),
    )


@pytest.fixture
def owner(database: str) -> Iterator[sa.Engine]:
    engine = create_engine(database, role="owner")
    yield engine
    engine.dispose()


@pytest.fixture
def writer(role_url: Callable[[str], str]) -> Iterator[sa.Engine]:
    engine = create_engine(role_url("writer"), role="writer")
    yield engine
    engine.dispose()


@pytest.fixture
def reader(role_url: Callable[[str], str]) -> Iterator[sa.Engine]:
    engine = create_engine(role_url("reader"), role="reader")
    yield engine
    engine.dispose()


# A small pipeline of the tests' own: shops that will or will not sell out.
SHOPS = """
name: shops
title: Will this shop sell out today?
interval: {every: day, timezone: Europe/Berlin, from: 2024-01-01}
source: {kind: csv, path: "{data}/shops/{start:%Y-%m-%d}.csv"}
columns:
  shop: {type: text, key: true}
  opened: {type: timestamp, time: true}
  region: {type: text}
  stock: {type: int}
  price: {type: float, null: true}
  left_over: {type: float, null: true}
rejects: {at_most: 10%}
target: {column: left_over, as: "left_over < 1", task: classification}
features: {numeric: [stock, price], categorical: [region], datetime: [opened]}
model: {estimator: sklearn.ensemble.HistGradientBoostingClassifier, params: {max_iter: 20}, min_intervals: 2, holdout: 1 day}
"""
SHOPS_EXPECTATIONS = """
- {expect: column_values_to_be_between, column: stock, min_value: 0, max_value: 1000, severity: critical, mostly: 0.9}
- {expect: column_values_to_not_be_null, column: region}
"""


def open_shops(deployments: Path, owner: sa.Engine) -> Definition:
    folder = deployments / "shops"
    folder.mkdir(parents=True)
    (folder / "pipeline.yaml").write_text(SHOPS)
    (folder / "expectations.yaml").write_text(SHOPS_EXPECTATIONS)
    definition = load_definition(deployments, "shops")
    register(owner, definition.pipeline, expectations=list(definition.expectations))
    return definition


@pytest.fixture
def shops(settings: Settings, owner: sa.Engine) -> Definition:
    """The pipeline `shops`, written to this test's deployments folder and registered."""
    return open_shops(settings.deployments, owner)


@pytest.fixture
def write_day(settings: Settings) -> Callable[..., Path]:
    """Writes one day of shops, the same rows each time for the same day; `change` edits the lines of text."""
    import random

    def write(day: str, rows: int = 60, change: Callable[[list[str]], list[str]] | None = None) -> Path:
        chance = random.Random(day)
        lines = ["shop,opened,region,stock,price,left_over"]
        for number in range(rows):
            stock = chance.randint(0, 100)
            left = max(0, stock - chance.randint(20, 80))
            region = chance.choice(["north", "south", "east"])
            lines.append(f"s{number:03d},{day} 0{7 + number % 3}:00:00,{region},{stock},{chance.random() * 9:.2f},{left}")
        path = settings.data_folder / "shops" / f"{day}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(change(lines) if change else lines) + "\n")
        return path

    return write
