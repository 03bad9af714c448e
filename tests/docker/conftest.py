"""A Docker engine and the image of this tree; on a machine that has none the tests say why they were skipped."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.errors import OvernightError

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[object]:
    """docker-py's client, for what tests look at and break."""
    import docker

    try:
        client = docker.from_env(timeout=120)
        client.ping()
    except Exception as error:
        pytest.skip(f"no Docker engine answers here ({str(error)[:120]})")
    yield client
    client.close()


@pytest.fixture(scope="session")
def image(docker_engine: object) -> str:
    """The image, built from this tree; the engine keeps its layers, so only the first time takes minutes."""
    from infra.images import build_image

    base = os.environ.get("OVERNIGHT_TEST_BASE")
    try:
        return build_image("overnight:test", **({"base": base} if base else {}))
    except OvernightError as error:
        if base:
            raise
        pytest.skip(f"the image cannot be built here ({error})")
