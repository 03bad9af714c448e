"""Runs and stage runs: who takes which night, under a lock that Postgres frees when its holder dies."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import SQLAlchemyError

from domain.errors import LockHeld, OvernightError
from domain.interval import Interval
from domain.planning import CUT_OFF, STOPPED
from domain.report import StageReport
from domain.words import RunState, Stage, StageState
from store import schema
from store.engine import transaction, translated_errors

_TRY_LOCK = sa.text("SELECT pg_try_advisory_lock(hashtextextended(:name, 0))")
_UNLOCK = sa.text("SELECT pg_advisory_unlock(hashtextextended(:name, 0))")
_DIED = "its process ended without a word; the next run took the night over"
FROM_STAGE = "from_stage"  # in a run's holder


@dataclass(frozen=True, slots=True)
class Run:
    """One line of the ledger. The three numbers point at what the stages have made or found so far. `from_stage` is where whoever
    started it told it to begin; None: at the first stage whose output is missing or was made from something else."""

    id: int
    pipeline: str
    interval: Interval
    state: RunState
    reason: str
    hindsight: bool
    input_batch: int | None
    model: int | None
    prediction_batch: int | None
    from_stage: Stage | None = None

    def keeps(self, stage: Stage) -> bool:
        """Whether what earlier runs made in this stage is taken as it is, whatever has changed since."""
        return self.from_stage is not None and _ORDER.index(stage) < _ORDER.index(self.from_stage)

    def repeats(self, stage: Stage) -> bool:
        """Whether this stage is done anew, though its output may be there."""
        return self.from_stage is not None and not self.keeps(stage)


_ORDER = tuple(Stage)


@contextmanager
def claim(
    engine: sa.Engine, pipeline: str, interval: Interval, *, trigger: str, holder: Mapping[str, Any], hindsight: bool = False,
    is_cut_off: Callable[[], bool] = lambda: False,
) -> Iterator[Run]:  # fmt: skip
    """Takes the night for this process (law 6) and opens a run for it.

    The lock lives in a connection of its own, so Postgres frees it when this process dies; a run that was left open is
    closed as crashed, and what its process may still try is refused by the fence. One that a signal ends is closed as stopped by
    hand, or as crashed when `is_cut_off`, which is asked then, says so. Raises LockHeld with who holds it.
    """
    name = lock_name(pipeline, interval.start)
    with translated_errors(), engine.connect() as lock:
        if not lock.scalar(_TRY_LOCK, {"name": name}):
            lock.rollback()
            raise LockHeld(_who_holds(engine, pipeline, interval), hint=f"overnight status {pipeline}")
        try:
            lock.commit()
            yield _open_run(engine, pipeline, interval, trigger=trigger, holder=holder, hindsight=hindsight)
        except Exception:
            raise
        except BaseException:
            with suppress(OvernightError):  # a run that cannot be closed now is found by its free lock
                _close_own_run(engine, pipeline, interval, holder=holder, is_cut_off=is_cut_off())
            raise
        finally:
            with suppress(SQLAlchemyError):  # a lock whose connection broke is gone, and what the night did stands
                lock.execute(_UNLOCK, {"name": name})
                lock.commit()


def _close_own_run(
    engine: sa.Engine, pipeline: str, interval: Interval, *, holder: Mapping[str, Any], is_cut_off: bool
) -> None:  # fmt: skip
    """Found by its holder: a signal may come between opening the run and its first stage, when nobody has its number yet."""
    state, reason = (RunState.CRASHED, CUT_OFF) if is_cut_off else (RunState.FAILED, STOPPED)
    own = sa.and_(schema.run.c.state == RunState.RUNNING, schema.run.c.holder == sa.cast(dict(holder), JSONB))
    with transaction(engine) as connection:
        found = connection.scalar(sa.select(schema.run.c.id).where(_same_night(pipeline, interval), own))
    if found is not None:
        finish_run(engine, found, state=state, reason=reason)


def lock_name(pipeline: str, start: datetime) -> str:
    """What the night's lock is called, for all who take it."""
    return f"overnight {pipeline} {start.timestamp():.0f}"


def _who_holds(engine: sa.Engine, pipeline: str, interval: Interval) -> str:
    with transaction(engine) as connection:
        line = connection.execute(
            sa.select(schema.run).where(_same_night(pipeline, interval), schema.run.c.state == RunState.RUNNING)
        ).first()
    if line is None:
        return "another run is just taking or leaving this night"
    who = line.holder
    process = f"process {who.get('pid')} on {who.get('host')}"
    return f"run {line.id} holds this night since {line.started_at:%Y-%m-%d %H:%M:%S} UTC ({process})"


def _same_night(pipeline: str, interval: Interval) -> sa.ColumnElement[bool]:
    return sa.and_(schema.run.c.pipeline == pipeline, schema.run.c.interval_start == interval.start)


def _open_run(
    engine: sa.Engine, pipeline: str, interval: Interval, *, trigger: str, holder: Mapping[str, Any], hindsight: bool
) -> Run:
    with transaction(engine) as connection:
        dead = connection.scalars(
            sa.update(schema.run)
            .where(_same_night(pipeline, interval), schema.run.c.state == RunState.RUNNING)
            .values(state=RunState.CRASHED, reason=_DIED, ended_at=schema.now())
            .returning(schema.run.c.id)
        ).all()
        connection.execute(
            sa.update(schema.stage_run)
            .where(schema.stage_run.c.run.in_(dead), schema.stage_run.c.state == StageState.RUNNING)
            .values(state=StageState.FAILED, reason=_DIED, ended_at=schema.now())
        )
        run_id = connection.scalar(
            sa.insert(schema.run)
            .values(
                pipeline=pipeline,
                interval_start=interval.start,
                interval_end=interval.end,
                trigger=trigger,
                holder=dict(holder),
                hindsight=hindsight,
            )
            .returning(schema.run.c.id)
        )
        assert run_id is not None
        return load_run(connection, run_id)


def load_run(connection: sa.Connection, run_id: int) -> Run:
    """Raises LookupError when there is no such run."""
    line = connection.execute(sa.select(schema.run).where(schema.run.c.id == run_id)).first()
    if line is None:
        raise LookupError(f"the ledger knows no run {run_id}")
    return Run(
        line.id, line.pipeline, Interval(line.interval_start, line.interval_end), RunState(line.state), line.reason,
        line.hindsight, line.input_batch, line.model, line.prediction_batch,
        Stage(line.holder[FROM_STAGE]) if FROM_STAGE in line.holder else None,
    )  # fmt: skip


def point_run(connection: sa.Connection, run_id: int, **numbers: int | None) -> None:
    """Sets `input_batch`, `model` or `prediction_batch`, in the transaction that made or found it; fenced."""
    connection.execute(sa.text("SELECT overnight.require_running(:run)"), {"run": run_id})
    connection.execute(sa.update(schema.run).where(schema.run.c.id == run_id).values(**numbers))


def finish_run(engine: sa.Engine, run_id: int, *, state: RunState, reason: str) -> None:
    """Closes a run that is still open, and whatever stage of it never said how it ended; one declared dead stays so."""
    with transaction(engine) as connection:
        connection.execute(
            sa.update(schema.stage_run)
            .where(schema.stage_run.c.run == run_id, schema.stage_run.c.state == StageState.RUNNING)
            .values(state=StageState.FAILED, reason="it ended without a word", ended_at=schema.now())
        )
        connection.execute(
            sa.update(schema.run)
            .where(schema.run.c.id == run_id, schema.run.c.state == RunState.RUNNING)
            .values(state=state, reason=reason, ended_at=schema.now())
        )


def begin_stage(engine: sa.Engine, run_id: int, stage: Stage) -> int:
    """Writes that a stage has started, and returns the number of the line."""
    with transaction(engine) as connection:
        connection.execute(sa.text("SELECT overnight.require_running(:run)"), {"run": run_id})
        stage_run = connection.scalar(
            sa.insert(schema.stage_run).values(run=run_id, stage=stage).returning(schema.stage_run.c.id)
        )
        assert stage_run is not None
        return int(stage_run)


def finish_stage(engine: sa.Engine, stage_run: int, report: StageReport) -> None:
    values = {
        name: getattr(report, name)
        for name in ("state", "reason", "rows_in", "rows_out", "rows_rejected", "fingerprint")
    }  # fmt: skip
    with transaction(engine) as connection:
        connection.execute(
            sa.update(schema.stage_run)
            .where(schema.stage_run.c.id == stage_run, schema.stage_run.c.state == StageState.RUNNING)
            .values(**values, detail=dict(report.detail), ended_at=schema.now())
        )


def fail_stage(engine: sa.Engine, run_id: int, report: StageReport) -> None:
    """Closes what a stage left open when its process was ended from outside."""
    with transaction(engine) as connection:
        connection.execute(
            sa.update(schema.stage_run)
            .where(
                schema.stage_run.c.run == run_id,
                schema.stage_run.c.stage == report.stage,
                schema.stage_run.c.state == StageState.RUNNING,
            )
            .values(state=StageState.FAILED, reason=report.reason, detail=dict(report.detail), ended_at=schema.now())
        )


def stage_reports(connection: sa.Connection, run_id: int) -> tuple[StageReport, ...]:
    """What each stage of a run has said, in the order in which they began."""
    lines = connection.execute(
        sa.select(schema.stage_run).where(schema.stage_run.c.run == run_id).order_by(schema.stage_run.c.id)
    )
    return tuple(
        StageReport(
            Stage(line.stage), StageState(line.state), line.reason, line.rows_in, line.rows_out, line.rows_rejected,
            line.fingerprint, line.detail,
            seconds=round((line.ended_at - line.started_at).total_seconds(), 3) if line.ended_at else 0.0,
        )
        for line in lines
    )  # fmt: skip
