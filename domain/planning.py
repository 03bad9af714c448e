"""Which nights to take, and why: pure, from a calendar and what the ledger knows. Missing work is computed, never kept."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypedDict

from domain.interval import Calendar, Interval
from domain.words import RunState

Policy = Literal["none", "latest", "all"]
Mode = Literal["missing", "failed", "changed", "all"]
# Which model scores: as due (trained when it is due, as every night), the champion of that night as the journal has it, one
# that is trained with that night's cut-off, or today's champion whatever it has seen, which marks every row.
ModelMode = Literal["as-due", "as-was", "as-if", "hindsight"]
BACKFILL = "backfill"
STOPPED = "stopped by hand"  # why the run of a night failed that somebody has cancelled
CUT_OFF = "cut off in the middle: Overnight or its machine was stopped"  # why one crashed that nobody has cancelled
LATE_ROWS = "late rows"  # why a recent night is taken again: its source has other content than it had
RETRY_DELAYS = (2.0, 10.0, 30.0)  # seconds; long enough for Postgres to restart, short enough for one night
ATTEMPTS_AT_MOST = 5  # of a night that fails again and again, before the catch-up leaves it to people


@dataclass(frozen=True, slots=True)
class Known:
    """What the ledger knows of one interval: its newest run that tells something, and what has changed since."""

    state: RunState
    reason: str = ""
    runs: int = 1
    published: bool = False
    changed: tuple[str, ...] = ()
    waived: str = ""


@dataclass(frozen=True, slots=True)
class PlannedNight:
    """One night to take, with the reason as people read it: `missing`, `failed: …`, `held: …`, `source changed`."""

    interval: Interval
    why: str


@dataclass(frozen=True, slots=True)
class Tonight:
    """What a scheduled run does: the missed nights first, oldest first, then its own if that is still its to take."""

    missed: tuple[Interval, ...]
    takes_own: bool
    why: str


def plan_tonight(
    calendar: Calendar, policy: Policy, *, own: Interval, tick: datetime, now: datetime, known: Mapping[datetime, Known]
) -> Tonight:
    """What the run of the schedule's `tick`, whose own night is `own`, does when it starts at `now`.

    On time, or hours late, it takes its own night. Once the tick of a newer night has passed, its own was missed, and the
    policy decides: `none` leaves it out, `latest` takes the newest that is due instead, `all` takes every night that is
    missing since the calendar's origin, oldest first. Nights that were held or waived are not missing.
    """
    due = calendar.before(now - (tick - own.end)) or own
    superseded = due.start > own.start
    if policy == "all":
        missing = [night for night in calendar.between(calendar.first, due) if is_missing(known.get(night.start))]
        if superseded:
            return Tonight(
                tuple(missing), False, f"missed; catch_up: all took {len(missing)} nights, this one among them or done"
            )
        return Tonight(tuple(night for night in missing if night != own), True, "on time")
    if not superseded:
        return Tonight((), True, "on time")
    label = calendar.label(due)
    if policy == "none":
        return Tonight((), False, f"missed, and the night of {label} is due by now; catch_up: none leaves it out")
    if not is_missing(known.get(due.start)):
        return Tonight((), False, f"missed, and the newer night of {label} is done; catch_up: latest")
    return Tonight((due,), False, f"missed; catch_up: latest took the night of {label} instead")


def is_missing(night: Known | None) -> bool:
    """Whether a catch-up takes the night: never tried, crashed, or failed a few times only."""
    if night is None:
        return True
    if night.published or night.waived or night.state in (RunState.HELD, RunState.RUNNING):
        return False
    return night.runs < ATTEMPTS_AT_MOST


def plan_nights(
    nights: Iterable[Interval], mode: Mode, *, known: Mapping[datetime, Known], model: ModelMode = "as-due"
) -> tuple[PlannedNight, ...]:
    """The nights of a range to take, each with its reason, in the order given.

    `missing` takes what was never finished, `failed` also what failed or was held, `changed` also what was published from
    something that has changed since, or by another model than is asked for by name, `all` everything. Each mode takes what
    the one before it takes; a night that is under way or waived is left alone unless everything is asked for.
    """
    planned = []
    for night in nights:
        why = _reason(known.get(night.start), mode, model)
        if why:
            planned.append(PlannedNight(night, why))
    return tuple(planned)


def _reason(night: Known | None, mode: Mode, model: ModelMode) -> str:
    if night is None:
        return "missing: never run"
    if night.state is RunState.RUNNING or (night.waived and not night.published):
        return "asked for" if mode == "all" else ""
    if not night.published and (why := _why_unfinished(night)):
        return f"missing: {why}"
    if mode != "missing" and night.state in (RunState.FAILED, RunState.HELD):
        return f"{night.state}: {night.reason}"
    if mode in ("changed", "all") and night.changed:
        return f"{' and '.join(night.changed)} changed"
    if mode in ("changed", "all") and model != "as-due":
        return f"model asked for: {model}"
    return "asked for" if mode == "all" else ""


def _why_unfinished(night: Known) -> str:
    """Empty for a night whose run has come to an end of its own."""
    if night.state is RunState.CRASHED:
        return "its run never finished"
    if night.state is RunState.FAILED and night.reason == STOPPED:
        return "its run was stopped by hand"
    return "its runs published nothing" if night.state is RunState.SKIPPED else ""


class Cost(TypedDict):
    """What a night should read and take, estimated from history."""

    rows: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What a backfill is going to do, as data: saved, looked at, and applied exactly as it was shown, or not at all.

    `made_with` names the definition's parts by their fingerprints; `costs` has each night's by its label, and is empty where
    there is no history; `rows` and `seconds` are their sums, one night after the other.
    """

    pipeline: str
    mode: Mode
    first: str
    last: str
    nights: Mapping[str, str]  # the label of each night, oldest first, with its reason
    made_with: Mapping[str, str]
    rows: int | None = None
    seconds: float | None = None
    model: ModelMode = "as-due"
    costs: Mapping[str, Cost] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Plan":
        """Raises ValueError for what is no plan."""
        needed = {"pipeline", "mode", "first", "last", "nights", "made_with"}
        if not isinstance(document, dict) or not needed <= set(document) <= set(cls.__dataclass_fields__):
            raise ValueError("this is no plan of Overnight's")
        return cls(**document)


def differences(plan: Plan, now: Plan) -> list[str]:
    """What has changed since `plan` was made, given the plan that would be made `now`; empty when nothing has."""
    changes = [f"the {part} changed" for part, print_ in plan.made_with.items() if now.made_with.get(part) != print_]
    for label, why in plan.nights.items():
        if label not in now.nights:
            changes.append(f"{label} was to be taken ({why}) and has no reason left")
        elif now.nights[label] != why:
            changes.append(f"{label} was {why!r} and is {now.nights[label]!r} now")
    return changes + [f"{label} is new: {why}" for label, why in now.nights.items() if label not in plan.nights]
