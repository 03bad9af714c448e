"""A Docker engine and the image of this tree; on a machine that has none the tests say why they were skipped."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from domain.errors import OvernightError
from infra.images import build_image
from tests.docker.names import sweep_killed


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[Any]:
    """docker-py's client, for what tests look at and break."""
    import docker

    try:
        client = docker.from_env(timeout=600)
        client.ping()
    except Exception as error:
        pytest.skip(f"no Docker engine answers here ({str(error)[:120]})")
    sweep_killed(client)
    yield client
    client.close()


@pytest.fixture(scope="session")
def image(docker_engine: Any) -> str:
    """The image, built from this tree; the engine keeps its layers, so only the first time takes minutes.

    The base is OVERNIGHT_TEST_BASE, or the one that `infra/docker/base-from-debian.sh` made here, or the Dockerfile's own.
    """
    local = "python-base" if docker_engine.images.list("python-base") else None
    base = os.environ.get("OVERNIGHT_TEST_BASE", local)
    try:
        with (Path(tempfile.gettempdir()) / "overnight-test-image.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # whoever tests beside this one finds the layers
            return build_image("overnight:test", base=base)
    except OvernightError as error:
        if base:
            raise
        pytest.skip(f"the image cannot be built here ({error})")
