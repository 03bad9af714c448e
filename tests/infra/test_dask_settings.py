"""What Dask is told for a night's sake: settings that it knows, and heeds."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import distributed
import yaml

FILE = Path("infra/dask.yaml")


def names_in(settings: Mapping[str, Any], before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from names_in(value, (*before, name))
        else:
            yield (*before, name)


def test_every_setting_is_one_that_dask_has() -> None:
    own = yaml.safe_load((Path(distributed.__file__).parent / "distributed.yaml").read_text())
    assert set(names_in(yaml.safe_load(FILE.read_text()))) <= set(names_in(own))


def test_dask_reads_them_where_its_environment_says() -> None:
    ask = "import dask, distributed; print(dask.config.get('distributed.worker.profile.enabled'))"
    environment = {**os.environ, "DASK_CONFIG": str(FILE)}
    said = subprocess.run([sys.executable, "-c", ask], env=environment, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"
    dockerfile = Path("infra/docker/Dockerfile").read_text()
    assert "DASK_CONFIG=/srv/overnight/infra/dask.yaml" in dockerfile, "and so it does in containers"
