"""The order of the stages, written once. Prefect's flow and the command line both call this, each with its own way
of calling a stage."""

import getpass
import importlib.metadata
import logging
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import psutil
import sqlalchemy as sa

from deployments.catalogue import Definition
from domain.errors import EXIT_DONE, EXIT_FAILED, EXIT_HELD, OvernightError
from domain.interval import Interval
from domain.planning import ModelMode
from domain.report import NightReport, StageReport
from domain.words import RunState, Stage, StageState
from infra.settings import Settings
from store.batches import load_batch
from store.engine import transaction
from store.models import load_version
from store.runs import Run, claim, finish_run, load_run, stage_reports
from tasks.collector import spare_what_stays
from tasks.context import writer_engine
from tasks.perform import perform

log = logging.getLogger("overnight.night")
StageCall = Callable[[Stage, int, Settings], StageReport]


def whoami() -> dict[str, Any]:
    """Who holds a run: enough to find the process, and to tell it from a later one of its number, and the release that made its
    batches."""
    release, born = importlib.metadata.version("overnight"), psutil.Process().create_time()
    return {"host": socket.gethostname(), "pid": os.getpid(), "born": born, "user": getpass.getuser(), "overnight": release}


def take_night(
    definition: Definition,
    interval: Interval,
    settings: Settings,
    *,
    trigger: str,
    call: StageCall = perform,
    holder: Mapping[str, Any] | None = None,
    model: ModelMode = "as-due",
    also: str = "",
    is_cut_off: Callable[[], bool] = lambda: False,
) -> NightReport:
    """Takes one interval through the stages, under its lock, and reports how the night went; `also` ends its sentence. When a
    signal ends it, `is_cut_off` tells whether nobody has cancelled it.

    Never raises for what a night can meet: a failure is a report with its sentence and exit code. Raises LockHeld when
    somebody else has the night, and DatabaseUnavailable when there is no ledger to write to.
    """
    spare_what_stays()
    engine = writer_engine(settings)
    name = definition.pipeline.name
    asked = {} if model == "as-due" else {"model": model}
    who = {**whoami(), **asked, **(holder or {})}
    hindsight = model == "hindsight"
    with claim(engine, name, interval, trigger=trigger, holder=who, hindsight=hindsight, is_cut_off=is_cut_off) as run:
        reports: list[StageReport] = []
        try:
            for stage in Stage:
                if reports and reports[-1].ends_the_night:
                    break
                reports.append(call(stage, run.id, settings))
        except OvernightError as error:
            if reports and reports[-1].stage is Stage.PUBLISH:  # what readers see is right, whatever came after
                return _ended(engine, run, interval, reports, also=f"; {error.at(name).what}{also}")
            reason = str(error).removeprefix(f"{name} {definition.pipeline.calendar.label(interval)} ")
            return _failed(engine, run, interval, reason, exit_code=error.exit_code)
        except Exception as error:
            log.error("%s ended in an error that it did not expect", name, exc_info=error)
            reason = f"unexpected {type(error).__name__}: {error}"
            return _failed(engine, run, interval, reason, exit_code=EXIT_FAILED)
        return _ended(engine, run, interval, reports, also=also)


def _ended(engine: sa.Engine, run: Run, interval: Interval, reports: list[StageReport], *, also: str = "") -> NightReport:
    state, reason = judge_night(reports)
    finish_run(engine, run.id, state=state, reason=reason + also)
    report = report_night(engine, run.id, interval, exit_code=EXIT_HELD if state is RunState.HELD else EXIT_DONE)
    # Somebody may have declared this run dead meanwhile; then the ledger's word stands, and it is no success.
    return report if report.state is state else replace(report, exit_code=EXIT_FAILED)


def judge_night(reports: list[StageReport]) -> tuple[RunState, str]:
    """How a night ended, from what its stages said: held, skipped because nothing was new, or published."""
    last = reports[-1]
    if last.state is StageState.HELD:
        return RunState.HELD, last.reason
    new = [report for report in reports if report.state is StageState.DONE]
    publish = next(report for report in reports if report.stage is Stage.PUBLISH)
    if publish.state is StageState.REUSED and not [r for r in new if r.stage is not Stage.OBSERVE]:
        return RunState.SKIPPED, publish.reason
    return RunState.PUBLISHED, publish.reason


def _failed(engine: sa.Engine, run: Run, interval: Interval, reason: str, *, exit_code: int) -> NightReport:
    """Closes the run if the ledger can be reached; if not, the next run of this night does."""
    try:
        finish_run(engine, run.id, state=RunState.FAILED, reason=reason)
        return report_night(engine, run.id, interval, exit_code=exit_code)
    except OvernightError:
        return NightReport(run.id, run.pipeline, interval, RunState.FAILED, reason, exit_code=exit_code)


def report_night(engine: sa.Engine, run_id: int, interval: Interval, *, exit_code: int = EXIT_DONE) -> NightReport:
    """One run as the ledger tells it; `interval` carries the pipeline's own time zone."""
    with transaction(engine) as connection:
        run = load_run(connection, run_id)
        stages = stage_reports(connection, run_id)
        landed = load_batch(connection, run.input_batch) if run.input_batch else None
        predicted = load_batch(connection, run.prediction_batch) if run.prediction_batch else None
        model = load_version(connection, run.model).version if run.model else None
    newest = predicted or landed
    return NightReport(
        run=run.id,
        pipeline=run.pipeline,
        interval=interval,
        state=run.state,
        reason=run.reason,
        batch=newest.id if newest else None,
        model=model,
        rows_read=landed.rows + landed.rejected if landed else 0,
        rows_landed=landed.rows if landed else 0,
        rows_rejected=landed.rejected if landed else 0,
        rows_scored=predicted.rows if predicted else 0,
        stages=stages,
        exit_code=exit_code,
    )
