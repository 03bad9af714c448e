"""Rows set aside: each with its place, the rule it broke and a sentence; written beside the rows that landed."""

import csv
import io
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO

from domain.spec.source import Column
from tasks.ingest.cells import NOUNS, no_value

VALUE, ROW = 80, 500  # how much of a cell and of a row is kept
COLUMNS = ("source", "line", "column_name", "value", "rule", "reason", "row_text")
TYPES = dict.fromkeys(COLUMNS, "text") | {"line": "bigint"}


@dataclass(slots=True)
class Reject:
    """One row that did not land. `rule` is type, null, key or shape.

    Slots, because a bad night makes a million; not frozen, because that doubles the time of making one (`bench/slots.py`).
    """

    source: str
    line: int | None
    column: str | None
    value: str | None
    rule: str
    reason: str
    row_text: str


def shorten(text: str, limit: int) -> str:
    text = text.replace("\0", "\N{SYMBOL FOR NULL}")
    return text if len(text) <= limit else text[: limit - 1] + "…"


def explain(rule: str, name: str, value: str | None, column: Column, *, also: list[str]) -> str:
    """Why a row was set aside; `also` names other columns of it that do not fit."""
    if rule == "null":
        reason = f"{name} is empty, and the contract says that it never is"
    elif rule == "allowed":
        known = ", ".join(map(str, (column.allowed or ())[:8]))
        reason = f"{name}: {shorten(value or '', VALUE)!r} is none of {known}"
    else:
        reason = f"{name}: {no_value(value or '', column)}"
    others = list(dict.fromkeys(also))
    if others:
        reason += f"; {', '.join(others)} of the same row {'do' if len(others) > 1 else 'does'} not fit either"
    return reason


class RejectPile:
    """Rejects on their way to the database: the first megabytes in memory, the rest on disk."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=8 << 20)  # noqa: SIM115  # closed when the night is
        self._text = io.StringIO()
        self._writer = csv.writer(self._text, lineterminator="\n")

    def __len__(self) -> int:
        return sum(self.counts.values())

    def add(self, reject: Reject) -> None:
        self.counts[reject.rule, reject.column or ""] += 1
        cells = (
            reject.source, reject.line, reject.column, None if reject.value is None else shorten(reject.value, VALUE),
            reject.rule, reject.reason, shorten(reject.row_text, ROW),
        )  # fmt: skip
        self._writer.writerow(cells)
        if self._text.tell() > 1 << 16:
            self._flush()

    def count(self, rule: str, column: str, rows: int) -> None:
        """Adds rows that the database set aside itself."""
        if rows:
            self.counts[rule, column] += rows

    def close(self) -> None:
        self._file.close()

    def _flush(self) -> None:
        self._file.write(self._text.getvalue().encode("utf-8", "replace"))
        self._text.seek(0)
        self._text.truncate()

    def file(self) -> IO[bytes]:
        """The rejects as CSV for COPY, from the start."""
        self._flush()
        self._file.seek(0)
        return self._file

    def by_rule(self) -> dict[str, int]:
        total: Counter[str] = Counter()
        for (rule, _), rows in self.counts.items():
            total[rule] += rows
        return dict(total)


def sentence_of(counts: Counter[tuple[str, str]], kinds: Mapping[str, str]) -> str:
    """What is wrong most often: '48 cells of distance are no number'."""
    (rule, column), rows = counts.most_common(1)[0]
    cells = f"{rows:,} cell{'s' if rows > 1 else ''} of {column} {'are' if rows > 1 else 'is'}"
    if rule == "type":
        return f"{cells} no {NOUNS[kinds[column]].split(' (')[0]}"
    if rule == "null":
        return f"{cells} empty"
    if rule == "allowed":
        return f"{cells} none of the allowed values"
    one = rows == 1
    if rule == "key":
        return f"{rows:,} row{' repeats' if one else 's repeat'} a key"
    return f"{rows:,} row{' has' if one else 's have'} another shape than the header"


def over_budget(*, rejected: int, read: int, at_most: float, worst: str) -> str | None:
    """Why the night is held, None when the rejects are within the limit."""
    if not read or rejected / read <= at_most:
        return None
    share, limit = rejected / read, at_most * 100
    digits = next((digits for digits in (1, 2, 3, 4) if round(share * 100, digits) > limit), 6)
    shown = f"{share * 100:.0f}" if share > 0.9995 else f"{share * 100:.{digits}f}"
    return f"{shown}% of rows rejected, limit {limit:g}%: {worst}"
