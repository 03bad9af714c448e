"""The compose stack, from nothing to a published night, and what it survives."""

import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(1200)]
ROOT = Path(__file__).parents[2]
SERVICES = ("postgres", "prefect", "worker", "web")


@dataclass(frozen=True)
class Stack:
    command: list[str]
    environment: dict[str, str]

    def compose(self, *words: str) -> str:
        done = subprocess.run(
            [*self.command, *words], cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{words}: {(done.stdout + done.stderr)[-3000:]}"
        return done.stdout

    def up(self) -> None:
        """What `make compose-up` does."""
        environment = {**self.environment, "COMPOSE": " ".join(self.command)}
        done = subprocess.run(
            ["sh", "infra/docker/compose-up.sh"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{(done.stdout + done.stderr)[-3000:]} {self.command}"

    def take(self, night: str) -> str:
        return self.compose("exec", "-T", "worker", "overnight", "trigger", "flights", "--interval", night)

    def status(self, port: str, path: str) -> int:
        """The status with which a published address answers; 0 when nobody does."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.environment[port]}{path}", timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def published(self) -> list[str]:
        """What readers see: the nights, oldest first, with the content of each."""
        query = "SELECT interval_start::date, content_hash FROM reading.published WHERE kind = 'input' ORDER BY 1"
        psql = ("psql", "-U", "overnight_admin", "-d", "overnight", "-At", "-c", query)
        return self.compose("exec", "-T", "postgres", *psql).split()


@pytest.fixture(scope="module")
def stack(docker_engine: Any, image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    command = next((words for words in (["docker", "compose"], ["docker-compose"]) if _runs([*words, "version"])), None)
    if command is None:
        pytest.skip("neither `docker compose` nor docker-compose is here")
    local = "postgres-from-debian" if docker_engine.images.list("postgres-from-debian") else "postgres:18"
    home = tmp_path_factory.mktemp("compose")
    environment = {
        **os.environ,
        "COMPOSE_PROJECT_NAME": f"overnight-test-{uuid.uuid4().hex[:6]}",
        "OVERNIGHT_SECRETS": str(home / "secrets"),
        "OVERNIGHT_DATA": str(home / "data"),
        "OVERNIGHT_IMAGE": "overnight:test",
        "POSTGRES_IMAGE": os.environ.get("OVERNIGHT_TEST_POSTGRES", local),
        "WEB_PORT": str(_free_port()),
        "PREFECT_PORT": str(_free_port()),
    }
    base = os.environ.get("OVERNIGHT_TEST_BASE") or ("python-base" if docker_engine.images.list("python-base") else "")
    stack = Stack(command, {**environment, **({"OVERNIGHT_BASE": base} if base else {})})
    try:
        stack.up()
        yield stack
    finally:
        stack.compose("down", "-v", "-t", "5")
        shutil.rmtree(home, ignore_errors=True)


def _runs(command: list[str]) -> bool:
    return shutil.which(command[0]) is not None and subprocess.run(command, capture_output=True, check=False).returncode == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_answers(stack: Stack, port: str, path: str) -> None:
    until = time.monotonic() + 120
    while stack.status(port, path) != 200:
        assert time.monotonic() < until, f"{port} {path} answers {stack.status(port, path)}"
        time.sleep(1)


def test_the_stack_takes_a_night_and_survives_restarts_an_absent_prefect_and_a_power_cut(stack: Stack) -> None:
    stack.take("2013-01-01")
    first = stack.published()
    assert len(first) == 1
    assert (stack.status("WEB_PORT", "/"), stack.status("PREFECT_PORT", "/api/health")) == (200, 200)

    for service in SERVICES:
        stack.compose("restart", "-t", "20", service)
        wait_until_answers(stack, "WEB_PORT", "/readyz")
        wait_until_answers(stack, "PREFECT_PORT", "/api/health")
        assert stack.published() == first, f"after a restart of {service}"

    stack.compose("stop", "-t", "20", "prefect", "worker")
    assert stack.status("PREFECT_PORT", "/api/health") == 0
    assert stack.status("WEB_PORT", "/p/flights") == 200, "readers are served while nothing is orchestrated"

    stack.compose("start", "prefect", "worker")
    stack.compose("kill", "-s", "SIGKILL")
    stack.up()
    assert stack.published() == first
    stack.take("2013-01-02")
    assert len(stack.published()) == 2


def test_each_part_holds_its_own_secrets_and_can_write_nowhere_else(stack: Stack) -> None:
    assert stack.compose("exec", "-T", "web", "ls", "/run/secrets").split() == ["overnight_reader_url"]
    tried = "import socket\ntry:\n    socket.create_connection(('1.1.1.1', 53), timeout=3)\nexcept OSError:\n    print('denied')"
    assert stack.compose("exec", "-T", "worker", "python3", "-c", tried).strip() == "denied"
    for service in ("web", "worker", "prefect"):
        status = stack.compose("exec", "-T", service, "sh", "-c", "touch /x 2>&1; id -u; grep -c . /proc/1/status")
        assert "Read-only file system" in status
        assert "10001" in status
