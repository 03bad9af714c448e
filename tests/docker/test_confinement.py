"""What a stage's container may not do, each tried from inside; and how its end is told, whoever brought it about."""

import json
import re
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from domain.errors import ContainerLost, StageFailed, UsageError
from domain.spec.running import Limits
from infra.containers import Ending, Work, identify_image, run_container, sweep_containers
from infra.images import version
from tasks.runners import explain
from tests.docker.names import fresh_name
from tests.patience import PATIENCE, wait_for

pytestmark = [pytest.mark.docker, pytest.mark.slow]
ROOT = Path(__file__).parents[2]
LEDGER = f"test-{uuid.uuid4().hex[:8]}"
SECRET = "a-password-that-nobody-sees"


def work(
    image: str, code: str, *, memory: str = "256m", seconds: int = 900, ledger: str = LEDGER, name: str = "", **more: Any
) -> Work:
    return Work(
        image=image,
        command=["python3", "-c", code],
        name=name or fresh_name(),
        labels={"ledger": ledger, "run": "1", "stage": "ingest"},
        environment={},
        secret=json.dumps({"database_url": SECRET}).encode(),
        network="none",
        limits=Limits(memory=memory, cpus=1, timeout=timedelta(seconds=seconds)),
        **more,
    )


def left_over(docker_engine: Any, ledger: str = LEDGER) -> list[str]:
    filters = {"label": f"overnight.ledger={ledger}"}
    return [each.name for each in docker_engine.containers.list(all=True, filters=filters, ignore_removed=True)]


def running(docker_engine: Any, ledger: str) -> list[Any]:
    return list(docker_engine.containers.list(filters={"label": f"overnight.ledger={ledger}"}, ignore_removed=True))


@pytest.fixture(autouse=True)
def nothing_is_left(docker_engine: Any) -> Any:
    yield
    assert left_over(docker_engine) == []


FORBIDDEN = {
    "the internet": "import socket; socket.create_connection(('1.1.1.1', 53), timeout=3)",
    "the machine's own network": "import socket; socket.create_connection(('172.17.0.1', 22), timeout=3)",
    "the Docker socket": "open('/var/run/docker.sock')",
    "writing the root file system": "open('/srv/overnight/domain/errors.py', 'a')",
    "writing to /etc": "open('/etc/passwd', 'a')",
    "becoming root": "import os; os.setuid(0)",
    "another user's secrets": "open('/etc/shadow')",
    "running what it wrote": "import os; open('/tmp/x', 'w').write('ls'); os.chmod('/tmp/x', 448); os.execl('/tmp/x', 'x')",
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_a_stage_is_denied(what: str, image: str) -> None:
    tried = f"try:\n    {FORBIDDEN[what]}\nexcept OSError:\n    raise SystemExit(42)"
    assert run_container(work(image, tried)).exit_code == 42


def test_a_stage_has_no_capability_and_can_gain_none(image: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="overnight.stage"):
        run_container(work(image, "import sys; sys.stderr.write(open('/proc/self/status').read())"))
    status = dict(line.split(":\t", 1) for line in caplog.messages if ":\t" in line)
    assert (status["CapEff"], status["CapPrm"], status["CapBnd"], status["NoNewPrivs"]) == ("0" * 16, "0" * 16, "0" * 16, "1")
    assert "0" not in status["Uid"].split()


def test_the_image_says_what_it_is_belongs_to_nobody_and_holds_nothing_to_build_with(image: str, docker_engine: Any) -> None:
    told = docker_engine.images.get(image).attrs["Config"]
    labels = {name.rpartition(".")[2]: value for name, value in told["Labels"].items()}
    assert labels["version"] == version()
    assert re.fullmatch(r"([0-9a-f]{40}(-changed)?|unknown)", labels["revision"])
    assert told["User"].partition(":")[0] not in ("", "0", "root")
    assert told["Healthcheck"]["Test"][0] == "CMD"
    tools = "import shutil; raise SystemExit(any(map(shutil.which, ('cc', 'gcc', 'clang', 'ld', 'make', 'pip', 'git'))))"
    assert run_container(work(image, tools)).exit_code == 0


def test_a_shown_folder_can_be_read_and_not_written(image: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "a.csv").write_text("rows")
    reads = "assert open('/shown/a.csv').read() == 'rows'"
    code = f"{reads}\ntry:\n    open('/shown/a.csv', 'w')\nexcept OSError:\n    raise SystemExit(42)"
    assert run_container(work(image, code, visible={tmp_path: "/shown"})).exit_code == 42
    assert (tmp_path / "a.csv").read_text() == "rows"


def test_the_password_stands_in_no_listing_of_docker(image: str, docker_engine: Any, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    waits = "while not os.path.exists('/shown/seen'):\n    time.sleep(0.05)"
    code = f"import os, sys, time\nassert sys.stdin.readline().strip()\n{waits}"

    def look(container: Any) -> None:
        (tmp_path / "seen").write_text(str(container.attrs))

    with while_it_runs(docker_engine, look):
        assert run_container(work(image, code, visible={tmp_path: "/shown"})).exit_code == 0
    assert "overnight-test-" in (tmp_path / "seen").read_text()
    assert SECRET not in (tmp_path / "seen").read_text()


def test_out_of_memory_is_said_as_such_with_the_limit_to_raise(image: str) -> None:
    asked = work(image, "x = bytearray(500_000_000); x[::4096] = b'x' * len(x[::4096])", memory="64m")
    ending = run_container(asked)
    assert ending.out_of_memory
    error = explain(ending, asked.limits, began=True)
    assert str(error) == "the stage ran out of memory at its limit of 64 MiB. Try: raise runner.limits.memory in pipeline.yaml"


def test_a_stage_past_its_time_is_ended_and_said_so(image: str) -> None:
    asked = work(image, "import time; time.sleep(900)", seconds=1)
    ending = run_container(asked)
    assert ending.timed_out
    assert "longer than its limit of 0:00:01" in str(explain(ending, asked.limits, began=True))


def test_a_stage_that_has_done_its_work_ends_at_once_and_in_peace(image: str) -> None:
    ending = run_container(work(image, "import tasks.__main__ as stage; stage.read_settings()"))
    assert ending.exit_code == 0


def test_a_container_that_somebody_kills_may_be_tried_again(image: str, docker_engine: Any) -> None:
    with while_it_runs(docker_engine, lambda container: container.kill()):
        ending = run_container(work(image, "import time; time.sleep(900)"))
    error = explain(ending, Limits(), began=True)
    assert isinstance(error, ContainerLost)
    assert error.retryable


def test_a_container_that_dies_of_itself_before_the_ledger_is_not_tried_again() -> None:
    assert isinstance(explain(Ending(1, False, False), Limits(), began=False), StageFailed)


def test_an_image_that_is_not_here_is_named_with_the_way_to_it(docker_engine: Any) -> None:
    with pytest.raises(UsageError, match=r"no container image 'overnight:nowhere'.*overnight image build"):
        identify_image("overnight:nowhere")


def test_without_an_engine_the_sentence_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    with pytest.raises(ContainerLost, match=r"the Docker engine does not do as asked .*Try: docker info"):
        identify_image("overnight:test")


RUN_AND_WAIT = """
import sys
sys.path.insert(0, {root!r})
from tests.docker.test_confinement import work
from infra.containers import run_container
from tasks.stopping import stopping_between_imports
code = "import sys, tasks.__main__ as stage, time; stage.read_settings(); print('watching', file=sys.stderr); time.sleep(900)"
with stopping_between_imports():
    run_container(work({image!r}, code, ledger={ledger!r}, name={name!r}))
"""


def test_a_killed_runner_leaves_nothing_running_and_the_next_one_sweeps_up(image: str, docker_engine: Any) -> None:
    ledger, other = f"{LEDGER}-dead", f"{LEDGER}-other"
    runner = start_runner(image, ledger)
    bystander = start_runner(image, other)
    (container,) = wait_for(lambda: running(docker_engine, ledger))
    wait_for(lambda: running(docker_engine, other))
    wait_for(lambda: b"watching" in container.logs())  # its standard input
    runner.kill()
    runner.wait()
    wait_for(lambda: not running(docker_engine, ledger))
    assert sweep_containers({"ledger": ledger}, is_wanted=lambda labels: True) == [container.name]
    assert left_over(docker_engine, ledger) == []
    assert len(left_over(docker_engine, other)) == 1, "a living run of another ledger is left alone"
    bystander.terminate()
    bystander.wait()
    wait_for(lambda: not running(docker_engine, other))
    sweep_containers({"ledger": other}, is_wanted=lambda labels: True)
    assert left_over(docker_engine, other) == []


def test_a_container_of_a_run_that_is_over_is_swept_though_its_process_lives(image: str, docker_engine: Any) -> None:
    ledger = f"{LEDGER}-over"
    runner = start_runner(image, ledger)
    wait_for(lambda: running(docker_engine, ledger))
    assert sweep_containers({"ledger": ledger}, is_wanted=lambda labels: True) == []
    assert len(sweep_containers({"ledger": ledger}, is_wanted=lambda labels: labels["run"] != "1")) == 1
    runner.wait(timeout=PATIENCE)


@pytest.mark.parametrize(
    ("number", "found"), [(signal.SIGINT, left_over), (signal.SIGTERM, running)], ids=["just made", "running"]
)
def test_who_is_stopped_removes_the_container(
    image: str, docker_engine: Any, number: signal.Signals, found: Callable[[Any, str], list[Any]]
) -> None:
    ledger = f"{LEDGER}-{found.__name__}"
    runner = start_runner(image, ledger)
    wait_for(lambda: found(docker_engine, ledger), every=0.002)
    runner.send_signal(number)
    runner.wait(timeout=PATIENCE)
    assert left_over(docker_engine, ledger) == []


def start_runner(image: str, ledger: str) -> subprocess.Popen[bytes]:
    code = RUN_AND_WAIT.format(root=str(ROOT), image=image, ledger=ledger, name=fresh_name())
    return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.DEVNULL)


class while_it_runs:
    """Does something to the first container that this file's tests start inside, from a thread of its own."""

    def __init__(self, engine: Any, act: Callable[[Any], object]) -> None:
        self.thread = threading.Thread(target=lambda: act(self._find(engine)))

    @staticmethod
    def _find(engine: Any) -> Any:
        return wait_for(lambda: running(engine, LEDGER))[0]

    def __enter__(self) -> None:
        self.thread.start()

    def __exit__(self, *_: object) -> None:
        self.thread.join()
