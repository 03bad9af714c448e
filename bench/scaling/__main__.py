"""`python -m bench.scaling [name…]`: measures what is missing of each curve, a point at a time, and writes each as it is found.

A run that is stopped goes on where it was; `--again` measures anew. The page of figures in the docs shows the curves.
"""

import argparse
import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import cast

from bench.results import today
from bench.scaling.curves import BY_NAME, Point, keep_point, read_curves
from cli.show import say

Measure = Callable[[Sequence[int]], Iterator[Point]]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.scaling", description=__doc__)
    parser.add_argument("--again", action="store_true", help="measure points that are there already too")
    parser.add_argument("--at-most", type=int, default=sys.maxsize, metavar="SIZE", help="no larger points than this")
    parser.add_argument("only", nargs="*", metavar="NAME", help=f"of {', '.join(BY_NAME)}; none: all")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.only if name not in BY_NAME]:
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(BY_NAME)}")
    for name in arguments.only or BY_NAME:
        there = set() if arguments.again else {point["at"] for point in read_curves().get(name, {"points": []})["points"]}
        marks = [mark for mark in BY_NAME[name].marks if mark not in there and mark <= arguments.at_most]
        say(f"{name}: {', '.join(f'{mark:,}' for mark in marks) or 'nothing is missing'}")
        measure = cast(Measure, importlib.import_module(f"bench.scaling.{name}").measure)
        for point in measure(marks) if marks else ():
            keep_point(name, point, day=today())
            say("  " + ", ".join(f"{key} {value:,.4g}" for key, value in point.items()))
    from bench.page import write_pages

    write_pages()
    return 0


if __name__ == "__main__":
    sys.exit(main())
