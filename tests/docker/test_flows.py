"""Whole nights through Prefect, each stage in a container: what is killed is tried again, and nothing is left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import sqlalchemy as sa

from deployments.catalogue import Definition
from infra.prefect_api import PrefectApi
from infra.prefect_home import settings_environment
from infra.services import PREFECT, run_services
from infra.settings import Settings
from store.engine import transaction
from tests.docker.containers import containers
from tests.docker.names import fresh_name
from tests.patience import PATIENCE, wait_for
from tests.ports import free_port

pytestmark = [pytest.mark.docker, pytest.mark.slow]
Write = Callable[..., Path]
# As a script's background job: the shell has it ignore Ctrl-C, and SIGTERM is what stops it.
IN_BACKGROUND = ["sh", "-c", "trap '' INT; exec \"$@\"", "sh", sys.executable]
THROUGH_A_FLOW, BY_THE_COMMAND = ["-m", "flows", "nightly"], ["-c", "from cli.main import main; main()", "run"]


@pytest.fixture(scope="module")
def prefect_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("home")
    settings = Settings(home=home, prefect_port=free_port(), database_url="postgresql://nobody@127.0.0.1:1/none")
    with run_services(settings, say=lambda _: None, parts={PREFECT}) as services:
        yield services.prefect_url


@pytest.fixture
def database_container(docker_engine: Any, tmp_path: Path) -> Iterator[tuple[Any, str]]:
    """A Postgres of its own in a container that can be killed, and the URL of its administrator, with a password."""
    local = "postgres-from-debian" if docker_engine.images.list("postgres-from-debian") else "postgres:18"
    (tmp_path / "password").write_text("of-the-admin")
    port = free_port()
    container = docker_engine.containers.run(
        os.environ.get("OVERNIGHT_TEST_POSTGRES", local), name=fresh_name(), detach=True, ports={"5432/tcp": ("127.0.0.1", port)},
        environment={"POSTGRES_USER": "admin", "POSTGRES_DB": "overnight", "POSTGRES_PASSWORD_FILE": "/run/password"},
        volumes={str(tmp_path / "password"): {"bind": "/run/password", "mode": "ro"}},
    )  # fmt: skip
    url = f"postgresql://admin:of-the-admin@127.0.0.1:{port}/overnight"
    try:
        wait_for(lambda: answers(url))
        yield container, url
    finally:
        container.remove(force=True, v=True)


def answers(url: str) -> bool:
    try:
        psycopg2.connect(url, connect_timeout=3).close()
    except psycopg2.OperationalError:
        return False
    return True


@pytest.fixture
def start_night(prefect_url: str, shops: Definition, settings: Settings, image: str) -> Callable[..., Any]:
    """Starts a night in a process of its own."""
    path = shops.folder / "pipeline.yaml"
    path.write_text(path.read_text() + "runner: docker\n")
    own = settings.model_copy(update={"image": image, "prefect_api_url": prefect_url})
    environment = {**os.environ, **settings_environment(own)}

    def start(day: str, *more: str, way: list[str] = THROUGH_A_FLOW) -> subprocess.Popen[str]:
        command = [*IN_BACKGROUND, *way, "shops", "--interval", day, "--json", *more]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return start


def stages(engine: sa.Engine, stage: str) -> list[str]:
    with transaction(engine) as connection:
        query = sa.text("SELECT state FROM overnight.stage_run WHERE stage = :stage ORDER BY id")
        return list(connection.scalars(query, {"stage": stage}))


def test_a_stage_whose_container_is_killed_is_tried_again_and_the_night_is_published_and_told_in_prefect(
    start_night: Callable[..., Any], write_day: Write, docker_engine: Any, settings: Settings, owner: sa.Engine,
    writer: sa.Engine, prefect_url: str,
) -> None:  # fmt: skip
    write_day("2024-01-05")
    with owner.begin() as connection:
        connection.execute(sa.text("LOCK TABLE overnight.verdict IN SHARE MODE"))  # it cannot be done before it is killed
        night = start_night("2024-01-05")
        (container,) = wait_for(lambda: containers(docker_engine, settings, stage="validate"))
        wait_for(lambda: stages(writer, "validate"))
        container.kill()
    said, complaints = night.communicate(timeout=2 * PATIENCE)
    assert night.returncode == 0, complaints
    assert json.loads(said.splitlines()[-1])["state"] == "published"
    assert stages(writer, "validate") == ["failed", "done"]
    assert containers(docker_engine, settings) == []
    with transaction(writer) as connection, PrefectApi(prefect_url) as api:
        flow_run = connection.scalar(sa.text("SELECT holder ->> 'prefect_flow_run' FROM overnight.run"))
        wait_for(lambda: any("shops 2024-01-05 validate: done" in line.text for line in api.read_logs(flow_run)))


@pytest.mark.parametrize(
    ("words", "way", "number"),
    [
        ([], THROUGH_A_FLOW, signal.SIGKILL),
        ([], BY_THE_COMMAND, signal.SIGTERM),
        (["--direct"], BY_THE_COMMAND, signal.SIGTERM),
    ],
    ids=["a killed flow", "a stopped command and its flow", "a stopped command"],
)
def test_a_night_that_is_ended_leaves_no_container_and_the_next_one_publishes(
    words: list[str], way: list[str], number: signal.Signals, start_night: Callable[..., Any], write_day: Write,
    docker_engine: Any, settings: Settings, writer: sa.Engine,
) -> None:  # fmt: skip
    write_day("2024-01-05")
    night = start_night("2024-01-05", *words, way=way)
    wait_for(lambda: containers(docker_engine, settings, stage="validate"))
    night.send_signal(number)
    _, complaints = night.communicate(timeout=PATIENCE)
    if number == signal.SIGTERM:
        assert containers(docker_engine, settings) == [], "nobody has to sweep up after one that was asked to end"
        with transaction(writer) as connection:
            (line,) = connection.execute(sa.text("SELECT state, reason FROM overnight.run"))
        assert tuple(line) == ("failed", "stopped by hand")
        assert (night.returncode, "Traceback" in complaints) == (130, False), complaints
    wait_for(lambda: not [one for one in containers(docker_engine, settings) if one.status == "running"])
    again = start_night("2024-01-05")
    said, complaints = again.communicate(timeout=2 * PATIENCE)
    assert again.returncode == 0, complaints
    assert json.loads(said.splitlines()[-1])["state"] == "published"
    assert containers(docker_engine, settings) == []


def test_a_backfill_whose_postgres_is_killed_completes_when_it_is_back(
    prefect_url: str, shops: Definition, settings: Settings, image: str, write_day: Write, docker_engine: Any,
    database_container: tuple[Any, str],
) -> None:  # fmt: skip
    postgres, url = database_container
    path = shops.folder / "pipeline.yaml"
    path.write_text(path.read_text() + "runner: docker\n")
    for day in ("2024-01-05", "2024-01-06"):
        write_day(day)
    own = settings.model_copy(
        update={"image": image, "prefect_api_url": prefect_url, "database_url": url, "writer_url": None, "reader_url": None}
    )
    command = [sys.executable, "-m", "flows", "backfill", "shops", "--from", "2024-01-05", "--to", "2024-01-06", "--json"]
    backfill = subprocess.Popen(
        command, env={**os.environ, **settings_environment(own)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_for(lambda: containers(docker_engine, own, stage="validate"))
    postgres.kill()
    time.sleep(1)
    postgres.start()
    try:
        said, complaints = backfill.communicate(timeout=3 * PATIENCE)
    finally:
        backfill.kill()
    assert backfill.returncode == 0, complaints
    assert [json.loads(line)["state"] for line in said.splitlines()] == ["published"] * 2
    assert containers(docker_engine, own) == []
    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*), count(DISTINCT interval_start), sum(rows) FROM reading.published WHERE kind = 'input'")
        assert cursor.fetchone() == (2, 2, 120)
        cursor.execute("SELECT count(*) FROM overnight.run WHERE state = 'running'")
        assert cursor.fetchone() == (0,)
