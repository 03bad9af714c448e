"""The compose stack, from nothing to a published night, and what it survives."""

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.prefect_api import PrefectApi
from tests.docker.names import fresh_name
from tests.patience import PATIENCE, wait_for
from tests.ports import free_port

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(1800)]
ROOT = Path(__file__).parents[2]
SERVICES = ("postgres", "prefect", "worker", "web")
RUNNING = "SELECT count(*) FROM overnight.run WHERE state = 'running'"
UUID = r"\b[0-9a-f]{8}-[0-9a-f-]{27}\b"
NEWEST = "SELECT max(id) FROM overnight.run"


@dataclass(frozen=True)
class Stack:
    engine: Any
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

    def part(self, service: str) -> Any:
        """The container of a service. Compose takes a second of a core for each word to it, the engine none."""
        labels = {"project": self.environment["COMPOSE_PROJECT_NAME"], "service": service, "oneoff": "False"}
        filters = {"label": [f"com.docker.compose.{name}={value}" for name, value in labels.items()]}
        (found,) = self.engine.containers.list(all=True, filters=filters)
        return found

    def inside(self, service: str, *words: str) -> str:
        status, (said, complaints) = self.part(service).exec_run(list(words), demux=True)
        assert status == 0, f"{words}: {(said or b'')[-1000:]!r} {(complaints or b'')[-3000:]!r}"
        return (said or b"").decode()

    def take(self, night: str) -> str:
        return self.inside("worker", "overnight", "trigger", "flights", "--interval", night)

    def status(self, port: str, path: str) -> int:
        """The status with which a published address answers; 0 when nobody does."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.environment[port]}{path}", timeout=PATIENCE) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def published(self) -> list[str]:
        """What readers see: the nights, oldest first, with the content of each."""
        return self.ask("SELECT interval_start::date, content_hash FROM reading.published WHERE kind = 'input' ORDER BY 1")

    def ask(self, query: str) -> list[str]:
        """The lines of a query's answer, as the database's administrator sees it."""
        psql = ("psql", "-U", "overnight_admin", "-d", "overnight", "-At", "-c", query)
        return self.inside("postgres", *psql).split()

    def backfill(self, first: str, last: str) -> subprocess.Popen[bytes]:
        """Begins one in the worker's container, and returns when a night of it has begun."""
        words = ["overnight", "backfill", "flights", "--from", first, "--to", last, "--direct"]
        inside, before = ["docker", "exec", self.part("worker").id, *words], self.ask(NEWEST)
        begun = subprocess.Popen(inside, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: self.ask(NEWEST) != before or begun.poll() is not None)
        return begun


@pytest.fixture(scope="module")
def stack(docker_engine: Any, image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    command = next((words for words in (["docker", "compose"], ["docker-compose"]) if _runs([*words, "version"])), None)
    if command is None:
        pytest.skip("neither `docker compose` nor docker-compose is here")
    local = "postgres-from-debian" if docker_engine.images.list("postgres-from-debian") else "postgres:18"
    home, name = tmp_path_factory.mktemp("compose"), fresh_name()
    environment = {
        **os.environ,
        "COMPOSE_HTTP_TIMEOUT": "600",  # the first docker-compose gives a busy engine one minute
        "COMPOSE_PROJECT_NAME": name,
        "OVERNIGHT_SECRETS": str(home / "secrets"),
        "OVERNIGHT_DATA": str(home / "data"),
        "OVERNIGHT_IMAGE": f"overnight:{name}",  # its own, because `up` builds what it names
        "POSTGRES_IMAGE": os.environ.get("OVERNIGHT_TEST_POSTGRES", local),
        "WEB_PORT": str(free_port()),
        "PREFECT_PORT": str(free_port()),
    }
    base = os.environ.get("OVERNIGHT_TEST_BASE") or ("python-base" if docker_engine.images.list("python-base") else "")
    stack = Stack(docker_engine, command, {**environment, **({"OVERNIGHT_BASE": base} if base else {})})
    try:
        stack.up()
        yield stack
    finally:
        stack.compose("down", "-v", "-t", "5")
        for tag in (f"overnight:{name}-next", f"overnight:{name}"):  # the second is what the first is made from
            subprocess.run(["docker", "rmi", tag], capture_output=True, check=False)
        shutil.rmtree(home, ignore_errors=True)


def _runs(command: list[str]) -> bool:
    return shutil.which(command[0]) is not None and subprocess.run(command, capture_output=True, check=False).returncode == 0


def wait_until_answers(stack: Stack, port: str, path: str) -> None:
    wait_for(lambda: stack.status(port, path) == 200, every=0.5)


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
    backfill = stack.backfill("2013-01-02", "2013-01-05")
    stack.part("worker").kill()
    backfill.wait()
    stack.compose("start", "worker")
    backfill = stack.backfill("2013-01-02", "2013-01-05")
    for service in SERVICES:  # as a power cut does
        stack.part(service).kill()
    backfill.wait()
    stack.up()
    assert stack.published()[:1] == first
    assert stack.backfill("2013-01-02", "2013-01-05").wait() == 0
    assert len(stack.published()) == 5
    assert stack.ask(RUNNING) == ["0"]


def test_a_trigger_takes_either_pipeline_and_tells_a_failure_in_a_sentence_with_where_to_look(stack: Stack) -> None:
    stack.inside("worker", "overnight", "trigger", "departures", "--interval", "2013-01-15")
    assert "departures" in stack.inside("worker", "overnight", "status"), "what only reads can be typed there too"
    refused, why = stack.part("worker").exec_run(["overnight", "db", "backup", "/tmp/dump"])
    assert (refused, b"there is no pg_dump for PostgreSQL" in why) == (4, True), why
    (Path(stack.environment["OVERNIGHT_DATA"]) / "flights" / "2013-12-31.csv").unlink()
    status, said = stack.part("worker").exec_run(["overnight", "trigger", "flights", "--interval", "2013-12-31"])
    assert (status, b"Traceback" in said) == (1, False), said
    assert b"flights 2013-12-31: failed, ingest: there is no file" in said
    assert f"http://127.0.0.1:{stack.environment['PREFECT_PORT']}/runs/flow-run/".encode() in said


def test_each_part_holds_its_own_secrets_and_can_write_nowhere_else(stack: Stack) -> None:
    assert stack.inside("web", "ls", "/run/secrets").split() == ["overnight_reader_url", "overnight_web_key"]
    tried = "import socket\ntry:\n    socket.create_connection(('1.1.1.1', 53), timeout=3)\nexcept OSError:\n    print('denied')"
    assert stack.inside("worker", "python3", "-c", tried).strip() == "denied"
    for service in ("web", "worker", "prefect"):
        status = stack.inside(service, "sh", "-c", "touch /x 2>&1; id -u; grep -c . /proc/1/status")
        assert "Read-only file system" in status
        assert "10001" in status


def test_a_token_made_in_the_stack_opens_a_web_that_asks_for_one(stack: Stack) -> None:
    made = json.loads(stack.inside("worker", "overnight", "token", "new", "the first", "--json"))
    asking = replace(stack, environment={**stack.environment, "OVERNIGHT_WEB_TOKENS": "true", "OVERNIGHT_WEB_LOG": "json"})
    try:
        asking.compose("up", "-d", "web")
        wait_until_answers(asking, "WEB_PORT", "/healthz")
        assert asking.status("WEB_PORT", "/api/v1/") == 401
        shown = urllib.request.Request(
            f"http://127.0.0.1:{stack.environment['WEB_PORT']}/api/v1/", headers={"Authorization": f"Bearer {made['secret']}"}
        )
        with urllib.request.urlopen(shown, timeout=PATIENCE) as answer:
            assert json.load(answer)["pipelines"]
        wait_for(lambda: b'"who": "the first"' in asking.part("web").logs())
        assert made["secret"] not in asking.part("web").logs().decode()
    finally:
        stack.compose("up", "-d", "web")
        wait_until_answers(stack, "WEB_PORT", "/readyz")


def test_a_whole_night_runs_in_a_docker_work_pool(stack: Stack, tmp_path: Path) -> None:
    template = json.loads((ROOT / "infra/docker/work-pool.json").read_text())
    secrets = stack.environment["OVERNIGHT_SECRETS"]
    values = {
        "image": stack.environment["OVERNIGHT_IMAGE"], "networks": [f"{stack.environment['COMPOSE_PROJECT_NAME']}_inside"],
        "volumes": [
            f"{secrets}/owner_url:/run/secrets/overnight_database_url:ro",
            f"{secrets}/writer_url:/run/secrets/overnight_writer_url:ro",
            f"{stack.environment['OVERNIGHT_DATA']}:/data:ro",
            f"{ROOT}/deployments:/pipelines:ro",
        ],
    }  # fmt: skip
    for name, value in values.items():
        template["variables"]["properties"][name]["default"] = value
    (tmp_path / "pool.json").write_text(json.dumps(template))
    flights = next(one for one in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"] if one["name"] == "flights")
    own = {**flights, "name": "flights-docker", "schedules": [], "work_pool": {"name": "docker"}}
    (tmp_path / "prefect.yaml").write_text(yaml.safe_dump({"pull": [], "deployments": [own]}))
    url = f"http://127.0.0.1:{stack.environment['PREFECT_PORT']}/api"
    environment = {**os.environ, "PREFECT_API_URL": url, "PREFECT_HOME": str(tmp_path), "PREFECT_WORKER_QUERY_SECONDS": "2"}

    def prefect(*words: str) -> list[str]:
        return [sys.executable, "-m", "prefect", "--no-prompt", *words]

    def run(*words: str) -> str:
        done = subprocess.run(prefect(*words), cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
        return done.stdout

    run("work-pool", "create", "docker", "--type", "docker", "--base-job-template", str(tmp_path / "pool.json"))
    run("deploy", "--all", "--prefect-file", str(tmp_path / "prefect.yaml"))
    nights = len(stack.published())
    log = (tmp_path / "worker.log").open("wb")
    worker = subprocess.Popen(
        prefect("worker", "start", "--pool", "docker", "--type", "docker", "--install-policy", "never"),
        env=environment, stdout=log, stderr=log,
    )  # fmt: skip
    try:
        said = run(
            "deployment", "run", "nightly/flights-docker", "-p", "interval=2013-01-08", "--watch", "--watch-timeout", "600"
        )
    finally:
        worker.terminate()
        try:
            worker.wait(60)
        except subprocess.TimeoutExpired:  # now and then Prefect's worker waits for a container that is long gone
            worker.kill()
            worker.wait()
    assert len(stack.published()) == nights + 1, (tmp_path / "worker.log").read_text()[-3000:]
    made_by = stack.ask("SELECT DISTINCT image FROM reading.batch WHERE interval_start::date = '2013-01-08'")
    assert made_by == [stack.environment["OVERNIGHT_IMAGE"]], "as the pool names the image"
    with PrefectApi(url) as api:
        wait_for(lambda: any("flights 2013-01-08 ingest: done" in line.text for line in api.read_logs(re.findall(UUID, said)[0])))


def test_an_upgrade_goes_on_and_the_way_back_leads_to_the_dump(stack: Stack, docker_engine: Any, tmp_path: Path) -> None:
    before, dump, image = stack.published(), tmp_path / "before.dump", stack.environment["OVERNIGHT_IMAGE"]
    (tmp_path / "Dockerfile").write_text(f"FROM {image}\nLABEL next=1\n")
    docker_engine.images.build(path=str(tmp_path), tag=f"{image}-next", rm=True)
    admin = ("exec", "-T", "postgres")
    with dump.open("wb") as file:
        words = [*stack.command, *admin, "pg_dump", "-U", "overnight_admin", "-Fc", "overnight"]
        subprocess.run(words, cwd=ROOT, env=stack.environment, stdout=file, check=True)

    newer = replace(stack, environment={**stack.environment, "OVERNIGHT_IMAGE": f"{image}-next"})
    newer.compose("up", "-d")
    wait_until_answers(stack, "PREFECT_PORT", "/api/health")
    wait_until_answers(stack, "WEB_PORT", "/readyz")
    assert stack.published() == before, "readers keep what is published"
    newer.take("2013-01-09")
    assert len(stack.published()) == len(before) + 1

    stack.compose("stop", "-t", "20", "web", "worker", "prefect")
    with dump.open("rb") as file:
        restore = ["pg_restore", "-U", "overnight_admin", "-d", "postgres", "--clean", "--create", "--if-exists"]
        subprocess.run([*stack.command, *admin, *restore], cwd=ROOT, env=stack.environment, stdin=file, check=True)
    stack.compose("up", "-d")
    wait_until_answers(stack, "WEB_PORT", "/readyz")
    assert stack.published() == before


def test_a_backfill_is_spread_over_workers_of_the_profile_scale(stack: Stack, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "deployments" / "flights", tmp_path / "deployments" / "flights")
    path = tmp_path / "deployments" / "flights" / "pipeline.yaml"
    path.write_text(f"{path.read_text()}\nrunner: dask\n")
    for one in (tmp_path, *tmp_path.rglob("*")):
        one.chmod(0o755 if one.is_dir() else 0o644)
    environment = {**stack.environment, "OVERNIGHT_DEPLOYMENTS": str(tmp_path / "deployments")}
    spread = replace(stack, command=[*stack.command, "--profile", "scale"], environment=environment)
    spread.compose("up", "-d", "--scale", "dask-worker=2", "dask", "dask-worker")
    nights = len(stack.published())
    spread.compose(
        "exec", "-T", "dask-worker", "overnight", "backfill", "flights", "--from", "2013-01-10", "--to", "2013-01-13", "--direct"
    )
    assert len(stack.published()) == nights + 4
    query = "SELECT DISTINCT holder ->> 'through' FROM overnight.run WHERE interval_start::date IN ('2013-01-10', '2013-01-13')"
    assert stack.ask(query) == ["dask"]
