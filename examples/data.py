"""Writes the examples' tables as CSV into OVERNIGHT_DATA, or .overnight/data: real ones, which scikit-learn brings along.

The last rows of each have no answer yet: they are what the models are asked about.
"""

import csv
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

UNKNOWN = 97  # rows at the end of each table whose answer is left empty


def write_examples(folder: Path) -> list[Path]:
    """digits.csv, 1,797 drawings of a figure as 64 grey values; diabetes.csv, 442 patients and their illness a year later."""
    from sklearn.datasets import load_diabetes, load_digits

    digits, patients = load_digits(), load_diabetes(scaled=False)
    pixels = [f"row{row}_{place}" for row in range(8) for place in range(8)]
    drawings = ([f"d{number:04d}", *map(int, drawing)] for number, drawing in enumerate(digits.data, start=1))
    people = ([f"p{number:03d}", *map("{:.6g}".format, line)] for number, line in enumerate(patients.data, start=1))
    return [
        _write(folder / "digits.csv", ["drawing", *pixels, "digit"], drawings, [int(one) for one in digits.target]),
        _write(folder / "diabetes.csv", ["patient", *patients.feature_names, "progression"], people, list(patients.target)),
    ]


def _write(path: Path, header: list[str], rows: Iterable[Sequence[object]], answers: Sequence[float]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(header)
        for number, (row, answer) in enumerate(zip(rows, answers, strict=True)):
            out.writerow([*row, answer if number < len(answers) - UNKNOWN else ""])
    return path


if __name__ == "__main__":
    from infra.settings import load_settings

    for written in write_examples(load_settings().data_folder):
        sys.stdout.write(f"wrote {written}\n")
