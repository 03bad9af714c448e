"""Performs one stage of one run: begins its line in the ledger, calls it, and writes how it ended, whatever happens."""

import importlib
import logging
from collections.abc import Callable
from dataclasses import replace
from time import monotonic
from typing import cast

from domain.errors import OvernightError, StageFailed
from domain.report import StageReport
from domain.words import Stage, StageState
from infra.settings import Settings
from store.engine import translated_errors
from store.runs import begin_stage, finish_stage
from tasks.context import Night, load_night
from tasks.expectations import settle

log = logging.getLogger("overnight.stage")


def stage_function(stage: Stage) -> Callable[[Night], StageReport]:
    """The function of a stage, imported when it is first needed: `tasks.<stage>.<stage>`."""
    return cast(Callable[[Night], StageReport], getattr(importlib.import_module(f"tasks.{stage}"), stage))


def perform(stage: Stage, run_id: int, settings: Settings) -> StageReport:
    """Runs a stage and returns what it said, which is also in the ledger by then.

    Raises an OvernightError that knows its place (pipeline, interval, stage); an error of no known kind becomes
    StageFailed, and its traceback goes to the log.
    """
    night = load_night(run_id, settings)
    where = f"{night.label} {stage}"
    line = begin_stage(night.engine, run_id, stage)
    began = monotonic()
    try:
        if stage is not Stage.INGEST:
            settle()
        with translated_errors():
            report = stage_function(stage)(night)
        detail = {**report.detail, "image": settings.image_digest} if settings.image_digest else report.detail
        report = replace(report, seconds=round(monotonic() - began, 3), detail=detail)
    except Exception as error:
        known = _known(error, where)
        failed = StageReport(
            stage, StageState.FAILED, reason=known.what, detail={"error": type(known).__name__, "hint": known.hint}
        )
        _write_failure(night, line, failed)
        raise known from error
    finish_stage(night.engine, line, report)
    log.info("%s: %s in %.2f s%s", where, report.state, report.seconds, f", {report.reason}" if report.reason else "")
    return report


def _known(error: Exception, where: str) -> OvernightError:
    if isinstance(error, OvernightError):
        return error.at(where)
    log.error("%s ended in an error that it did not expect", where, exc_info=error)
    first_line = (str(error).strip().splitlines() or [""])[0]
    hint = "OVERNIGHT_LOG=ERROR with the same command, which shows where"
    return StageFailed(f"unexpected {type(error).__name__}: {first_line}", where=where, hint=hint)


def _write_failure(night: Night, line: int, report: StageReport) -> None:
    """The ledger may be what failed; then the next run of this night closes the line."""
    try:
        finish_stage(night.engine, line, report)
    except Exception as error:
        log.warning("%s: the failure could not be written down: %s", night.label, error)
