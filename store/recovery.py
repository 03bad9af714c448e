"""Runs whose process died: found by the lock that Postgres freed, closed so that nobody waits for them."""

from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa

from domain.words import RunState, StageState
from store import schema
from store.engine import transaction
from store.runs import lock_name

_TRY_LOCK = sa.text("SELECT pg_try_advisory_xact_lock(hashtextextended(:name, 0))")
_DIED = "its process ended without a word"


def close_dead_runs(engine: sa.Engine, *, is_alive: Callable[[Mapping[str, Any]], bool]) -> list[tuple[int, str]]:
    """Closes as crashed each open run whose lock is free and whose holder is not alive; returns (run, pipeline) of each.

    A living holder without its lock is let be: its connection broke, and it may still finish under the fence.
    """
    with transaction(engine) as connection:
        running = connection.execute(sa.select(schema.run).where(schema.run.c.state == RunState.RUNNING)).all()
    return [(line.id, line.pipeline) for line in running if not is_alive(line.holder) and _close(engine, line)]


def _close(engine: sa.Engine, line: Any) -> bool:
    with transaction(engine) as connection:
        name = lock_name(line.pipeline, line.interval_start)
        if not connection.scalar(_TRY_LOCK, {"name": name}):
            return False
        closed = connection.execute(
            sa.update(schema.run)
            .where(schema.run.c.id == line.id, schema.run.c.state == RunState.RUNNING)
            .values(state=RunState.CRASHED, reason=_DIED, ended_at=schema.now())
        )
        connection.execute(
            sa.update(schema.stage_run)
            .where(schema.stage_run.c.run == line.id, schema.stage_run.c.state == StageState.RUNNING)
            .values(state=StageState.FAILED, reason=_DIED, ended_at=schema.now())
        )
        return bool(closed.rowcount)


def newest_run_of(engine: sa.Engine, flow_run: str) -> tuple[RunState, str] | None:
    """How the newest night that a Prefect run took stands, and why; None when it took none."""
    query = (
        sa.select(schema.run.c.state, schema.run.c.reason)
        .where(schema.run.c.holder["prefect_flow_run"].astext == flow_run)
        .order_by(schema.run.c.id.desc())
        .limit(1)
    )
    with transaction(engine) as connection:
        line = connection.execute(query).first()
    return None if line is None else (RunState(line.state), line.reason)
