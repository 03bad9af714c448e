"""What is to be pruned, as data: pure, from what the ledger says of each part of each batch that is older than its limit."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from domain.interval import Interval

Part = Literal["rows", "rejected"]


@dataclass(frozen=True, slots=True)
class Old:
    """One part of a batch that is older than its limit. `since` is when readers last saw it, or when it was sealed; `kept` is
    why it stays all the same, empty when it may go."""

    batch: int
    kind: str
    part: Part
    interval: Interval
    rows: int
    bytes: int
    since: datetime
    kept: str = ""


@dataclass(frozen=True, slots=True)
class PrunePlan:
    """What one pipeline would lose, oldest rule first: predictions before the rows they were made from."""

    pipeline: str
    at: datetime
    old: Sequence[Old]

    @property
    def going(self) -> list[Old]:
        return [one for one in self.old if not one.kept]

    @property
    def staying(self) -> list[Old]:
        return [one for one in self.old if one.kept]

    @property
    def rows(self) -> int:
        return sum(one.rows for one in self.going)

    @property
    def bytes(self) -> int:
        return sum(one.bytes for one in self.going)

    def counts(self) -> Mapping[str, int]:
        """How many parts of each kind would go."""
        return Counter("rejected" if one.part == "rejected" else one.kind for one in self.going)

    def to_json(self) -> dict[str, object]:
        return {
            "pipeline": self.pipeline, "at": self.at.isoformat(), "batches": dict(self.counts()), "rows": self.rows,
            "bytes": self.bytes, "going": [_told(one) for one in self.going], "staying": [_told(one) for one in self.staying],
        }  # fmt: skip


def _told(one: Old) -> dict[str, object]:
    return {
        "batch": one.batch, "kind": one.kind, "part": one.part, "interval": one.interval.start.isoformat(), "rows": one.rows,
        "bytes": one.bytes, "since": one.since.isoformat(), "kept": one.kept,
    }  # fmt: skip


def size_words(size: int) -> str:
    """Bytes as people say them: `5.2 MB`."""
    amount, unit = float(size), "bytes"
    for following in ("kB", "MB", "GB", "TB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, following
    return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"
