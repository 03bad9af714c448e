"""How `runner:` may be written, and what is said of what it may not be."""

from datetime import timedelta
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from domain.pipeline import Pipeline
from domain.spec.running import Limits, Runner

RUNNER: TypeAdapter[Runner] = TypeAdapter(Pipeline.model_fields["runner"].rebuild_annotation())


@pytest.mark.parametrize(
    ("written", "kind", "memory", "timeout"),
    [
        ("inline", "inline", 2 * 2**30, timedelta(hours=1)),
        ("docker", "docker", 2 * 2**30, timedelta(hours=1)),
        ({"kind": "docker", "limits": {"memory": "512m", "timeout": "90s"}}, "docker", 512 * 2**20, timedelta(seconds=90)),
        (
            {"kind": "docker", "limits": {"memory": "1.5g", "timeout": "30 minutes"}},
            "docker",
            1536 * 2**20,
            timedelta(minutes=30),
        ),
    ],
)
def test_a_runner_is_a_word_or_a_word_with_limits(written: Any, kind: str, memory: int, timeout: timedelta) -> None:
    runner = RUNNER.validate_python(written)
    assert (runner.kind, runner.limits.memory, runner.limits.timeout) == (kind, memory, timeout)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("podman", "'inline', 'docker' or 'dask'"),
        ({"kind": "docker", "limits": {"memory": "much"}}, "write it as 512m or 2g"),
        ({"kind": "docker", "limits": {"timeout": "soon"}}, "write it as 90s, 30m or 1h"),
        ({"kind": "docker", "limits": {"cpus": 0}}, "greater than 0"),
        ({"kind": "docker", "limit": {}}, "not permitted"),
    ],
)
def test_a_wrong_runner_is_refused_with_what_may_stand_there(written: Any, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        RUNNER.validate_python(written)


def test_what_the_ledger_keeps_of_a_runner_reads_as_the_same_runner() -> None:
    runner = Runner(kind="docker", limits=Limits(memory=2**28, cpus=0.5, timeout=timedelta(minutes=5)))
    assert RUNNER.validate_python(runner.model_dump(mode="json")) == runner
