"""`overnight cancel` ends what is under way in another process, which closes its own run; one that is killed is no success."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa

from cli.taking import _through_prefect
from deployments.catalogue import Definition
from domain.errors import StageFailed
from infra.prefect_home import settings_environment
from infra.settings import Settings
from store.runs import claim
from tasks.cancelling import cancel_nights
from tests.patience import PATIENCE, wait_for

ELSEWHERE = {"host": "elsewhere", "pid": os.getpid()}
BACKFILL = ("backfill", "shops", "--from", "2024-01-01", "--to", "2024-01-04", "--direct")


def test_a_backfill_that_is_cancelled_closes_its_run_and_begins_no_other(
    settings: Settings, shops: Definition, write_day: Callable[..., Path], writer: sa.Engine
) -> None:
    for day in range(1, 5):
        write_day(f"2024-01-0{day}", rows=60 if day == 1 else 200_000)
    line = [sys.executable, "-c", "from cli.main import main; main()", *BACKFILL]
    process = subprocess.Popen(line, env=os.environ | settings_environment(settings), stderr=subprocess.PIPE, text=True)
    done = wait_for(lambda: cancel_nights(shops, settings))
    _, said = process.communicate(timeout=PATIENCE)
    assert f"is stopped (process {process.pid})" in done[0]
    assert (process.returncode, "Traceback" in said) == (130, False), said
    assert re.search(r"\d nights? ended before; what was published stays.*\nstopped\n$", said), said
    with writer.connect() as connection:
        lines = connection.execute(sa.text("SELECT state, reason FROM overnight.run ORDER BY id")).all()
    assert tuple(lines[-1]) == ("failed", "stopped by hand")
    assert len(lines) < 4


def test_a_night_on_another_machine_is_ended_by_the_process_here_that_leads_its_backfill(
    settings: Settings, shops: Definition, writer: sa.Engine
) -> None:
    leader = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    born = psutil.Process(leader.pid).create_time()
    holder = ELSEWHERE | {"leader": {"host": socket.gethostname(), "pid": leader.pid, "born": born}}
    with claim(writer, "shops", shops.pipeline.calendar.first, trigger="backfill", holder=holder):
        assert cancel_nights(shops, settings) == [f"shops 2024-01-01: run 1 is stopped (process {leader.pid})"]
    assert leader.wait(PATIENCE) == -signal.SIGTERM
    with claim(writer, "shops", shops.pipeline.calendar.first, trigger="backfill", holder=ELSEWHERE):
        assert cancel_nights(shops, settings) == ["shops 2024-01-01: run 2 is taken on elsewhere; cancel it there"]


def test_a_flow_that_is_killed_is_said_and_not_taken_for_done(
    tmp_path: Path, shops: Definition, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = tmp_path / "python"
    killed.write_text("#!/bin/sh\nkill -9 $$\n")
    killed.chmod(0o700)
    monkeypatch.setattr("sys.executable", str(killed))
    taking = _through_prefect(
        shops,
        [shops.pipeline.calendar.first],
        "http://127.0.0.1:1/api",
        trigger="command",
        model="as-due",
        parallel=1,
        tell=False,
    )
    with pytest.raises(StageFailed, match="shops: the process that took the nights was ended by signal 9 after 0 of 1"):
        list(taking)
