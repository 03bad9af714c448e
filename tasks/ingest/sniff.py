"""Looks at a CSV file once, by day, and says how it is written and what its columns hold, for a pipeline that keeps it.

At night nothing is sniffed: what is found here is written down, read over by people, and held to from then on.
"""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa

from domain.errors import SourceError
from domain.spec.source import Column
from tasks.ingest.cells import Marks, check_column
from tasks.ingest.files import look_at
from tasks.ingest.text import open_bytes, open_text

_BYTES = 4 << 20
_DELIMITERS = ",;\t|"
_NULLS = ("NA", "N/A", "#N/A", "NULL", "null", "None", "nan", "NaN", "\\N", "-", "?")
_FORMATS = {
    "date": ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%Y%m%d"),
    "timestamp": (
        "%d.%m.%Y %H:%M",
        "%d.%m.%Y %H:%M:%S",
        "%d/%m/%Y %H:%M",
        "%m/%d/%Y %H:%M",
        "%m/%d/%Y %H:%M:%S",
        "%Y/%m/%d %H:%M:%S",
    ),
}
_OTHER_MARKS = (Marks(",", "."), Marks(",", None), Marks(".", ","))
_ZERO_IN_FRONT = re.compile(r"^[+-]?0[0-9]")
_UTC = ZoneInfo("UTC")


@dataclass(frozen=True, slots=True)
class Sniffed:
    """`source` and `columns` are what a pipeline.yaml says where it differs from the defaults; `keys` are the columns in
    which no value stands twice."""

    source: dict[str, Any]
    columns: dict[str, dict[str, Any]]
    keys: list[str]
    rows: int


def sniff_csv(path: Path) -> Sniffed:
    """Reads the first megabytes. Raises SourceError when the file holds no table."""
    encoding = _encoding(path)
    with open_text(look_at(path, path.name), encoding=encoding) as stream:
        data = stream.read(_BYTES)
    text = data[: data.rfind(b"\n") + 1 or len(data)].decode("utf-8", "replace")
    delimiter = _delimiter(text)
    records = [row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if row]
    if len(records) < 2:
        raise SourceError(f"{path.name} holds no table: a header and rows under it are needed", hint=f"head {path}")
    header = all(cell.strip() and not re.fullmatch(r"[\d.,:\-+/ ]+", cell) for cell in records[0])
    names = _names(records[0]) if header else [f"column_{number}" for number, _ in enumerate(records[0], 1)]
    rows = [row for row in records[header:] if len(row) == len(names)]
    cells = dict(zip(names, zip(*rows, strict=True), strict=True))
    nulls = ["", *(mark for mark in _NULLS if _means_nothing(mark, cells.values()))]
    marks = _marks(cells.values(), nulls)
    columns = {name: _column(values, nulls, marks) for name, values in cells.items()}
    said = {"encoding": encoding, "delimiter": delimiter, "header": header, "nulls": nulls} | {
        "decimal": marks.decimal, "thousands": marks.thousands,
    }  # fmt: skip
    usual = {"encoding": "utf-8", "delimiter": ",", "header": True, "nulls": [""], "decimal": ".", "thousands": None}
    keys = [name for name, values in cells.items() if len(set(values)) == len(values) and not set(values) & set(nulls)]
    return Sniffed({key: value for key, value in said.items() if value != usual[key]}, columns, keys, len(rows))


def _encoding(path: Path) -> str:
    with open_bytes(look_at(path, path.name)) as (file, _):
        raw: bytes = file.read(_BYTES)
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    try:
        raw[: raw.rfind(b"\n") + 1 or len(raw)].decode("utf-8")
    except UnicodeDecodeError:
        return "windows-1252"
    return "utf-8"


def _delimiter(text: str) -> str:
    """The mark that cuts most lines into the same number of cells, and into most of them."""

    def score(mark: str) -> tuple[float, int]:
        lines = list(csv.reader(io.StringIO(text[: 1 << 16]), delimiter=mark))[:200]
        widths = [len(line) for line in lines if line]
        common = max(set(widths), key=widths.count, default=0)
        return (widths.count(common) / max(1, len(widths)) if common > 1 else 0.0, common)

    return max(_DELIMITERS, key=score)


def _names(cells: Sequence[str]) -> list[str]:
    names: list[str] = []
    for number, cell in enumerate(cells, 1):
        name = cell.strip() or f"column_{number}"
        names.append(f"{name}_{number}" if name in names else name)
    return names


def _means_nothing(mark: str, columns: Any) -> bool:
    """Whether a word stands in a column that without it holds something stricter than text."""
    for values in columns:
        known = [cell for cell in values if cell not in ("", mark)] if mark in values else []
        if known and any(_type_of(known, marks)["type"] != "text" for marks in (Marks(), *_OTHER_MARKS)):
            return True
    return False


def _marks(columns: Any, nulls: Sequence[str]) -> Marks:
    """How numbers are written, if no column speaks for the usual way."""
    for marks in _OTHER_MARKS:
        group, point = re.escape(marks.thousands or "~"), re.escape(marks.decimal)
        pattern = re.compile(rf"[+-]?([0-9]+|[0-9]{{1,3}}({group}[0-9]{{3}})+)({point}[0-9]+)?")
        for values in columns:
            known = [cell for cell in values if cell not in nulls]
            special = marks.thousands if marks.decimal == "." else marks.decimal
            if known and any((special or "~") in cell for cell in known) and all(pattern.fullmatch(cell) for cell in known):
                used = marks.thousands and any(marks.thousands in cell for cell in known)
                return marks if used or marks.thousands is None else Marks(marks.decimal, None)
    return Marks()


def _column(values: Sequence[str], nulls: Sequence[str], marks: Marks) -> dict[str, Any]:
    known = [cell for cell in values if cell not in nulls]
    column = _type_of(known, marks)
    return column | ({"null": True} if len(known) < len(values) else {})


def _type_of(known: Sequence[str], marks: Marks) -> dict[str, Any]:
    """The strictest type that takes every cell; zeros in front make a text, for they would be lost in a number."""
    if not known or any(_ZERO_IN_FRONT.match(cell) and "." not in cell and "," not in cell and len(cell) != 8 for cell in known):
        plain: list[dict[str, Any]] = [{"type": "date"}, {"type": "timestamp"}]
    else:
        plain = [{"type": kind} for kind in ("int", "float", "date", "timestamp")]
        if not {cell.lower() for cell in known} - {"true", "false", "yes", "no", "t", "f"}:
            plain = [{"type": "bool"}]
    formats = [{"type": kind, "format": form} for kind, forms in _FORMATS.items() for form in forms]
    texts = pa.array(list(known), pa.string())
    for found in (*plain, *formats):
        if known and not check_column(texts, Column.model_validate(found), zone=_UTC, marks=marks).bad.any():
            return found
    return {"type": "text"}
