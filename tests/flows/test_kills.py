"""The run, the worker, Prefect's server and Postgres are killed in turn while nights are taken, and every night ends."""

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow(110)  # a house of its own is started, and started again


def test_every_night_ends_as_a_quiet_one_whatever_is_killed_meanwhile() -> None:
    line = [sys.executable, "-m", "bench.kills", "--kills", "4", "--nights", "2", "--at-most", "600"]
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=880)
    found = json.loads(done.stdout or "{}")
    assert (done.returncode, found.get("broke")) == (0, {}), done.stdout + done.stderr
    assert set(found["by_target"]) == {"run", "worker", "server", "postgres"}
    assert found["polls"] > 10
