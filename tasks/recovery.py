"""Recovery: what died is noticed by what it left behind, closed in the ledger and in Prefect, and tried again.

Prefect leaves a run `Running` for ever when its process dies with its worker; the ledger knows better, because the lock of
a dead process is free. Nothing here needs anybody to look.
"""

import os
import socket
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import psutil
import sqlalchemy as sa

from domain.words import RunState
from infra.postgres import database_url
from infra.prefect_api import FlowRun, PrefectApi
from infra.settings import Settings
from store.engine import create_engine
from store.recovery import close_dead_runs, newest_run_of

ATTEMPTS_AT_MOST = 3
PENDING_AT_MOST = timedelta(minutes=2)
TRIED_AGAIN_WITHIN = timedelta(days=7)  # however long Overnight was stopped; an older night belongs to the catch-up policy
_DIED = "its process ended without a word"
_ENDED = {
    RunState.PUBLISHED: ("COMPLETED", "Published"),
    RunState.SKIPPED: ("COMPLETED", "Nothing to do"),
    RunState.HELD: ("COMPLETED", "Held"),
    RunState.FAILED: ("FAILED", None),
}


def recover(settings: Settings, api_url: str, *, now: datetime) -> list[str]:
    """Closes what died on this machine and asks for it again; returns a sentence for each thing done. Safe to repeat.

    Raises DatabaseUnavailable or OrchestratorUnavailable when one of the two does not answer; the next call goes on.
    """
    engine = create_engine(database_url(settings, role="writer"), role="writer", pool_size=1)
    try:
        done = [f"{name}: run {run} died and is closed" for run, name in close_dead_runs(engine, is_alive=is_holder_alive)]
        with PrefectApi(api_url) as api:
            dead = [run for run in api.unfinished_runs() if is_dead(run, now=now)]
            done += [said for run in dead if (said := _close(api, run, engine))]
            crashed = api.crashed_runs(since=now - TRIED_AGAIN_WITHIN)
            done += [_try_again(api, run, engine) for run in crashed if _deserves_another_try(run, engine)]
        return done
    finally:
        engine.dispose()


def is_holder_alive(holder: Mapping[str, Any]) -> bool:
    """Whether the process that the ledger names still runs; one on another machine is judged by its lock alone."""
    if holder.get("host") != socket.gethostname():
        return False
    try:
        process = psutil.Process(int(holder.get("pid") or 0))
        same = abs(process.create_time() - float(holder.get("born") or process.create_time())) < 1
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def is_dead(run: FlowRun, *, now: datetime) -> bool:
    """Whether the run's process is gone: no such number, or one that was given again after the run began.

    A pending run may still carry the number of an earlier attempt, so it gets two minutes to begin.
    """
    if run.since is None or run.process == os.getpid():
        return False
    if run.state == "PENDING":
        return now - run.since > PENDING_AT_MOST and not (run.process and psutil.pid_exists(run.process))
    if run.process is None:
        return False
    try:
        process = psutil.Process(run.process)
        return process.status() == psutil.STATUS_ZOMBIE or process.create_time() > run.since.timestamp()
    except psutil.Error:
        return True


def _close(api: PrefectApi, run: FlowRun, engine: sa.Engine) -> str:
    """Says in Prefect what the ledger says; a cancelled one stays cancelled, what the ledger never heard of has crashed. One that
    holds its night's lock still is alive, on a machine or in a container whose process numbers mean nothing here."""
    told = newest_run_of(engine, run.id)
    if told is not None and told[0] is RunState.RUNNING:
        return ""
    state, name = _ENDED.get(told[0], ("CRASHED", None)) if told else ("CRASHED", None)
    if run.state == "CANCELLING":
        state, name = "CANCELLED", None
    api.set_state(run.id, state, name=name, message=told[1] if told else _DIED)
    return f"{run.name}: Prefect's run was left {run.state_name} by a process that is gone, and is {name or state.lower()} now"


def _deserves_another_try(run: FlowRun, engine: sa.Engine) -> bool:
    """Whether the night is open still. Runs below another one come again with it."""
    if run.attempts >= ATTEMPTS_AT_MOST or run.is_child:
        return False
    told = newest_run_of(engine, run.id)
    return told is None or told[0] is RunState.CRASHED


def _try_again(api: PrefectApi, run: FlowRun, engine: sa.Engine) -> str:
    """The same run, with the parameters and the scheduled moment that it had."""
    _, why = newest_run_of(engine, run.id) or (None, _DIED)
    message = f"{why}; tried again (attempt {run.attempts + 1} of {ATTEMPTS_AT_MOST})"
    api.set_state(run.id, "SCHEDULED", name="AwaitingRetry", message=message)
    return f"{run.name}: {message}"
