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
        "**Knees.** Below 100,000 rows what a night costs at all is shared by few: about 0.4 CPU seconds of ledger lines, "
        "pictures, figures and the verdict. From 300,000 on a row costs the same, some 12 to 14 µs, a third of it each for "
        "judging and for scoring. Past a million no stage costs more for a row or takes more memory: each holds blocks of rows, "
        "and what `observe` needs in the order of the score, for the ROC, Postgres counts and sorts.",
    ),
    Curve(
        "nights", "Nights of a pipeline", "nights taken so far", "CPU ms",
        (1, 3, 10, 30, 100, 300, 1_000),
        ("a night", "status", "plan of all", "morning page", "pipeline page"), ("seconds per night", "database MB"),
        "Nights of 100 rows one after the other, the mean of the last ten that did not train; then each question asked ten "
        "times of a ledger that long. No answer is kept from one time to the next. No Prefect.",
        "**Knees.** The first nights are cheap because nothing is scored, compared or judged yet; from night 10 on all of "
        "that is, and a night costs the same at 1,000 as at 10. The pipeline's page grows until its 42 nights and the figures"
        " beside them are full. A plan goes through the nights that it is asked about. `status` "
        "reads the newest figure and looks for gaps among all nights, some milliseconds at 1,000 of them.",
    ),
    Curve(
        "pipelines", "Pipelines in one house", "pipelines", "CPU ms",
        (1, 3, 10, 30, 100),
        ("a night", "status, per pipeline", "morning page, per pipeline", "pipeline page"), (),
        "Pipelines of three nights of 100 rows, one of them trained and scored; the cost of one more night, of `overnight "
        "status` and of the morning page for each pipeline on it, and of one pipeline's own page.",
        "**Knees.** A night does not know its neighbours. `status` and the morning page have a fixed part (a connection, a "
        "page's frame) that the first ten pipelines share; each further one adds its lines to the same "
        "answers: what is asked does not grow with pipelines, only what is told. It is paid once for each publication, for kept "
        "pages cost nothing of it.",
    ),
    Curve(
        "features", "Features of a model", "numeric features", "CPU ms per feature",
        (10, 30, 100, 300, 1_000),
        ("ingest", "validate", "train", "score", "whole night"), ("seconds", "peak MB"),
        "A night of 2,000 rows that trains on three nights of 2,000 before it and is scored; a process for each number.",
        "**Knees.** Up to a hundred features the fixed part of a night and of a training is shared by more of them. A "
        "thousand cost as much each as three hundred, since a card's importance prepares its rows once; it prepared all "
        "columns again for each one that it shuffled, 63 ms a feature at 300 and not done in eight minutes at 1,000. The step"
        " from 100 to 300 lies in scikit-learn's fitting and predicting, on a matrix that outgrows a core's cache there. Past"
        " 830 features Postgres refused the night, because an answer has 1,664 columns at most; figures are asked for in "
        "several questions now. Its tables end at 1,600 columns.",
    ),
    Curve(
        "readers", "Readers at once", "connections that ask all the time", "per answer",
        (1, 4, 16, 64, 256),
        ("look-up, CPU ms", "look-up, median ms", "look-up, p99 ms", "kept page, CPU ms", "kept page, p99 ms"),
        ("look-ups a second", "kept pages a second"),
        "One web process, 336,776 published rows; every connection asks again as soon as it is answered. Look-ups are of random "
        "keys, so that none is kept; the kept page holds a hundred rows. The clients share the two cores with the server.",
        "**Knees.** What an answer costs does not grow with those who ask: 0.45 CPU ms for a look-up, 0.1 for a page that is "
        "kept, from one connection to 256. How long it takes does, from the first connection on, because one already keeps a "
        "core busy: each further one waits its turn, and past 64 the last in a hundred waits longest, for connections are "
        "served as they happen to be ready.",
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
