"""The one door to Docker: a stage's container, from its start to its removal, and what dead processes left behind."""

import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import psutil
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.models.containers import Container
from docker.types import LogConfig, Mount
from requests.exceptions import RequestException

from domain.errors import ContainerLost, UsageError
from domain.spec.running import Limits

log = logging.getLogger("overnight.stage")
LABEL = "overnight."
GRACE = 10  # seconds between a stage's limit and its end by force
_ENDED_BY_TIMEOUT = 124


@dataclass(frozen=True, slots=True)
class Work:
    """What one container is started for. `secret` goes in through its standard input, so that it stands in no environment,
    no file and no listing; `visible` are files and folders of this machine and where the container sees them, read-only."""

    image: str
    command: Sequence[str]
    name: str
    labels: Mapping[str, str]
    environment: Mapping[str, str]
    secret: bytes
    network: str
    limits: Limits
    visible: Mapping[Path, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a container ended."""

    exit_code: int
    out_of_memory: bool
    timed_out: bool


@contextmanager
def engine() -> Iterator[docker.DockerClient]:
    """A connection to the engine; what goes wrong with it inside is ContainerLost, which may be tried again."""
    client = None
    try:
        client = docker.from_env(timeout=60)
        yield client
    except (DockerException, RequestException, OSError) as error:
        first_line = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        raise ContainerLost(f"the Docker engine does not do as asked ({first_line})", hint="docker info") from error
    finally:
        if client is not None:
            client.close()


def identify_image(reference: str) -> str:
    """The digest of an image, so that a tag that moves in mid-night moves nothing; raises UsageError when it is not here."""
    with engine() as client:
        try:
            image = client.images.get(reference)
        except ImageNotFound:
            raise UsageError(f"there is no container image {reference!r} on this machine", hint="overnight image build") from None
        return str(image.id)


def run_container(work: Work) -> Ending:
    """Runs a container to its end, with its standard error in the log as it comes, and leaves nothing of it behind.

    It ends with this process too, however that ends: its standard input closes then, and the stage watches that.
    """
    with engine() as client, ThreadPoolExecutor(1) as hand:
        # By another thread: a signal in the middle of it would leave a container of which nobody here knows.
        making = hand.submit(client.containers.create, work.image, _bounded(work), **_confined(work))
        try:
            container = making.result()
            with _lifeline(container, work.secret), _deadline(container, work.limits) as overdue:
                _follow_log(container)
                status = int(container.wait(timeout=60)["StatusCode"])
            container.reload()
            return Ending(status, bool(container.attrs["State"]["OOMKilled"]), overdue.is_set() or status == _ENDED_BY_TIMEOUT)
        finally:
            if making.exception() is None:
                _remove(making.result())


def _bounded(work: Work) -> list[str]:
    """The command under its limit, inside the container: the last bound when nobody is left outside to keep it."""
    return ["timeout", "-k", str(GRACE), str(int(work.limits.timeout.total_seconds())), *work.command]


def _confined(work: Work) -> dict[str, Any]:
    """No capability, no way to gain one, nothing to write but a small /tmp, and nothing to reach that was not named."""
    limits = work.limits
    return {
        "name": work.name,
        "labels": {**{f"{LABEL}{name}": value for name, value in work.labels.items()}, **_this_process()},
        "environment": {**work.environment, "HOME": "/tmp", "USER": "overnight", "TMPDIR": "/tmp"},  # noqa: S108
        "mounts": [Mount(target, str(source), type="bind", read_only=True) for source, target in work.visible.items()],
        "network_mode": work.network,
        "mem_limit": limits.memory,
        "memswap_limit": limits.memory,
        "nano_cpus": int(limits.cpus * 1e9),
        "pids_limit": 256,
        "read_only": True,
        "tmpfs": {"/tmp": "rw,noexec,nosuid,nodev,size=256m,mode=1777"},  # noqa: S108
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        # Files that only this user may read are mounted; root's own are for everybody or the image's user.
        "user": f"{os.getuid()}:{os.getgid()}" if os.getuid() else None,
        "init": True,
        "stdin_open": True,
        "healthcheck": {"test": ["NONE"]},
        "log_config": LogConfig(type="json-file", config={"max-size": "10m", "max-file": "1"}),
    }


def _this_process() -> dict[str, str]:
    """Who has started a container: enough to tell later whether it still lives."""
    me = psutil.Process()
    return {f"{LABEL}host": socket.gethostname(), f"{LABEL}pid": str(me.pid), f"{LABEL}born": f"{me.create_time():.2f}"}


@contextmanager
def _lifeline(container: Container, secret: bytes) -> Iterator[None]:
    """Starts the container with an open standard input, sends the secret, and keeps the input open until the end."""
    attached = container.attach_socket(params={"stdin": 1, "stream": 1})
    wire: Any = getattr(attached, "_sock", attached)
    try:
        container.start()
        wire.sendall(secret + b"\n")
        yield
    finally:
        with suppress(OSError):
            wire.close()
        attached.close()


@contextmanager
def _deadline(container: Container, limits: Limits) -> Iterator[threading.Event]:
    """Kills a container that has outlived its own `timeout`, a frozen one for instance; the event then says so."""
    overdue = threading.Event()

    def kill() -> None:
        overdue.set()
        with suppress(DockerException, RequestException, OSError):
            container.kill()

    timer = threading.Timer(limits.timeout.total_seconds() + 2 * GRACE, kill)
    timer.daemon = True
    timer.start()
    try:
        yield overdue
    finally:
        timer.cancel()


def _follow_log(container: Container) -> None:
    rest = b""
    for piece in container.logs(stdout=False, stderr=True, stream=True, follow=True):
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            log.info("%s", line.decode(errors="replace"))
    if rest:
        log.info("%s", rest.decode(errors="replace"))


def _remove(container: Container) -> None:
    try:
        container.remove(force=True, v=True)
    except NotFound:
        return
    except (APIError, RequestException, OSError) as error:
        log.warning("container %s could not be removed (%s); the next night's sweep will", container.name, error)


def sweep_containers(labels: Mapping[str, str], *, is_wanted: Callable[[Mapping[str, str]], bool]) -> list[str]:
    """Removes stages' containers that carry `labels` and whose process is dead, or that `is_wanted(their labels)` denies.

    Returns their names. A container of another machine's process is judged by `is_wanted` alone.
    """
    with engine() as client:
        wanted_labels = [f"{LABEL}{name}={value}" for name, value in labels.items()]
        removed = []
        for container in client.containers.list(all=True, filters={"label": wanted_labels}, ignore_removed=True):
            own = {key.removeprefix(LABEL): value for key, value in container.labels.items() if key.startswith(LABEL)}
            if _is_orphan(own) or not is_wanted(own):
                _remove(container)
                removed.append(str(container.name))
        return removed


def _is_orphan(labels: Mapping[str, str]) -> bool:
    if labels.get("host") != socket.gethostname():
        return False
    try:
        born = psutil.Process(int(labels["pid"])).create_time()
    except (psutil.NoSuchProcess, KeyError, ValueError):
        return True
    return abs(born - float(labels["born"])) > 1
