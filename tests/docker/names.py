"""Names for what tests make in an engine that outlives them, and the removal of what a killed run of theirs has left."""

import hashlib
import os
import re
import socket
import uuid
from contextlib import suppress
from typing import Any

import psutil
from docker.errors import APIError

# Of this machine's tests alone: the processes of another one that shares the engine cannot be looked at from here.
_HERE = f"overnight-test-{hashlib.sha256(socket.gethostname().encode()).hexdigest()[:6]}"


def fresh_name() -> str:
    """A name that nobody else has, in which the process stands that answers for it."""
    return f"{_HERE}-{os.getpid()}-{uuid.uuid4().hex[:6]}"


def sweep_killed(engine: Any) -> None:
    """Removes containers, networks, volumes and images whose process is dead, and what a dead stack's network was made for."""
    for container in engine.containers.list(all=True, ignore_removed=True):
        networks = container.attrs["NetworkSettings"]["Networks"] or {}
        if any(map(_is_dead, (container.name, container.labels.get("com.docker.compose.project", ""), *networks))):
            with suppress(APIError):  # another process of these tests is quicker
                container.remove(force=True, v=True)
    for one in (*engine.networks.list(), *engine.volumes.list()):
        if _is_dead(one.name):
            with suppress(APIError):
                one.remove()
    for tag in (tag for image in engine.images.list("overnight") for tag in image.tags):
        if _is_dead(tag.partition(":")[2]):
            with suppress(APIError):
                engine.images.remove(tag)


def _is_dead(name: str) -> bool:
    found = re.match(rf"{_HERE}-(\d+)-", name)
    return bool(found) and not psutil.pid_exists(int(found[1]))
