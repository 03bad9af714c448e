"""What `overnight up` keeps running: everything comes up, a schedule schedules, a trigger takes a night, nothing is left."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

import psutil
import pytest
import sqlalchemy as sa

from deployments.catalogue import Definition
from deployments.prefect_yaml import render_prefect_yaml
from domain.errors import OrchestratorUnavailable, UsageError
from domain.planning import CUT_OFF, STOPPED
from infra.prefect_api import FlowRun, PrefectApi, find_server
from infra.processes import Part, start_part, stop_child, stop_leftovers, wait_until_ready
from infra.services import PREFECT, WORKER, Services, run_services
from infra.settings import Settings
from tasks.cancelling import cancel_nights
from tasks.prepare import prepare_house
from tasks.recovery import recover
from tests.patience import PATIENCE, schedule_far_from_now, wait_for
from tests.ports import free_port


def descendants() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


@contextmanager
def running(settings: Settings, definition: Definition, said: list[str]) -> Iterator[tuple[Services, PrefectApi]]:
    scheduled = definition.pipeline.model_copy(update={"schedule": schedule_far_from_now()})
    url = f"http://127.0.0.1:{settings.prefect_port}/api"
    with (
        run_services(
            settings,
            say=said.append,
            parts={PREFECT, WORKER},
            prefect_yaml=render_prefect_yaml([scheduled]),
            before_worker=lambda: said.extend(recover(settings, url, now=datetime.now(UTC))),
        ) as services,
        PrefectApi(services.prefect_url) as api,
    ):
        yield services, api


@pytest.fixture
def home(settings: Settings) -> Settings:
    return settings.model_copy(update={"prefect_port": free_port(), "web_port": free_port()})


def runs(writer: sa.Engine) -> list[tuple[str, str | None, str]]:
    """State, reason and Prefect's run of each run in the ledger."""
    query = "SELECT state, reason, holder ->> 'prefect_flow_run' FROM overnight.run ORDER BY id"
    with writer.connect() as connection:
        return [tuple(line) for line in connection.execute(sa.text(query))]


def night_of(api: PrefectApi, run: FlowRun, definition: Definition) -> str:
    """Which night a run is for that the schedule has written ahead."""
    tick = datetime.fromisoformat(api._call("GET", f"/flow_runs/{run.id}")["expected_start_time"])
    night = definition.pipeline.calendar.before(tick)
    assert night is not None
    return definition.pipeline.calendar.label(night)


@pytest.mark.slow(70)
def test_a_night_that_stopping_everything_cuts_off_is_taken_again_at_the_next_start_and_a_cancelled_one_is_not(
    home: Settings, shops: Definition, write_day: Callable[..., Path], writer: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.ending.ENDED_WITHIN", PATIENCE)
    write_day("2024-01-05")
    write_day("2024-01-01", rows=300_000)
    before, said = descendants(), list[str]()
    with suppress(KeyboardInterrupt), running(home, shops, said) as (services, api):
        assert find_server(home) == services.prefect_url
        deployment = api.find_deployment("shops")
        assert deployment is not None
        tonight = wait_for(lambda: api.scheduled_runs(deployment))[0]  # SQLAlchemy 2.1 would have the scheduler insert nothing
        asked = api.create_run("shops", interval="2024-01-05")
        states = [step.state_name for step in api.follow(asked.id, timeout=2 * PATIENCE) if isinstance(step, FlowRun)]
        assert states[-1] == "Published", (states, api.read_logs(asked.id))
        wait_for(lambda: any("shops 2024-01-05 ingest: done" in line.text for line in api.read_logs(asked.id)))
        ((state, _, flow_run),) = runs(writer)
        assert (state, flow_run) == ("published", asked.id)
        write_day(night_of(api, tonight, shops), rows=300_000)
        api.set_state(tonight.id, "SCHEDULED", message="earlier than its tick")
        wait_for(lambda: [state for state, *_ in runs(writer)] == ["published", "running"])
        process = wait_for(lambda: api.read_run(tonight.id).process)
        os.kill(os.getpid(), signal.SIGTERM)
        services.keep_running()
    assert runs(writer)[1:] == [("crashed", CUT_OFF, tonight.id)]
    assert not psutil.pid_exists(process) or psutil.Process(process).status() == psutil.STATUS_ZOMBIE
    assert find_server(home) is None
    wait_for(lambda: descendants() <= before)
    assert any(services.prefect_url.removesuffix("/api") in line for line in said)

    with running(home, shops, said) as (services, api):
        assert any(line.endswith(f"{CUT_OFF}; tried again (attempt 2 of 3)") for line in said), said
        wait_for(lambda: api.read_run(tonight.id).is_final)
        assert api.read_run(tonight.id).state_name == "Published"
        assert [(state, run) for state, _, run in runs(writer)[1:]] == [("crashed", tonight.id), ("published", tonight.id)]
        (file := shops.folder / "pipeline.yaml").write_text(file.read_text() + "catch_up: all\n")
        cancelled = wait_for(lambda: api.scheduled_runs(deployment))[0]
        api.set_state(cancelled.id, "SCHEDULED", message="earlier than its tick")
        wait_for(lambda: runs(writer)[-1][0] == "running")
        assert cancel_nights(shops, home) == ["shops 2024-01-01: run 4 is cancelled through Prefect"]
        wait_for(lambda: api.read_run(cancelled.id).is_final)
        assert (api.read_run(cancelled.id).state, runs(writer)[-1][:2]) == ("CANCELLED", ("failed", STOPPED))
        assert recover(home, services.prefect_url, now=datetime.now(UTC)) == [], "what a person has ended stays ended"
        whole = file.read_text()
        file.write_text("name: broken\n")
        gone = shops.pipeline.model_copy(update={"name": "gone"})
        services.deploy(render_prefect_yaml([*prepare_house(home).pipelines, gone]))
        file.write_text(whole)
        assert [one.name for one in api.deployments()] == ["shops"], "what is broken keeps its nights, what is gone has none"


@pytest.mark.slow
def test_what_dies_is_started_again(home: Settings) -> None:
    said: list[str] = []
    with run_services(home, say=said.append, parts={PREFECT}) as services:
        first = services.children[0].process.pid
        os.killpg(first, signal.SIGKILL)
        deadline = monotonic() + PATIENCE
        services.keep_running(until=lambda: services.children[0].process.pid != first or monotonic() > deadline)
        assert find_server(home) == services.prefect_url
    assert any("started again" in line for line in said)


def test_a_taken_port_is_named_with_the_way_out(home: Settings) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", home.prefect_port))
        other.listen()
        with (
            pytest.raises(UsageError, match=f"port {home.prefect_port} is taken"),
            run_services(home, say=lambda _: None, parts={PREFECT}),
        ):
            pass


def test_a_second_one_for_the_same_home_is_refused(home: Settings) -> None:
    with (
        run_services(home, say=lambda _: None, parts=()),
        pytest.raises(UsageError, match="already kept running"),
        run_services(home, say=lambda _: None, parts=()),
    ):
        pass


def part(*command: str, ready: Callable[[], bool] = lambda: False, patience: float = 20) -> Part:
    return Part("part", "the part", command, dict(os.environ), ready, patience=patience, stop_within=1)


def test_a_part_that_dies_at_once_is_reported_with_its_last_word(tmp_path: Path) -> None:
    child = start_part(part(sys.executable, "-c", "raise SystemExit('no such option')"), logs=tmp_path)
    with pytest.raises(OrchestratorUnavailable, match="the part ended at once: no such option"):
        wait_until_ready(child, say=lambda _: None)


def test_a_part_that_never_gets_ready_is_given_up(tmp_path: Path) -> None:
    child = start_part(part("sleep", "60", patience=0.3), logs=tmp_path)
    with pytest.raises(OrchestratorUnavailable, match="not ready after"):
        wait_until_ready(child, say=lambda _: None)
    stop_child(child)


def test_a_part_that_ignores_the_request_is_ended_with_all_it_started(tmp_path: Path) -> None:
    child = start_part(part("bash", "-c", "trap '' TERM; sleep 60 & sleep 60"), logs=tmp_path)
    wait_for(lambda: len(psutil.Process(child.process.pid).children()) == 2)
    family = psutil.Process(child.process.pid).children()
    stop_child(child)
    wait_for(lambda: not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in family))


def test_what_a_killed_supervisor_left_is_stopped_by_the_next_start(home: Settings) -> None:
    code = (
        "import json, os, subprocess, sys, psutil; from pathlib import Path\n"
        "quiet = {'stdout': subprocess.DEVNULL, 'stderr': subprocess.DEVNULL}\n"
        "child = subprocess.Popen(['sleep', '600'], start_new_session=True, **quiet)\n"
        "Path(sys.argv[1]).write_text(json.dumps([[child.pid, psutil.Process(child.pid).create_time()]])); print(child.pid)"
    )
    home.home.mkdir(parents=True, exist_ok=True)
    notes = home.home / "services.json"
    left = int(subprocess.run([sys.executable, "-c", code, str(notes)], capture_output=True, text=True, check=True).stdout)
    said: list[str] = []
    with run_services(home, say=said.append, parts=()):
        assert not psutil.pid_exists(left) or psutil.Process(left).status() == psutil.STATUS_ZOMBIE
    assert "stopped what an earlier start had left running" in said
    assert stop_leftovers(notes) == 0


def test_sigterm_stops_everything_cleanly(home: Settings) -> None:
    code = """
import sys
from pathlib import Path
from infra.processes import Part
from infra.services import run_services
from infra.settings import Settings
with run_services(Settings(home=Path(sys.argv[1]), database_url="postgresql://nobody/none"), say=print, parts=()) as services:
    services.start(Part("part", "the part", ["sleep", "60"], {"PATH": "/usr/bin:/bin"}, lambda: True))
    print(services.children[0].process.pid, flush=True)
    services.keep_running()
"""
    supervisor = subprocess.Popen(
        ["bash", "-c", 'trap "" INT; exec "$0" "$@"', sys.executable, "-c", code, str(home.home)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert supervisor.stdout is not None
    child = int(supervisor.stdout.readline())
    supervisor.terminate()
    output, _ = supervisor.communicate(timeout=PATIENCE)
    assert "stopping the part" in output
    assert not psutil.pid_exists(child)
