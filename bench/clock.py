"""What a round of one side cost: seconds by the clock, CPU seconds of it and of the database, peak memory; and medians."""

import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from infra.postgres import Postmaster

ROUNDS = 5  # that count, after one that does not
LEFT_OUT = "is left out:"  # what is printed on stderr of another tool that fails
LONG, FEWER = 60.0, 3  # a round that takes longer than so many seconds is taken this often
Figures = dict[str, float]


def in_turn(sides: Mapping[str, Callable[[], Figures]], *, server: Postmaster, rounds: int = ROUNDS) -> dict[str, Figures]:
    """Medians of each side's figures over rounds taken in turn, so that all meet the same weather; the first is a warm-up.

    A side works and returns its own `seconds`, `cpu_seconds` and `peak_mb`; what the database spent on it is added, and how many
    `rounds` count. Another tool that fails (RuntimeError) is told on stderr and left out from then on: the others go on.
    """
    began, left, taken = time.monotonic(), dict(sides), dict[str, list[Figures]]()
    while left and (number := max(map(len, taken.values()), default=0)) <= rounds:
        if number == 1 and time.monotonic() - began > LONG:
            rounds = min(rounds, FEWER)
        for name, work in list(left.items()):
            before = database_cpu(server)
            try:
                figures = work()
            except RuntimeError as error:
                print(f"{name} {LEFT_OUT} {error}", file=sys.stderr)
                left.pop(name)
                continue
            figures["cpu_seconds"] = figures.get("cpu_seconds", 0.0) + database_cpu(server) - before
            taken.setdefault(name, []).append(figures)
    return {name: median_of(taken[name][1:]) | {"rounds": float(rounds)} for name in left}


def median_of(rounds: Sequence[Figures]) -> Figures:
    """The median of each figure; of peaks the largest."""
    found = {name: [one[name] for one in rounds] for name in rounds[0]}
    return {name: max(values) if name == "peak_mb" else statistics.median(values) for name, values in found.items()}


def beside(ours: Figures, other: Figures) -> dict[str, Any]:
    """The figures of both sides as results.json holds them."""
    names = ("seconds", "cpu_seconds", "peak_mb")
    found = {name: _rounded(ours[name]) for name in names if name in ours}
    return found | {f"other_{name}": _rounded(other[name]) for name in names if name in other} | {"rounds": int(ours["rounds"])}


def _rounded(value: float) -> float:
    return round(value, 3) if value < 100 else round(value)


def database_cpu(server: Postmaster) -> float:
    """CPU seconds so far of the database: its processes that live, and those that have ended."""
    time.sleep(0.3)  # a session that has just ended is counted when the postmaster has collected it
    postmaster = psutil.Process(server.pid)
    total = float(sum(postmaster.cpu_times()[:4]))
    for child in postmaster.children(recursive=True):
        try:
            total += sum(child.cpu_times()[:2])
        except psutil.NoSuchProcess:
            continue
    return total


def own_cpu() -> float:
    """CPU seconds so far of this process and of its children that have ended."""
    return float(sum(os.times()[:4]))


def own_peak() -> float:
    """This process's own largest size in MB; `ru_maxrss` would begin with what its parent had."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024
