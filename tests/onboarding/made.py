"""What a table of the corpus is said to hold, and how it is written down."""

import csv
import gzip
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Made:
    """`types` are some columns' types by the contract's names; `key` is empty for the line."""

    name: str
    source: str
    target: str
    kind: str
    key: tuple[str, ...] = ()
    types: dict[str, str] = field(default_factory=dict)
    leaks: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    says: str = ""
    rows: int = 400
    mode: str = "snapshot"


def write_csv(
    path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]], *, delimiter: str = ",", encoding: str = "utf-8"
) -> str:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(["" if cell is None else cell for cell in row] for row in rows)
    data = text.getvalue().encode(encoding)
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    return str(path)


def german(value: float) -> str:
    return f"{value:,.2f}".replace(",", "\0").replace(".", ",").replace("\0", ".")


def day(number: int) -> date:
    return date(2024, 1, 1) + timedelta(days=number)
