"""The names that the ledger, the stages and the readers share, and how what they name is counted."""

from enum import StrEnum


class Stage(StrEnum):
    """The stages of a night, in their order."""

    INGEST = "ingest"
    VALIDATE = "validate"
    TRAIN = "train"
    SCORE = "score"
    PUBLISH = "publish"
    OBSERVE = "observe"


class RunState(StrEnum):
    """`crashed` is given by the next run to one whose process died; a run never says it of itself."""

    RUNNING = "running"
    PUBLISHED = "published"
    HELD = "held"
    SKIPPED = "skipped"
    FAILED = "failed"
    CRASHED = "crashed"


class StageState(StrEnum):
    """`reused`: the output was already there; `skipped`: nothing to do for this stage tonight."""

    RUNNING = "running"
    DONE = "done"
    REUSED = "reused"
    SKIPPED = "skipped"
    HELD = "held"
    FAILED = "failed"


class BatchKind(StrEnum):
    """A `shadow` is a challenger's predictions: judged like those of the champion, and never published."""

    INPUT = "input"
    PREDICTION = "prediction"
    SHADOW = "shadow"


class BatchState(StrEnum):
    """`loaded` rows are being audited, `sealed` ones never change, `dropped` ones are gone and remembered."""

    LOADED = "loaded"
    SEALED = "sealed"
    DROPPED = "dropped"


class Outcome(StrEnum):
    """What validation said of a batch."""

    PASSED = "passed"
    PASSED_WITH_REJECTS = "passed with rejects"
    HELD = "held"


class Severity(StrEnum):
    """`critical` holds the night; `warning` and `info` are shown to readers."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


class Task(StrEnum):
    CLASSIFICATION = "classification"
    REGRESSION = "regression"


def counted(number: int, noun: str, *, many: str = "") -> str:
    """`1 run`, `2 runs`."""
    return f"{number:,} {noun if number == 1 else many or f'{noun}s'}"
