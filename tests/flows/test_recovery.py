"""What died is noticed without anybody looking: closed in the ledger and in Prefect, and tried again."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import cast

import psutil
import pytest
import sqlalchemy as sa

from deployments.catalogue import Definition
from deployments.prefect_yaml import render_prefect_yaml
from infra.postgres import Postmaster
from infra.prefect_api import FlowRun, PrefectApi
from infra.services import PREFECT, WORKER, Services, run_services
from infra.settings import Settings
from store.engine import parse_url
from store.recovery import close_dead_runs
from store.runs import claim
from tasks.night import whoami
from tasks.planning import plan_scheduled
from tasks.recovery import _close, _deserves_another_try, is_dead, is_holder_alive, recover
from tasks.watch import watch
from tests.conftest import _execute
from tests.patience import PATIENCE, schedule_far_from_now, wait_for

Write = Callable[..., Path]


def run_states(writer: sa.Engine) -> list[str]:
    with writer.connect() as connection:
        return list(connection.scalars(sa.text("SELECT state FROM overnight.run ORDER BY id")))


def flow_run(*, state: str = "RUNNING", process: int | None, since: datetime) -> FlowRun:
    return FlowRun("id", "shops 2024-01-05", state, state.title(), "", "deployment", {}, process, since, 1, False, "")


def test_a_run_is_dead_when_its_process_is_gone_or_its_number_was_given_again() -> None:
    now = datetime.now(UTC)
    mine = psutil.Process().ppid()
    born = datetime.fromtimestamp(psutil.Process(mine).create_time(), UTC)
    assert not is_dead(flow_run(process=mine, since=now), now=now)
    assert is_dead(flow_run(process=mine, since=born - timedelta(minutes=1)), now=now)
    assert is_dead(flow_run(process=2**22 + 1, since=now), now=now)
    assert not is_dead(flow_run(process=None, since=now), now=now)


def test_a_pending_run_gets_two_minutes_and_then_holds_the_slot_no_longer() -> None:
    now = datetime.now(UTC)
    assert not is_dead(flow_run(state="PENDING", process=2**22 + 1, since=now - timedelta(seconds=100)), now=now)
    assert is_dead(flow_run(state="PENDING", process=None, since=now - timedelta(seconds=130)), now=now)


def test_a_holder_is_told_from_another_process_with_its_number() -> None:
    me = psutil.Process()
    holder = {"host": os.uname().nodename, "pid": me.pid, "born": me.create_time()}
    assert is_holder_alive(holder)
    assert not is_holder_alive({**holder, "born": me.create_time() - 100})
    assert not is_holder_alive({**holder, "host": "elsewhere"})
    assert is_holder_alive(whoami())
    assert not is_holder_alive({**whoami(), "born": holder["born"] - 100}), "after a reboot the number is somebody else's"


def test_a_run_whose_night_is_locked_is_alive_whatever_number_its_process_has_elsewhere(
    shops: Definition, writer: sa.Engine
) -> None:
    elsewhere = {"host": "elsewhere", "pid": 2**22 + 1, "prefect_flow_run": "id"}
    run = flow_run(process=2**22 + 1, since=datetime.now(UTC))
    nobody_is_asked = cast(PrefectApi, None)
    with claim(writer, "shops", shops.pipeline.calendar.first, trigger="schedule", holder=elsewhere):
        assert close_dead_runs(writer, is_alive=is_holder_alive) == []
        assert _close(nobody_is_asked, run, writer) == ""
        assert not _deserves_another_try(run, writer)
    assert [name for _, name in close_dead_runs(writer, is_alive=is_holder_alive)] == ["shops"]
    assert _deserves_another_try(run, writer)


def test_a_night_whose_run_died_is_caught_up_though_nobody_was_there_to_notice(
    settings: Settings, shops: Definition, writer: sa.Engine
) -> None:
    calendar = shops.pipeline.calendar
    with claim(writer, "shops", calendar.first, trigger="schedule", holder={"host": "elsewhere", "pid": 1}):
        pass  # the lock is free again, and the line of the run is as a dead process leaves it
    everything = replace(shops, pipeline=shops.pipeline.model_copy(update={"catch_up": "all"}))
    tick = datetime(2024, 1, 4, 2, tzinfo=calendar.timezone)
    tonight = plan_scheduled(everything, calendar.named("2024-01-03"), settings, tick=tick, now=tick)
    assert [calendar.label(night) for night in tonight.missed] == ["2024-01-01", "2024-01-02"]
    assert run_states(writer) == ["crashed"]


def test_no_error_ends_the_watch_and_it_goes_on_as_soon_as_it_can(
    settings: Settings, shops: Definition, writer: sa.Engine, owner: sa.Engine, server: Postmaster, database: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The database goes away for a moment, then a line of the ledger is not as anybody would have written it."""
    name = parse_url(database).database
    odd = {"host": socket.gethostname(), "pid": "a number"}
    said: list[str] = []

    def close_the_database() -> None:
        with claim(writer, "shops", shops.pipeline.calendar.first, trigger="schedule", holder=odd):
            pass
        end = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        _execute(server, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false", end)

    def open_the_database() -> None:
        _execute(server, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

    def mend_the_line() -> None:
        with owner.begin() as connection:
            connection.execute(sa.text("UPDATE overnight.run SET holder = '{}'"))

    steps = iter((close_the_database, open_the_database, mend_the_line))

    def is_over() -> bool:
        step = next(steps, None)
        if step is not None:
            step()
        return step is None

    def look() -> None:
        said.extend(watch(settings, "http://127.0.0.1:1/api", now=datetime.now(UTC)))

    monkeypatch.setattr("infra.services.WATCH_EVERY", -1.0)
    Services(settings, say=said.append).keep_running(watch=look, until=is_over)
    away, odd_line = (
        next(line for line in said if word in line) for word in ("Postgres does not answer", "unexpected ValueError")
    )
    assert said.index(away) < said.index(odd_line)
    assert "a number" in odd_line
    assert run_states(writer) == ["crashed"], said


_CLAIM_AND_SLEEP = """
import sys, time
from domain.words import Stage
from infra.settings import load_settings
from deployments.catalogue import load_definition
from store.runs import begin_stage, claim
from tasks.context import writer_engine
from tasks.night import whoami
settings = load_settings()
shops = load_definition(settings.deployments, "shops").pipeline
with claim(writer_engine(settings), "shops", shops.calendar.first, trigger="schedule", holder=whoami()) as run:
    begin_stage(writer_engine(settings), run.id, Stage.INGEST)
    print("holding", flush=True)
    time.sleep(600)
"""


@pytest.mark.slow
def test_a_killed_run_is_closed_in_the_ledger_and_a_living_one_is_let_be(
    prefect: str, here: Settings, shops: Definition, writer: sa.Engine
) -> None:
    process = subprocess.Popen([sys.executable, "-c", _CLAIM_AND_SLEEP], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "holding\n"
    assert recover(here, prefect, now=datetime.now(UTC)) == []
    assert run_states(writer) == ["running"]
    process.kill()
    process.wait()
    assert wait_for(lambda: recover(here, prefect, now=datetime.now(UTC))) == ["shops: run 1 died and is closed"]
    assert run_states(writer) == ["crashed"]
    with writer.connect() as connection:
        assert connection.scalar(sa.text("SELECT state FROM overnight.stage_run")) == "failed"


@pytest.mark.slow(55)
def test_a_power_cut_leaves_no_stuck_slot_and_the_night_is_finished_in_the_end(
    settings: Settings, shops: Definition, write_day: Write, writer: sa.Engine, port: int
) -> None:
    """The worker and its run are killed at once, as by a power cut: Prefect alone would leave the run `Running` for ever."""
    write_day("2024-01-05", rows=200_000)  # long enough to be killed in the middle
    home = settings.model_copy(update={"prefect_port": port})
    scheduled = shops.pipeline.model_copy(update={"schedule": schedule_far_from_now()})
    said: list[str] = []
    with (
        run_services(home, say=said.append, parts={PREFECT, WORKER}, prefect_yaml=render_prefect_yaml([scheduled])) as services,
        PrefectApi(services.prefect_url) as api,
    ):
        asked = api.create_run("shops", interval="2024-01-05")
        wait_for(lambda: run_states(writer) == ["running"])
        worker = next(child for child in services.children if child.part.name == WORKER)
        process = wait_for(lambda: api.read_run(asked.id).process)
        os.killpg(worker.process.pid, signal.SIGKILL)
        os.kill(process, signal.SIGKILL)
        wait_for(lambda: is_dead(api.read_run(asked.id), now=datetime.now(UTC)))
        assert api.read_run(asked.id).state == "RUNNING"

        def look() -> None:
            said.extend(watch(home, services.prefect_url, now=datetime.now(UTC)))

        look()
        deadline = monotonic() + 2 * PATIENCE
        services.keep_running(watch=look, until=lambda: api.read_run(asked.id).state == "COMPLETED" or monotonic() > deadline)
        assert api.read_run(asked.id).state_name == "Published", (said, api.read_run(asked.id))
    assert run_states(writer) == ["crashed", "published"]
    assert any("tried again (attempt 2 of 3)" in line for line in said), said
