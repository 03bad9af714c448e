"""What the findings of a suite's rules mean for a batch: the outcome, and the one sentence that says why. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from domain.words import Outcome, Severity, counted

RuleState = Literal["passed", "rejects", "failed", "error", "not judged"]


@dataclass(frozen=True, slots=True)
class RuleResult:
    """What one rule said of a batch, as the ledger keeps it and as people read it.

    `state`: `passed`; `rejects` (rows failed, within the rule's limit, and were set aside); `failed`; `error` (it could
    not be judged, which is never the same as passed); `not judged` (it compares with earlier nights, and there are too few;
    it holds nothing). `says` is what the rule asks, in a sentence. Percents are of the rows that the rule looked at.
    `picture` is how the rule's column was distributed before anything was set aside (`tasks.pictures`); empty where there
    is none.
    """

    rule: str
    expectation: str
    columns: tuple[str, ...]
    severity: Severity
    level: Literal["row", "table"]
    state: RuleState
    sentence: str
    limit: str = ""
    unexpected_count: int | None = None
    unexpected_percent: float | None = None
    judged_count: int | None = None
    observed: Any = None
    examples: tuple[Mapping[str, Any], ...] = ()
    error: str = ""
    notes: str = ""
    line: Mapping[str, Any] = field(default_factory=dict)
    picture: Mapping[str, Any] = field(default_factory=dict)
    says: str = ""

    @property
    def success(self) -> bool:
        return self.state in ("passed", "rejects", "not judged")

    @property
    def holds(self) -> bool:
        """Whether this alone keeps the batch from readers."""
        return not self.success and self.severity is Severity.CRITICAL

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "column": self.columns[0] if self.columns else None, "success": self.success}


@dataclass(frozen=True, slots=True)
class Tally:
    """Where a night's rows went: `landed` + `unreadable` (set aside by ingest) + `caught` (by rules) is what was read."""

    landed: int
    unreadable: int
    caught: int

    @property
    def read(self) -> int:
        return self.landed + self.unreadable + self.caught

    @property
    def rejected(self) -> int:
        return self.unreadable + self.caught


def decide_outcome(results: Sequence[RuleResult], tally: Tally, *, at_most: float) -> tuple[Outcome, str]:
    """Held when nothing landed, when a critical rule failed or could not be judged, or when more rows were set aside
    than the budget allows; the sentence names the first reason, and how many more there are."""
    reasons = [*_empty(tally), *(result.sentence for result in results if result.holds), *_over_budget(tally, at_most)]
    if reasons:
        more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
        return Outcome.HELD, f"held: {reasons[0]}{more}"
    warned = [result.sentence for result in results if not result.success]
    shown = f"; {counted(len(warned), 'warning')}: {warned[0]}" if warned else ""
    if tally.rejected:
        share = percent(tally.rejected / tally.read)
        said = f"{tally.rejected:,} of {counted(tally.read, 'row')} set aside ({share}, limit {percent(at_most)})"
        return Outcome.PASSED_WITH_REJECTS, said + shown
    waiting = sum(result.state == "not judged" for result in results)
    left = f", {waiting} not judged yet" if waiting else ""
    return Outcome.PASSED, f"{counted(tally.landed, 'row')} passed {counted(len(results) - waiting, 'rule')}{left}{shown}"


def _empty(tally: Tally) -> list[str]:
    if tally.landed:
        return []
    if tally.read == 0:
        return ["the night has no rows"]
    return [f"none of {counted(tally.read, 'row')} is left: {tally.unreadable:,} unreadable, {tally.caught:,} caught by rules"]


def _over_budget(tally: Tally, at_most: float) -> list[str]:
    if tally.read == 0 or tally.rejected / tally.read <= at_most:
        return []
    parts = f"{tally.unreadable:,} by ingest, {tally.caught:,} by rules"
    return [f"{percent(tally.rejected / tally.read)} of rows were set aside ({parts}), limit {percent(at_most)}"]


def percent(share: float) -> str:
    """A share as people write it: 7.2%, 0.05%, 100%; never rounded to nothing or to everything."""
    value = share * 100
    if 0 < value < 0.01:
        return "under 0.01%"
    if 99.99 < value < 100:
        return "over 99.99%"
    digits = 2 if value < 1 or value > 99 else 1
    return f"{value:.{digits}f}".rstrip("0").rstrip(".") + "%"
