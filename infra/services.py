"""Everything that `overnight up` keeps running: the embedded Postgres, Prefect's server with its UI, the web, a worker.

Started together, each waited for, restarted when one dies, stopped in reverse order; all of it listens on this machine
only and lives under OVERNIGHT_HOME.
"""

import fcntl
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from types import FrameType

import httpx
import psycopg2

from domain.errors import OrchestratorUnavailable, UsageError
from infra.ending import end_runs
from infra.postgres import embedded_url, start_server, stop_server
from infra.postgres import find_server as find_postgres
from infra.prefect_api import POOL, PrefectApi
from infra.prefect_home import (
    clean_environment,
    forget_server,
    prefect_environment,
    prefect_folder,
    remember_server,
    settings_environment,
)
from infra.processes import (
    Child,
    Part,
    Say,
    last_line,
    remember_children,
    start_part,
    stop_child,
    stop_leftovers,
    wait_until_ready,
)
from infra.settings import Settings

PREFECT, WORKER, WEB = "prefect", "worker", "web"
PROJECT = Path(__file__).resolve().parent.parent  # holds flows/, wherever the package is installed
RESTARTS_AT_MOST, RESTARTS_WITHIN = 5, 600.0
WATCH_EVERY = 15.0


class Services:
    """What has been started, and the ways to wait for it and to stop it. Made by `run_services`."""

    def __init__(self, settings: Settings, *, say: Say) -> None:
        self.settings, self.say = settings, say
        self.prefect_url = f"http://127.0.0.1:{settings.prefect_port}/api"
        self.web_url = f"http://127.0.0.1:{settings.web_port}"
        self.children: list[Child] = []
        self._logs = settings.home.absolute() / "logs"
        self._notes = settings.home.absolute() / "services.json"

    def environment(self) -> dict[str, str]:
        """What the parts are told: the settings with absolute paths, and Prefect's."""
        return {
            **clean_environment(),
            **settings_environment(self.settings),
            **prefect_environment(self.settings, url=self.prefect_url),
            "OVERNIGHT_PREFECT_API_URL": self.prefect_url,
            "OVERNIGHT_PROJECT": str(PROJECT),
        }

    def start(self, part: Part) -> Child:
        child = start_part(part, logs=self._logs)
        self.children.append(child)
        remember_children(self._notes, self.children)
        return child

    def wait_for(self, child: Child) -> None:
        wait_until_ready(child, say=self.say)
        if child.part.name == PREFECT:
            remember_server(self.settings, url=self.prefect_url, pid=child.process.pid)
        self.say(f"{child.part.title} is ready" + (f": {child.part.address}" if child.part.address else ""))

    def deploy(self, prefect_yaml: str) -> None:
        """Deploys every pipeline's flow with its schedule, and takes back the deployments of pipelines that are gone."""
        path = prefect_folder(self.settings) / "prefect.yaml"
        path.write_text(prefect_yaml, encoding="utf-8")
        command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(path)]
        done = subprocess.run(command, cwd=PROJECT, env=self.environment(), capture_output=True, text=True, check=False)
        (self._logs / "deploy.log").write_text(done.stdout + done.stderr)
        if done.returncode != 0:
            raise OrchestratorUnavailable(
                f"Prefect refused the deployments: {last_line(self._logs / 'deploy.log')}", hint=f"tail {self._logs}/deploy.log"
            )

        self._take_back()

    def _take_back(self) -> None:
        """A pipeline whose folder is there keeps its deployment, however broken it is; and where no folder is, the setting is
        wrong rather than every pipeline gone."""
        if not any(self.settings.deployments.glob("*/pipeline.yaml")):
            return
        with PrefectApi(self.prefect_url) as api:
            for deployment in api.deployments():
                if not (self.settings.deployments / deployment.name / "pipeline.yaml").exists():
                    api.delete_deployment(deployment)
                    self.say(f"the schedule of {deployment.name} is taken back: {self.settings.deployments} has no such pipeline")

    def keep_running(self, *, watch: Callable[[], None] | None = None, until: Callable[[], bool] = lambda: False) -> None:
        """Restarts what dies, and calls `watch`, which must not raise, every quarter of a minute, until `until` or a signal."""
        watched = monotonic()
        while not until():
            for child in list(self.children):
                if not child.is_alive:
                    self._restart(child)
            if watch is not None and monotonic() - watched > WATCH_EVERY:
                watch()
                watched = monotonic()
            sleep(0.5)

    def _restart(self, child: Child) -> None:
        recent = [start for start in child.starts if monotonic() - start < RESTARTS_WITHIN]
        if len(recent) >= RESTARTS_AT_MOST:
            raise OrchestratorUnavailable(
                f"{child.part.title} ended {len(recent)} times in {RESTARTS_WITHIN / 60:.0f} minutes: {last_line(child.log)}",
                hint=f"tail {child.log}",
            )
        self.say(f"{child.part.title} ended with code {child.process.returncode} and is started again")
        stop_child(child)
        again = start_part(child.part, logs=self._logs)
        again.starts[:0] = recent
        self.children[self.children.index(child)] = again
        remember_children(self._notes, self.children)
        self.wait_for(again)

    def stop(self, *, hurry: Callable[[], bool] = lambda: False) -> None:
        """Stops all in reverse order: what has begun is ended cleanly first, so that no run stays open anywhere."""
        for child in reversed(self.children):
            self.say(f"stopping {child.part.title}")
            if child.part.name == WORKER and not hurry():
                with suppress(OrchestratorUnavailable):
                    end_runs(self.prefect_url, hurry=hurry)
            stop_child(child, within=0.5 if hurry() else None)
        forget_server(self.settings)
        self._notes.unlink(missing_ok=True)


def prefect_part(services: Services) -> Part:
    """Prefect's server with its UI, on SQLite: the embedded Postgres lacks an extension that it needs."""
    port = services.settings.prefect_port
    command = (sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port))
    return Part(
        PREFECT, "Prefect's server", command, services.environment(), lambda: _is_prefect_up(services.prefect_url),
        address=services.prefect_url.removesuffix("/api"), folder=PROJECT,
    )  # fmt: skip


def worker_part(services: Services) -> Part:
    """The worker that starts runs as processes; it makes its pool when there is none."""
    command = (
        sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL, "--type", "process", "--install-policy", "never",
        "--limit", "2",
    )  # fmt: skip
    return Part(
        WORKER, "the worker", command, services.environment(), lambda: _is_worker_up(services.prefect_url), folder=PROJECT
    )


def web_part(services: Services, command: Sequence[str]) -> Part:
    return Part(
        WEB, "the web", command, services.environment(), lambda: _answers(f"{services.web_url}/healthz"),
        address=services.web_url, folder=PROJECT,
    )  # fmt: skip


def _is_prefect_up(url: str) -> bool:
    with PrefectApi(url) as api:
        return api.is_healthy()


def _is_worker_up(url: str) -> bool:
    with PrefectApi(url) as api, suppress(OrchestratorUnavailable):
        return api.pool_exists() and api.worker_is_online()
    return False


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=3, trust_env=False).is_success
    except httpx.HTTPError:
        return False


@contextmanager
def run_services(
    settings: Settings,
    *,
    say: Say,
    parts: Collection[str] = (PREFECT, WORKER, WEB),
    prefect_yaml: str = "",
    web_command: Sequence[str] = (),
    before_worker: Callable[[], None] | None = None,
) -> Iterator[Services]:
    """Starts the parts, waits for each one's health, and stops all at the end, however it comes.

    `prefect_yaml` is deployed once the worker is there; `before_worker` may close what a dead worker left open. SIGTERM
    inside acts like Ctrl-C. Raises UsageError when a port is taken or another process does this for the same home.
    """
    settings.home.absolute().mkdir(parents=True, exist_ok=True)
    prefect_folder(settings).mkdir(parents=True, exist_ok=True)
    services = Services(settings, say=say)
    if PREFECT not in parts and settings.prefect_api_url is not None:
        services.prefect_url = settings.prefect_api_url  # a worker of a server that somebody else keeps
    with _only_one(settings), _interruptible() as interruption:
        if stop_leftovers(settings.home.absolute() / "services.json"):
            say("stopped what an earlier start had left running")
        _refuse_taken_ports(settings, parts)
        try:
            _start_all(services, parts, prefect_yaml=prefect_yaml, web_command=web_command, before_worker=before_worker)
            yield services
        finally:
            interruption.stopping = True
            services.stop(hurry=lambda: interruption.hurry)
            _release_postgres(settings, say=say)


def _start_all(
    services: Services,
    parts: Collection[str],
    *,
    prefect_yaml: str,
    web_command: Sequence[str],
    before_worker: Callable[[], None] | None,
) -> None:
    """The slow ones begin first and start up side by side."""
    settings = services.settings
    prefect = services.start(prefect_part(services)) if PREFECT in parts else None
    if settings.database_url is None:
        start_server(settings.postgres_folder)
        services.say(f"Postgres is ready: {settings.postgres_folder}")
    web = services.start(web_part(services, web_command)) if WEB in parts else None
    if prefect is not None:
        services.wait_for(prefect)
    if WORKER in parts:
        if before_worker is not None:
            before_worker()
        services.wait_for(services.start(worker_part(services)))
        services.deploy(prefect_yaml)
    if web is not None:
        services.wait_for(web)


_OTHERS = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"


def _release_postgres(settings: Settings, *, say: Say) -> None:
    """Stops the embedded server, unless somebody else is connected to it."""
    server = find_postgres(settings.postgres_folder) if settings.database_url is None else None
    if server is None:
        return
    with suppress(psycopg2.Error):
        connection = psycopg2.connect(embedded_url(server, database="postgres"))
        with closing(connection), connection.cursor() as cursor:
            cursor.execute(_OTHERS)
            others = (cursor.fetchone() or (0,))[0]
        if others:
            say(f"Postgres stays: {others} other connections use it")
            return
    stop_server(settings.postgres_folder)
    say("stopped Postgres")


class _Interruption:
    """The first signal ends the work, a second one while stopping ends the patience."""

    def __init__(self) -> None:
        self.stopping = self.hurry = False

    def __call__(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  # signal passes two
        if self.stopping:
            self.hurry = True
        else:
            self.stopping = True
            raise KeyboardInterrupt


@contextmanager
def _interruptible() -> Iterator[_Interruption]:
    """Handles SIGINT and SIGTERM inside. Handled signals also start children with the default dispositions: a worker that
    inherits an ignored SIGINT cannot be stopped."""
    interruption = _Interruption()
    before = {number: signal.signal(number, interruption) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _only_one(settings: Settings) -> Iterator[None]:
    """Only one process keeps the services of a home."""
    path = settings.home.absolute() / "up.lock"
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(
                f"the services of {settings.home} are already kept running by another process", hint="overnight doctor"
            ) from None
        yield


def _refuse_taken_ports(settings: Settings, parts: Collection[str]) -> None:
    wanted = {PREFECT: ("PREFECT_PORT", settings.prefect_port), WEB: ("WEB_PORT", settings.web_port)}
    for variable, port in (wanted[part] for part in wanted if part in parts):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                raise UsageError(
                    f"port {port} is taken by another program", where="up", hint=f"OVERNIGHT_{variable}={port + 1} overnight up"
                ) from None
