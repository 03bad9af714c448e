"""`make bench [size=small|full]`: every comparison in one run, each in a process of its own; a table, results.json, and the page.

Each comparison measures ours and the other side by side. What a ratio means, which side of 1 is better and what was asked
stands in `bench/ratios.py`. What is measured is kept at once, so that a run that is interrupted loses only what it was about;
what fails is named at the end, and the exit code is 1. `--guard` compares with the committed ratios instead of writing, and never
fails. Curves, profiles, kills, load and strangers' tables are measured on their own: `python -m bench.scaling`, `bench.profile`,
`bench.kills`, `bench.load` and `bench.strangers`.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from time import monotonic
from typing import Any

from bench.clock import LEFT_OUT
from bench.guard import warn
from bench.page import write_pages
from bench.ratios import BY_NAME, RATIOS
from bench.results import merge, ratios_of, read_results, this_machine, today, write_results
from cli.show import out, print_table, say

FILES = tuple(dict.fromkeys(one.file for one in RATIOS))  # each is `python -m bench.NAME SIZE` and prints JSON objects
Found = dict[str, dict[str, Any]]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--size", choices=["small", "full"], default="full")
    parser.add_argument("--guard", action="store_true", help="compare with the committed ratios, write nothing, fail never")
    parser.add_argument("--within", type=float, default=float("inf"), metavar="SECONDS", help="begin nothing after so long")
    parser.add_argument("only", nargs="*", metavar="NAME", help=f"of {', '.join(FILES)}; none: all")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.only if name not in FILES]:
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(FILES)}")
    names, committed, found = arguments.only or FILES, ratios_of(read_results(), arguments.size), Found()
    for ratios in _measure_all(names, arguments.size, within=arguments.within):
        found |= ratios
        if not arguments.guard:
            _keep(ratios, size=arguments.size)
    _print(found)
    asked = [name for name, one in BY_NAME.items() if one.file in names]
    if arguments.guard:
        warn(found, {name: figures for name, figures in committed.items() if name in asked})
        return 0
    missing = [name for name in asked if name not in found]
    say("written to bench/results.json and docs/explanation/figures.md")
    if missing:
        say(f"not measured, and as before: {', '.join(missing)}")
    return 1 if missing else 0


def _keep(found: Found, *, size: str) -> None:
    write_results(merge(read_results(), found, size=size, machine=this_machine(), day=today()))
    write_pages()


def _measure_all(names: Sequence[str], size: str, *, within: float) -> Iterator[Found]:
    began = monotonic()
    for number, name in enumerate(names):
        if monotonic() - began > within:
            say(f"{within:.0f} s are over; left out: {', '.join(names[number:])}")
            break
        start = monotonic()
        say(f"measuring {name} ({size})")
        yield _measure(name, size)
        say(f"  {monotonic() - start:.0f} s")


def _measure(name: str, size: str) -> Found:
    """One file's ratios, those that it could take; and what it said of what it could not."""
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, "-m", f"bench.{name}", size], capture_output=True, text=True, check=False, env=environment
    )  # fmt: skip
    lines = done.stderr.strip().splitlines()
    for line in lines:
        if LEFT_OUT in line:
            say(f"  {line}")
    if done.returncode:
        say(f"  {name} failed: {(lines or ['without a word'])[-1]}")
    return read_objects(done.stdout)


def read_objects(text: str) -> Found:
    """All JSON objects that a comparison has printed, one after the other, as one."""
    found, decoder, place = Found(), json.JSONDecoder(), text.find("{")
    while place >= 0:
        try:
            part, place = decoder.raw_decode(text, place)
        except ValueError:
            break
        found |= part
        place = text.find("{", place)
    return found


def _print(results: Mapping[str, Mapping[str, Any]]) -> None:
    rows = []
    for name, figures in results.items():
        ratio, ours, other, count, peak = (figures.get(key) for key in ("ratio", "ours", "other", "rows", "peak_mb"))
        better = BY_NAME[name].better if name in BY_NAME else figures.get("better", "")
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
