"""Cancelling: what is under way for a pipeline is asked to end, wherever it runs; it closes its own lines in the ledger."""

import os
import signal
import socket
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from deployments.catalogue import Definition
from domain.errors import OvernightError
from domain.interval import Interval
from domain.words import RunState
from infra.prefect_api import PrefectApi, find_server
from infra.settings import Settings
from store import schema
from store.engine import transaction
from tasks.context import writer_engine
from tasks.recovery import is_holder_alive


def cancel_nights(definition: Definition, settings: Settings) -> list[str]:
    """Returns a sentence for each open run: how it was asked to end, or why it could not be.

    A run of Prefect's worker is cancelled there, with the night that it catches up. Of any other, the process that leads the
    backfill, wherever its nights are taken, or else the one that takes the night is sent SIGTERM, upon which the run is closed
    and its lock freed.
    """
    open_runs = sa.select(schema.run).where(
        schema.run.c.pipeline == definition.pipeline.name, schema.run.c.state == RunState.RUNNING
    )
    with transaction(writer_engine(settings)) as connection:
        lines = connection.execute(open_runs.order_by(schema.run.c.id)).all()
    url = find_server(settings)
    done, asked = [], set[int]()
    for line in lines:
        label = definition.pipeline.calendar.label(Interval(line.interval_start, line.interval_end))
        done.append(f"{definition.pipeline.name} {label}: run {line.id} {_ask_to_end(line.holder, url, asked)}")
    return done


def _ask_to_end(holder: Mapping[str, Any], url: str | None, asked: set[int]) -> str:
    flow_run = holder.get("worker_flow_run") or holder.get("prefect_flow_run")
    if url is not None and flow_run is not None and _cancel_in_prefect(url, str(flow_run)):
        return "is cancelled through Prefect"
    who = holder.get("leader") or holder
    if who.get("host") != socket.gethostname():
        return f"is taken on {who.get('host')}; cancel it there"
    if not is_holder_alive(who):
        return "was left by a process that is gone; the next run closes it"
    process = int(who["pid"])
    try:
        if process not in asked:
            os.kill(process, signal.SIGTERM)
            asked.add(process)
    except ProcessLookupError:
        return "has just ended by itself"
    except PermissionError:
        return f"belongs to {who.get('user')} (process {process}), who alone may stop it"
    return f"is stopped (process {process})"


def _cancel_in_prefect(url: str, flow_run: str) -> bool:
    """Only what a worker has started can be cancelled there: nobody listens for the others between two nights."""
    try:
        with PrefectApi(url) as api:
            run = api.read_run(flow_run)
            if run.deployment is None or run.is_final:
                return False
            api.cancel(flow_run)
            return True
    except OvernightError:
        return False
