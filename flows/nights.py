"""Several nights, one after the other, each as a flow run of its own below the one that asks for them."""

import logging
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

from deployments.catalogue import Definition
from domain.errors import EXIT_FAILED, OvernightError
from domain.interval import Interval
from domain.planning import BACKFILL, ModelMode, Tonight
from domain.report import NightReport
from flows.occasion import holder, is_on_errand, is_scheduled, on_errand, scheduled_moment
from flows.outcome import announce, outcome_of, stop_if_cancelled
from infra.settings import Settings
from tasks.lanes import lanes_for, take_side_by_side
from tasks.late import nights_with_late_rows
from tasks.planning import plan_scheduled
from tasks.right_of_way import give_way, is_way_clear
from tasks.telling import tell_everybody

log = logging.getLogger("overnight.night")


def missed_nights(definition: Definition, own: Interval, settings: Settings, *, named: bool) -> Tonight:
    """What a run of the schedule has to do before its own night, or instead of it; any other run takes its own alone."""
    if named or not is_scheduled():
        return Tonight((), True, "asked for")
    return plan_scheduled(definition, own, settings, tick=scheduled_moment(), now=datetime.now(UTC))


def late_nights(definition: Definition, tonight: Tonight, own: Interval, settings: Settings) -> list[Interval]:
    """The recent nights that have late rows, for the newest night that this run takes; a run on somebody's errand has none."""
    newest = own if tonight.takes_own else next(iter(tonight.missed[-1:]), None)
    return nights_with_late_rows(definition, newest, settings) if newest and not is_on_errand() else []


def take_nights(
    flow: Callable[..., Any],
    definition: Definition,
    nights: Sequence[Interval],
    settings: Settings,
    *,
    trigger: str,
    model: ModelMode = "as-due",
    lanes: int = 1,
    tell_others: bool = False,
) -> list[NightReport]:
    """Takes the nights in the order given, and goes on after one that is held or fails. A backfill lets the schedule go first,
    and may take some nights side by side."""
    lanes = lanes_for(definition, lanes)
    if lanes > 1 and len(nights) > 1:
        return _side_by_side(definition, nights, settings, lanes=lanes, model=model, tell_others=tell_others)
    if not nights:
        return []  # changing Prefect's settings, even for nobody, costs as much as scoring a night
    reports: list[NightReport] = []
    # The run that asks for them has the heartbeat; one more per night would cost a second each to stop.
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        for number, night in enumerate(nights, start=1):
            if trigger == BACKFILL:
                stop_if_cancelled(reports)
                give_way(settings)
            with on_errand(trigger, number=number, total=len(nights), tells=tell_others):
                reports.append(_take_one(flow, definition, night, model=model))
    return reports


def _take_one(flow: Callable[..., Any], definition: Definition, night: Interval, *, model: ModelMode) -> NightReport:
    name = definition.pipeline.name
    outcome = outcome_of(flow(name, definition.pipeline.calendar.label(night), model, return_state=True))
    if isinstance(outcome, NightReport):
        return outcome
    # No run was opened: another process has the night, or the ledger is away.
    error = outcome if isinstance(outcome, OvernightError) else None
    reason = str(error) if error else "Prefect ended the run of this night before it began"
    report = NightReport.without_run(name, night, reason, exit_code=error.exit_code if error else EXIT_FAILED)
    announce(definition, report)
    return report


def _side_by_side(
    definition: Definition, nights: Sequence[Interval], settings: Settings, *, lanes: int, model: ModelMode, tell_others: bool
) -> list[NightReport]:
    """A backfill whose nights are taken by processes of their own, below this one flow run."""
    who = holder() | ({"tell": True} if tell_others else {})
    taking = take_side_by_side(
        definition, nights, settings, lanes=lanes, trigger=BACKFILL, model=model, holder=who,
        may_begin=lambda: is_way_clear(settings),
    )  # fmt: skip
    reports: list[NightReport] = []
    with closing(taking):
        for report in taking:
            reports.append(report)
            with on_errand(BACKFILL, number=len(reports), total=len(nights)):
                announce(definition, report)
            tell_everybody(definition, report, settings, now=datetime.now(UTC), trigger=BACKFILL, asked=tell_others)
            stop_if_cancelled(reports)
    return sorted(reports, key=lambda report: report.interval.start)
