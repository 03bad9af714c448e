"""A million rejects as Overnight holds them, against the same record as a plain class, in one run.

`slots_memory` is bytes of ours / bytes of the other, `slots_speed` the seconds for making a million and reading a field of each:
both are costs, lower is better. `slots_in_rejects` is the path where they are used: made, and laid on the pile that COPY
reads. Rejects are what grows with a night's rows; examples are twenty a rule, and events one a move. Every instance has values of
its own, as rejects of a bad night do. Seconds are the processor's.
`python -m bench.slots [small|full]` measures alone and prints JSON.
"""

import gc
import json
import statistics
import sys
import tracemalloc
from collections.abc import Callable
from time import process_time
from typing import Any

from tasks.ingest.rejects import Reject, RejectPile

COUNT = {"small": 200_000, "full": 1_000_000}
ROUNDS = 5


class PlainReject:
    """What `Reject` would be without slots: a dictionary in every instance."""

    def __init__(
        self, source: str, line: int | None, column: str | None, value: str | None, rule: str, reason: str, row_text: str
    ) -> None:
        self.source, self.line, self.column, self.value = source, line, column, value
        self.rule, self.reason, self.row_text = rule, reason, row_text


def slots_vs_plain(size: str = "small") -> dict[str, dict[str, Any]]:
    """Both ratios, from one run; the rounds of the two alternate."""
    count = COUNT[size]
    for kind in (Reject, PlainReject):
        _seconds(kind, 1000)  # a warm-up
    ours: list[float] = []
    other: list[float] = []
    for _ in range(ROUNDS):
        ours.append(_seconds(Reject, count))
        other.append(_seconds(PlainReject, count))
    slotted, plain = _bytes(Reject, count), _bytes(PlainReject, count)
    seconds, plain_seconds = statistics.median(ours), statistics.median(other)
    piled = {kind: statistics.median(_piled(kind, count // 5) for _ in range(ROUNDS)) for kind in (Reject, PlainReject)}
    return {
        "slots_memory": {
            "ratio": round(slotted / plain, 3), "better": "lower", "rows": count,
            "ours": round(slotted / count), "other": round(plain / count), "peak_mb": round(slotted / 2**20),
            "other_peak_mb": round(plain / 2**20), "rounds": 1,
        },
        "slots_speed": {
            "ratio": round(seconds / plain_seconds, 3), "better": "lower", "rows": count,
            "ours": round(seconds, 3), "other": round(plain_seconds, 3), "seconds": round(seconds, 3),
            "other_seconds": round(plain_seconds, 3), "rounds": ROUNDS,
        },
        "slots_in_rejects": {
            "ratio": round(piled[Reject] / piled[PlainReject], 3), "rows": count // 5, "ours": round(piled[Reject], 3),
            "other": round(piled[PlainReject], 3), "seconds": round(piled[Reject], 3),
            "other_seconds": round(piled[PlainReject], 3), "rounds": ROUNDS,
        },
    }  # fmt: skip


def _piled(kind: Callable[..., Any], count: int) -> float:
    """Seconds for making rejects and laying each on the pile that COPY reads, as a bad night does."""
    gc.collect()
    pile, began = RejectPile(), process_time()
    for reject in _make(kind, count):
        pile.add(reject)
    seconds = process_time() - began
    pile.close()
    return seconds


def _make(kind: Callable[..., Any], count: int) -> list[Any]:
    return [
        kind("2013-02-01.csv", line, "distance", None, "type", "distance: 'far' is no whole number", "")
        for line in range(1000, 1000 + count)
    ]


def _seconds(kind: Callable[..., Any], count: int) -> float:
    gc.collect()
    began = process_time()
    total = sum(reject.line for reject in _make(kind, count))
    seconds = process_time() - began
    assert total == sum(range(1000, 1000 + count))
    return seconds


def _bytes(kind: Callable[..., Any], count: int) -> int:
    """What the instances take, the list that holds them and their own line numbers not counted."""
    gc.collect()
    lines = [*range(1000, 1000 + count)]
    tracemalloc.start()
    kept = [kind("2013-02-01.csv", line, "distance", None, "type", "distance: no whole number", "") for line in lines]
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return size - sys.getsizeof(kept)


if __name__ == "__main__":
    print(json.dumps(slots_vs_plain(sys.argv[1] if len(sys.argv) > 1 else "small"), indent=2))
