"""How a night's end looks in Prefect: held is completed and says so, a failure is our sentence and no traceback."""

import functools
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ParamSpec

from prefect.client.schemas.objects import State
from prefect.exceptions import TerminationSignal
from prefect.states import Cancelled as AsCancelled
from prefect.states import Completed, Failed

from deployments.catalogue import Definition
from domain.errors import LockHeld, OvernightError
from domain.planning import STOPPED
from domain.report import NightReport
from domain.words import RunState
from flows.occasion import introduce, is_cancelled, is_on_errand, place, trigger
from tasks.stopping import stopping_between_imports
from tasks.telling import WAKING

log = logging.getLogger("overnight.night")
P = ParamSpec("P")
Told = NightReport | list[NightReport] | str
Listener = Callable[[NightReport, int, int], None]
_NAMES = {RunState.HELD: "Held", RunState.SKIPPED: "Nothing to do", RunState.PUBLISHED: "Published"}


class Cancelled(Exception):
    """Somebody has cancelled this run; what was taken until then stays."""

    def __init__(self, reports: Sequence[NightReport]) -> None:
        super().__init__(f"cancelled after {summarise(reports)}" if reports else "cancelled before the first night")
        self.reports = reports


def stop_if_cancelled(reports: Sequence[NightReport]) -> None:
    """Raises Cancelled between two nights when Prefect was asked to end this run."""
    if is_cancelled():
        raise Cancelled(reports)


def told_as_state(*, called: Callable[[], str]) -> Callable[[Callable[P, Told]], Callable[P, State[Any]]]:
    """Turns what a flow reports, or the OvernightError that it met, into the state that Prefect shows; `called` names its runs.

    The state's data, which stays in this process, is the report, the list of reports, the sentence that says why there
    was nothing to do, or the error.
    """

    def telling(take: Callable[P, Told]) -> Callable[P, State[Any]]:
        @functools.wraps(take)
        def told(*args: P.args, **kwargs: P.kwargs) -> State[Any]:
            # Prefect forwards our lines to its server, but only sets the level of its own.
            logging.getLogger("overnight").setLevel(logging.INFO)
            introduce(called())
            try:
                with stopping_between_imports():
                    return _as_state(take(*args, **kwargs))
            except OvernightError as error:
                return _state_of(error)
            except Cancelled as stop:
                return AsCancelled(message=str(stop), data=list(stop.reports))
            except TerminationSignal:
                # Prefect would call it crashed, as it does one that nobody has cancelled. What another run made ends with that.
                if is_on_errand() or not is_cancelled():
                    raise
                return AsCancelled(message=STOPPED)

        del told.__annotations__["return"]  # Prefect would build a model for it
        return told

    return telling


def _state_of(error: OvernightError) -> State[Any]:
    """Failed; but a night of the schedule that another run holds is under way, and who watches Prefect for failures is let be."""
    if isinstance(error, LockHeld) and trigger() in WAKING:
        return Completed(name=_NAMES[RunState.SKIPPED], message=str(error), data=error)
    return Failed(message=str(error), data=error)


def _as_state(outcome: Told) -> State[Any]:
    if isinstance(outcome, str):
        return Completed(name=_NAMES[RunState.SKIPPED], message=outcome, data=outcome)
    return state_of_nights(outcome) if isinstance(outcome, list) else state_of_night(outcome)


def state_of_night(report: NightReport) -> State[NightReport]:
    if report.state in _NAMES:
        return Completed(name=_NAMES[report.state], message=report.reason, data=report)
    return Failed(message=report.reason, data=report)


def state_of_nights(reports: Sequence[NightReport]) -> State[list[NightReport]]:
    """A backfill completes when no night failed; held nights are named in its message and are no failure of its own."""
    failed = any(report.state not in _NAMES for report in reports)
    return (Failed if failed else Completed)(message=summarise(reports), data=list(reports))


def summarise(reports: Sequence[NightReport]) -> str:
    """`35 nights: 33 published, 1 held, 1 failed`."""
    if not reports:
        return "nothing to do: every night of the range is done"
    states = [str(report.state) for report in reports]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    return f"{len(reports)} night{'s' if len(reports) > 1 else ''}: {counts}"


def outcome_of(state: State[Any]) -> Any:
    """The report, the reports or the error behind a state of this process; None when Prefect ended the run itself."""
    record = state.data
    return getattr(record, "result", record)


_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Calls `listener(report, number, total)` as each night ends inside."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def announce(definition: Definition, report: NightReport) -> None:
    """Says how a night went, to the log that people and Prefect read and to whoever listens."""
    number, total = place()
    which = f"{number} of {total}: " if total > 1 else ""
    label = definition.pipeline.calendar.label(report.interval)
    log.info("%s%s %s: %s, %s", which, report.pipeline, label, report.state, report.reason)
    listener = _listener.get()
    if listener is not None:
        listener(report, number, total)
