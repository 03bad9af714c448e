"""Compares a run's ratios with the committed ones and says which are worse. It only warns: a busy machine is no fault."""

from collections.abc import Iterator, Mapping
from typing import Any

from bench.ratios import is_worse
from cli.show import out, print_table

WORSE = 1.3  # times; ratios of small runs on a busy machine differ by some 20% without any cause


def warn(found: Mapping[str, Mapping[str, Any]], committed: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Prints the comparison and returns the names of those that are worse."""
    rows = list(compare(found, committed))
    out.print()
    figures = ["was", "now", "times worse"]
    print_table("Against the committed ratios", ["ratio of", *figures, ""], rows, numbers=figures)
    worse = [str(row[0]) for row in rows if row[4] == "WARNING: worse"]
    out.print(f"{len(worse)} of {len(rows)} are worse by {WORSE} times or more. This warns and fails nothing.")
    return worse


def compare(
    found: Mapping[str, Mapping[str, Any]], committed: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, Any, Any, str, str]]:
    for name in sorted(found.keys() | committed.keys()):
        now, then = (side.get(name, {}).get("ratio") for side in (found, committed))
        if now is None or then is None:
            yield name, then, now, "", "not measured" if now is None else "new"
            continue
        times = is_worse(name, now, then)
        yield name, then, now, f"{times:.2f}", "WARNING: worse" if times >= WORSE else "better" if times <= 1 / WORSE else ""
