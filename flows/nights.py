"""Several nights, one after the other, each as a flow run of its own below the one that asks for them."""

from collections.abc import Sequence

from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

from deployments.catalogue import Definition
from domain.errors import OvernightError
from domain.interval import Interval
from domain.report import NightReport
from domain.words import RunState
from flows.nightly import nightly
from flows.occasion import on_errand, process_tag
from flows.outcome import outcome_of, tell


def take_nights(definition: Definition, nights: Sequence[Interval], *, trigger: str) -> list[NightReport]:
    """Takes the nights in the order given, and goes on after one that is held or fails."""
    reports = []
    # The run that asks for them has the heartbeat; one more per night would cost a second each to stop.
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}), process_tag():
        for number, night in enumerate(nights, start=1):
            with on_errand(trigger, number=number, total=len(nights)):
                reports.append(_take_one(definition, night))
    return reports


def _take_one(definition: Definition, night: Interval) -> NightReport:
    name = definition.pipeline.name
    outcome = outcome_of(nightly(name, definition.pipeline.calendar.label(night), return_state=True))
    if isinstance(outcome, NightReport):
        return outcome
    # No run was opened: another process has the night, or the ledger is away.
    error = outcome if isinstance(outcome, OvernightError) else None
    reason = str(error) if error else "Prefect ended the run of this night before it began"
    report = NightReport(0, name, night, RunState.FAILED, reason, exit_code=error.exit_code if error else 1)
    tell(definition, report)
    return report
