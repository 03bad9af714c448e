"""The curves' part of the page of figures: a picture, a table and a word on each knee."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.pictures import curve_chart, short
from bench.scaling.curves import CURVES, Curve, read_curves


def curve_pages(folder: Path) -> tuple[dict[Path, str], list[str]]:
    """The pictures by their place, and the lines of the page; curves that were not measured are left out."""
    measured, pictures, lines = read_curves(), dict[Path, str](), list[str]()
    for curve in CURVES:
        points = measured.get(curve.name, {}).get("points", [])
        if len(points) > 1:
            pictures[folder / f"figures-{curve.name}.svg"] = _picture(curve, points)
            lines += _lines(curve, points)
    head = [
        "## How costs grow",
        "",
        "`python -m bench.scaling` measures these; CPU seconds are of our process and of Postgres.",
        "",
    ]
    return pictures, head + lines if lines else []


def _picture(curve: Curve, points: list[dict[str, Any]]) -> str:
    lines = {name: [(point["at"], point[name]) for point in points if point.get(name, 0) > 0] for name in curve.series}
    drawn = {name: line for name, line in lines.items() if line}
    return curve_chart(drawn, title=curve.title, across=curve.across, up=curve.up)


def _lines(curve: Curve, points: list[dict[str, Any]]) -> Iterator[str]:
    yield from (f"### {curve.title}", "", curve.how, "")
    yield from (f"![{curve.title}: {curve.up}](../pictures/figures-{curve.name}.svg)", "")
    heads = (*curve.series, *curve.more)
    yield f"| {curve.across} | " + " | ".join(heads) + " |"
    yield "|--:|" + "--:|" * len(heads)
    for point in points:
        yield f"| {point['at']:,} | " + " | ".join(short(point[name]) if name in point else "" for name in heads) + " |"
    yield ""
    if curve.knees:
        yield from (curve.knees, "")
