"""Why, when and as whom a flow run runs: what Prefect knows of it, read once at the flow's edge."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import psutil
from prefect.client.orchestration import SyncPrefectClient
from prefect.context import FlowRunContext
from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_URL

from deployments.catalogue import Definition, load_definition
from domain.errors import OvernightError, UsageError
from domain.interval import Interval
from infra.prefect_api import STARTED_BY_WORKER, PrefectApi
from infra.settings import load_settings


@dataclass(frozen=True, slots=True)
class Errand:
    """A flow run that another one makes: for which purpose, and as which of how many."""

    trigger: str
    number: int
    total: int
    tells: bool


_errand: ContextVar[Errand | None] = ContextVar("errand", default=None)


def scheduled_moment() -> datetime:
    """The tick of the schedule that this run answers, however late it starts; for a manual run, when it was asked for."""
    moment = flow_run.get_scheduled_start_time()
    return datetime.fromtimestamp(moment.timestamp(), UTC)


def choose_interval(definition: Definition, name: str | None, *, moment: datetime) -> Interval:
    """The interval that is asked for by name, or the newest one that had ended by `moment`.

    Raises UsageError when the name is none, or nothing has ended yet.
    """
    calendar = definition.pipeline.calendar
    if name is not None:
        return calendar.named(name)
    interval = calendar.before(moment)
    if interval is None:
        raise UsageError(
            f"no interval of {definition.pipeline.name} has ended by {moment:%Y-%m-%d %H:%M} UTC",
            hint=f"overnight run {definition.pipeline.name} --interval {calendar.origin}",
        )
    return interval


def is_scheduled() -> bool:
    """Whether the schedule made this run, and nobody asked for it."""
    context = FlowRunContext.get()
    return bool(context and context.flow_run and context.flow_run.auto_scheduled)


def trigger() -> str:
    """What the ledger says of why the run began: command, schedule, catch-up, late rows or backfill."""
    errand = _errand.get()
    if errand is not None:
        return errand.trigger
    return "schedule" if is_scheduled() else "command"


def is_on_errand() -> bool:
    """Whether another flow run made this one."""
    return _errand.get() is not None


def place() -> tuple[int, int]:
    """Which of how many nights this is."""
    errand = _errand.get()
    return (errand.number, errand.total) if errand else (1, 1)


@contextmanager
def on_errand(trigger: str, *, number: int, total: int, tells: bool = False) -> Iterator[None]:
    """Flow runs that begin inside were made by another one, and say so."""
    token = _errand.set(Errand(trigger, number, total, tells))
    try:
        yield
    finally:
        _errand.reset(token)


def asks_to_tell() -> bool:
    """Whether whoever made this run wants people and webhook to be told, though the schedule did not make it."""
    errand = _errand.get()
    return bool(errand.tells if errand is not None else flow_run.get_parameters().get("tell"))


def holder() -> dict[str, Any]:
    """What the ledger's line adds, so that a dead run is found on both sides, and the worker's run that this one is a part of."""
    asked = {"tell": True} if asks_to_tell() else {}
    worker = {"worker_flow_run": os.environ[STARTED_BY_WORKER]} if STARTED_BY_WORKER in os.environ else {}
    return {"born": psutil.Process().create_time(), "prefect_flow_run": str(flow_run.get_id()), **worker, **asked}


def is_cancelled() -> bool:
    """Whether somebody has asked Prefect to end this run, or the worker's run that it is a part of. One that the command line
    started is told by no worker, and has to ask."""
    context, url = FlowRunContext.get(), PREFECT_API_URL.value()
    if context is None or context.flow_run is None or url is None:
        return False
    with suppress(OvernightError), PrefectApi(url, timeout=3) as api:
        run = api.read_run(os.environ.get(STARTED_BY_WORKER, str(context.flow_run.id)))
        return run.state in ("CANCELLING", "CANCELLED")
    return False  # the server is away for a moment, and the nights go on


def is_cut_off() -> bool:
    """Whether a run that is told to end was cancelled by nobody: its worker is being stopped, or the machine, and the night is to
    be taken again. A run that no worker has started ends by the hand of whoever started it."""
    return STARTED_BY_WORKER in os.environ and not is_cancelled()


def introduce(name: str) -> None:
    """Tells Prefect what this flow run is called and, as a worker does for those that it starts, which process it is: recovery
    looks for that. One request; with a name on the flow, Prefect would make another."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return
    run = context.flow_run
    with suppress(Exception):  # the server is away for a moment, and the night goes on
        client = cast(SyncPrefectClient, context.client)
        process = run.infrastructure_pid or f"{socket.gethostname()}:{os.getpid()}"
        client.update_flow_run(run.id, name=name, infrastructure_pid=process)
        run.name = name


def name_night() -> str:
    """`flights 2013-01-20`. Never raises: a wrong pipeline or interval gets its sentence from the run itself."""
    given = flow_run.get_parameters()
    pipeline, interval = str(given.get("pipeline")), given.get("interval")
    try:
        definition = load_definition(load_settings().deployments, pipeline)
        chosen = choose_interval(definition, interval, moment=scheduled_moment())
        return f"{pipeline} {definition.pipeline.calendar.label(chosen)}"
    except OvernightError:
        return f"{pipeline} {interval or ''}".strip()


def name_backfill() -> str:
    given = flow_run.get_parameters()
    return f"{given.get('pipeline')} {given.get('start')} to {given.get('end')}"
