"""The curves: what grows, what is counted for each unit of it, and why a line bends where it does."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATH = Path(__file__).parent / "curves.json"
Point = dict[str, float]


@dataclass(frozen=True, slots=True)
class Curve:
    """`series` are drawn, `more` stand in the table only; both are keys of a point, and all that a point has besides `at`."""

    name: str
    title: str
    across: str
    up: str
    marks: tuple[int, ...]
    series: tuple[str, ...]
    more: tuple[str, ...]
    how: str
    knees: str


CURVES = (
    Curve(
        "rows", "Rows of a night", "rows of the night", "CPU µs per row",
        (10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000),
        ("ingest", "validate", "score", "publish", "observe", "whole night"), ("seconds", "peak MB"),
        "One night of eight columns from a CSV file, with ten rules, a model learned before, and answers that are there "
        "already, so that quality is counted too; each size in a process of its own after a warm-up night of 1,000 rows. "
        "No Prefect.",
        "",
    ),
    Curve(
        "nights", "Nights of a pipeline", "nights taken so far", "CPU ms",
        (1, 3, 10, 30, 100, 300, 1_000),
        ("a night", "status", "plan of all", "morning page", "pipeline page"), ("seconds per night", "database MB"),
        "Nights of 100 rows one after the other, the mean of the last ten that did not train; then each question asked ten "
        "times of a ledger that long. No answer is kept from one time to the next. No Prefect.",
        "",
    ),
    Curve(
        "pipelines", "Pipelines in one house", "pipelines", "CPU ms",
        (1, 3, 10, 30, 100),
        ("a night", "status, per pipeline", "morning page, per pipeline", "pipeline page"), (),
        "Pipelines of three nights of 100 rows, one of them trained and scored; the cost of one more night, of `overnight "
        "status` and of the morning page for each pipeline on it, and of one pipeline's own page.",
        "",
    ),
    Curve(
        "features", "Features of a model", "numeric features", "CPU ms per feature",
        (10, 30, 100, 300, 1_000),
        ("ingest", "validate", "train", "score", "whole night"), ("seconds", "peak MB"),
        "A night of 2,000 rows that trains on three nights of 2,000 before it and is scored; a process for each number.",
        "",
    ),
    Curve(
        "readers", "Readers at once", "connections that ask all the time", "per answer",
        (1, 4, 16, 64, 256),
        ("look-up, CPU ms", "look-up, median ms", "look-up, p99 ms", "kept page, CPU ms", "kept page, p99 ms"),
        ("look-ups a second", "kept pages a second"),
        "One web process, 336,776 published rows; every connection asks again as soon as it is answered. Look-ups are of random "
        "keys, so that none is kept; the kept page holds a hundred rows. The clients share the two cores with the server.",
        "",
    ),
)  # fmt: skip
BY_NAME = {one.name: one for one in CURVES}


def read_curves(path: Path = PATH) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def keep_point(name: str, point: Point, *, day: str, path: Path = PATH) -> None:
    """Writes one point beside the others, in place of an older one of the same size."""
    curves = read_curves(path)
    points = {one["at"]: one for one in curves.get(name, {}).get("points", [])} | {point["at"]: {**point, "day": day}}
    curves[name] = {"points": [points[at] for at in sorted(points)]}
    path.write_text(json.dumps(curves, indent=1) + "\n", encoding="utf-8")
