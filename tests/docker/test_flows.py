"""Whole nights through Prefect, each stage in a container: what is killed is tried again, and nothing is left behind."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from deployments.catalogue import Definition
from infra.prefect_home import settings_environment
from infra.services import PREFECT, run_services
from infra.settings import Settings
from store.engine import transaction

pytestmark = [pytest.mark.docker, pytest.mark.slow]
Write = Callable[..., Path]


@pytest.fixture(scope="module")
def prefect_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = Settings(
        home=tmp_path_factory.mktemp("home"), prefect_port=port, database_url="postgresql://nobody@127.0.0.1:1/none"
    )
    with run_services(settings, say=lambda _: None, parts={PREFECT}) as services:
        yield services.prefect_url


@pytest.fixture
def start_night(prefect_url: str, shops: Definition, settings: Settings, image: str) -> Callable[[str], Any]:
    """Starts the flow `nightly` in a process of its own."""
    path = shops.folder / "pipeline.yaml"
    path.write_text(path.read_text() + "runner: docker\n")
    own = settings.model_copy(update={"image": image, "prefect_api_url": prefect_url})
    environment = {**os.environ, **settings_environment(own)}

    def start(day: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "flows", "nightly", "shops", "--interval", day, "--json"]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return start


def containers(engine: Any, **labels: str) -> list[Any]:
    filters = {"label": ["overnight.pipeline=shops", *(f"overnight.{name}={value}" for name, value in labels.items())]}
    return list(engine.containers.list(all=True, filters=filters, ignore_removed=True))


def wait_for(find: Callable[[], Any], *, seconds: float = 90) -> Any:
    until = time.monotonic() + seconds
    while not (found := find()):
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.1)
    return found


def stages(engine: sa.Engine, stage: str) -> list[str]:
    with transaction(engine) as connection:
        query = sa.text("SELECT state FROM overnight.stage_run WHERE stage = :stage ORDER BY id")
        return list(connection.scalars(query, {"stage": stage}))


def test_a_stage_whose_container_is_killed_is_tried_again_and_the_night_is_published(
    start_night: Callable[[str], Any], write_day: Write, docker_engine: Any, writer: sa.Engine
) -> None:
    write_day("2024-01-05")

    def kill() -> None:
        container = wait_for(lambda: containers(docker_engine, stage="validate"))[0]
        wait_for(lambda: stages(writer, "validate"))
        container.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    night = start_night("2024-01-05")
    said, complaints = night.communicate(timeout=240)
    killer.join()
    assert night.returncode == 0, complaints
    assert json.loads(said.splitlines()[-1])["state"] == "published"
    assert stages(writer, "validate") == ["failed", "done"]
    assert containers(docker_engine) == []


def test_a_flow_that_is_killed_leaves_no_container_and_the_next_one_publishes(
    start_night: Callable[[str], Any], write_day: Write, docker_engine: Any
) -> None:
    write_day("2024-01-05")
    night = start_night("2024-01-05")
    wait_for(lambda: containers(docker_engine, stage="validate"))
    night.kill()
    night.communicate()
    wait_for(lambda: not [one for one in containers(docker_engine) if one.status == "running"], seconds=20)
    again = start_night("2024-01-05")
    said, complaints = again.communicate(timeout=240)
    assert again.returncode == 0, complaints
    assert json.loads(said.splitlines()[-1])["state"] == "published"
    assert containers(docker_engine) == []
