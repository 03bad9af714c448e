"""`make bench [size=small|full]`: every comparison in one run, each in a process of its own; a table, and results.json.

Each comparison measures ours and the other side by side. What a ratio means, and which side of 1 is better, stands in LOWER
and in the file that measures it.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from time import monotonic

from cli.show import out, print_table, say

# What each file is asked for, by size; a file is `python -m bench.NAME ARGUMENT` and prints JSON.
ARGUMENTS = {
    "ingest": {"small": "small", "full": "full"},
    "validate": {"small": "336776", "full": "3367760"},
    "score": {"small": "small", "full": "full"},
    "orchestration": {"small": "small", "full": "full"},
    "web": {"small": "small", "full": "full"},
    "datasette": {"small": "small", "full": "full"},
    "slots": {"small": "small", "full": "full"},
    "dask": {"small": "small", "full": "full"},
}
LOWER = ("validate", "night", "rss", "slots")  # ratios whose name begins so are costs: lower is better
RESULTS = Path(__file__).parent / "results.json"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--size", choices=["small", "full"], default="full")
    parser.add_argument("only", nargs="*", metavar="NAME", help=f"of {', '.join(ARGUMENTS)}; none: all")
    arguments = parser.parse_args()
    results: dict[str, dict[str, object]] = {}
    failed = []
    for name in arguments.only or ARGUMENTS:
        began = monotonic()
        say(f"measuring {name} ({arguments.size})")
        found = _measure(name, ARGUMENTS[name][arguments.size])
        say(f"  {monotonic() - began:.0f} s")
        failed += [] if found else [name]
        results |= found
    _print(results)
    RESULTS.write_text(json.dumps({"size": arguments.size, "ratios": results}, indent=2) + "\n")
    say(f"written to {RESULTS.name}" + (f"; not measured: {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


def _measure(name: str, argument: str) -> dict[str, dict[str, object]]:
    """One file's ratios; none, and what it said last, when it failed."""
    done = subprocess.run([sys.executable, "-m", f"bench.{name}", argument], capture_output=True, text=True, check=False)
    try:
        document: dict[str, dict[str, object]] = json.loads(done.stdout[done.stdout.index("{") :])
    except ValueError:
        say(f"  {name} failed: {(done.stderr.strip().splitlines() or ['without a word'])[-1]}")
        return {}
    return document


def _print(results: dict[str, dict[str, object]]) -> None:
    rows = []
    for name, figures in results.items():
        ratio, ours, other, count, peak = (figures.get(key) for key in ("ratio", "ours", "other", "rows", "peak_mb"))
        better = "lower" if name.startswith(LOWER) else "higher"
        rows.append((name, ratio, better, ours, other, f"{float(str(count or 0)):,.0f}", peak))
    out.print()
    print_table(
        "Ours / other, side by side in one run",
        ["ratio of", "", "better", "ours", "other", "rows", "peak MB"],
        rows,
        numbers=["", "ours", "other", "rows", "peak MB"],
    )


if __name__ == "__main__":
    sys.exit(main())
