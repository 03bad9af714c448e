"""What a stage and a night say when they end: small values that travel between processes as JSON."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from domain.errors import EXIT_DONE, EXIT_FAILED, EXIT_HELD
from domain.interval import Interval
from domain.words import RunState, Stage, StageState


@dataclass(frozen=True, slots=True)
class StageReport:
    """One stage of one run. `reason` is a sentence; `detail` holds whatever the stage wants remembered, as JSON."""

    stage: Stage
    state: StageState
    reason: str = ""
    rows_in: int = 0
    rows_out: int = 0
    rows_rejected: int = 0
    fingerprint: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def ends_the_night(self) -> bool:
        return self.state in (StageState.HELD, StageState.FAILED)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "StageReport":
        return cls(**{**document, "stage": Stage(document["stage"]), "state": StageState(document["state"])})


@dataclass(frozen=True, slots=True)
class NightReport:
    """One run as `overnight run --json` prints it. `batch` and `model` are numbers, None when there is none."""

    run: int
    pipeline: str
    interval: Interval
    state: RunState
    reason: str
    batch: int | None = None
    model: int | None = None
    rows_read: int = 0
    rows_landed: int = 0
    rows_rejected: int = 0
    rows_scored: int = 0
    stages: tuple[StageReport, ...] = ()
    exit_code: int = 0

    @classmethod
    def without_run(cls, pipeline: str, interval: Interval, why: str, *, exit_code: int = EXIT_FAILED) -> "NightReport":
        """Of a night for which no run was opened, or whose process ended without a word."""
        return cls(0, pipeline, interval, RunState.FAILED, why, exit_code=exit_code)

    def to_json(self) -> dict[str, Any]:
        return {
            "run": self.run,
            "pipeline": self.pipeline,
            "interval": {"start": self.interval.start.isoformat(), "end": self.interval.end.isoformat()},
            "state": str(self.state),
            "batch": self.batch,
            "model": self.model,
            "rows": {
                "read": self.rows_read,
                "landed": self.rows_landed,
                "rejected": self.rows_rejected,
                "scored": self.rows_scored,
            },
            "reason": self.reason,
            "stages": [stage.to_json() for stage in self.stages],
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any], *, exit_code: int = 0) -> "NightReport":
        """The other way round, for a night that another process took; keys that are not known here are passed over."""
        moment, rows = datetime.fromisoformat, document["rows"]
        return cls(
            run=document["run"],
            pipeline=document["pipeline"],
            interval=Interval(moment(document["interval"]["start"]), moment(document["interval"]["end"])),
            state=RunState(document["state"]),
            reason=document["reason"],
            batch=document["batch"],
            model=document["model"],
            rows_read=rows["read"],
            rows_landed=rows["landed"],
            rows_rejected=rows["rejected"],
            rows_scored=rows["scored"],
            stages=tuple(StageReport.from_json(stage) for stage in document["stages"]),
            exit_code=exit_code,
        )


def worst_exit_code(codes: Iterable[int]) -> int:
    """Of several nights: a failure before a held night before none."""
    found = list(codes)
    failures = [code for code in found if code not in (EXIT_DONE, EXIT_HELD)]
    return min(failures, default=max(found, default=EXIT_DONE))
