"""What a cell must look like to be of a type. Strict: what would be silently changed is refused.

pyarrow reads whole blocks by the same rules and far faster; these rules find the bad cells when it refuses a block.
"""

import json
import re
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from domain.spec.source import Column
from tasks.ingest.clock import read_clock

NAIVE, ZONED = pa.timestamp("us"), pa.timestamp("us", tz="UTC")
ARROW = {
    "bool": pa.bool_(),
    "int": pa.int64(),
    "float": pa.float64(),
    "decimal": pa.string(),
    "text": pa.string(),
    "date": pa.date32(),
    "timestamp": NAIVE,
    "json": pa.string(),
}
TRUE = ["1", "true", "True", "TRUE", "t", "T", "yes", "Yes", "YES", "y", "Y"]
FALSE = ["0", "false", "False", "FALSE", "f", "F", "no", "No", "NO", "n", "N"]
NOUNS = {
    "bool": "yes or no",
    "int": "whole number",
    "float": "number",
    "decimal": "number",
    "text": "text",
    "date": "date (2024-01-31)",
    "timestamp": "timestamp (2024-01-31 07:30:00)",
    "json": "JSON",
}
_WIDE_SPACE = r"[\x{00a0}\x{2007}\x{2009}\x{202f}]"  # the spaces that typesetters put inside and behind numbers
_SPACE = r"[ \t\x{00a0}\x{2007}\x{2009}\x{202f}]*"
_NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)"
_PATTERNS = {
    "int": r"^[ \t]*[+-]?[0-9]+[ \t]*$",
    "float": rf"^[ \t]*{_NUMBER}([eE][+-]?[0-9]+)?[ \t]*$",
    "decimal": rf"^[ \t]*{_NUMBER}[ \t]*$",
    "date": r"^[ \t]*[0-9]{4}-[0-9]{2}-[0-9]{2}[ \t]*$",
}
_MOMENT = r"[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9]{2}(:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?)?)?"
_ZONE = r"(Z|[+-][0-9]{2}(:?[0-9]{2})?)"
_NAIVE = rf"^{_MOMENT}$"
_ZONED = rf"^{_MOMENT}{_ZONE}$"


@dataclass(frozen=True, slots=True)
class Marks:
    """How numbers are written: the decimal mark, what groups digits by three, and what stands before or after them."""

    decimal: str = "."
    thousands: str | None = None
    unit: str | None = None

    def of(self, column: Column) -> "Marks":
        """How the numbers of one column are written."""
        if not (column.decimal or column.thousands or column.unit):
            return self
        return Marks(column.decimal or self.decimal, column.thousands or self.thousands, column.unit)


@dataclass(frozen=True, slots=True)
class Checked:
    """One column of a block: its cells as values (none where bad) and which cells are bad."""

    values: Any
    bad: NDArray[np.bool_]


def _numpy(mask: Any) -> NDArray[np.bool_]:
    return np.asarray(mask.fill_null(False).to_numpy(zero_copy_only=False), dtype=bool)


def _matches(texts: Any, pattern: str) -> Any:
    return pc.match_substring_regex(texts, pattern)


def _cast(texts: Any, kind: Any) -> Any:
    """Casts what can be cast; halves the rest until single cells stand alone. Bad cells become null."""
    try:
        return pc.cast(texts, kind)
    except pa.ArrowInvalid:
        if len(texts) == 1:
            return pa.nulls(1, kind)
        middle = len(texts) // 2
        return pa.concat_arrays([_cast(texts[:middle], kind), _cast(texts[middle:], kind)])


def _only(texts: Any, fitting: Any) -> Any:
    return pc.if_else(pc.fill_null(fitting, False), texts, pa.scalar(None, pa.string()))


def trimmed(cells: Any, column: Column) -> Any:
    """The cells without the spaces around them, where the contract says that those mean nothing; a cell of spaces is empty."""
    if not column.trim or not pa.types.is_string(cells.type):
        return cells
    bare = pc.utf8_trim_whitespace(cells)
    return _only(bare, pc.not_equal(bare, ""))


def blanked(cells: Any, column: Column) -> Any:
    """The cells without those that mean 'no value' in this column alone."""
    if not column.nulls:
        return cells
    if pa.types.is_string(cells.type):
        meant = pc.is_in(pc.utf8_trim_whitespace(cells), pa.array([one.strip() for one in column.nulls]))
    else:
        meant = pc.is_in(cells, _as_numbers(column.nulls, cells.type))
    return pc.if_else(meant, pa.scalar(None, cells.type), cells)


def _as_numbers(nulls: tuple[str, ...], kind: Any) -> Any:
    numbers = [_cast(pa.array([one]), pa.float64()) for one in nulls]
    return pa.concat_arrays([_cast(one.drop_null(), kind) if len(one.drop_null()) else pa.nulls(0, kind) for one in numbers])


def check_column(texts: Any, column: Column, *, zone: ZoneInfo, marks: Marks = Marks()) -> Checked:
    """Which cells of a column of strings are no value of its type; nulls are neither good nor bad."""
    kind, texts = column.type, trimmed(texts, column)
    if kind == "text":
        values = _only(texts, pc.invert(pc.match_substring(texts, "\0")))
    elif kind == "json":
        values = pa.array([_as_json(cell) for cell in texts.to_pylist()], pa.string())
    elif kind == "bool":
        values = pc.if_else(pc.is_in(texts, pa.array(TRUE)), True, _falses(texts))
    elif column.format is not None:
        values = _check_format(texts, column, zone)
    elif kind == "timestamp":
        values = check_moments(texts, zone)
    else:
        marks = marks.of(column)
        values = _check_plain(texts if marks == Marks() or kind == "date" else _without_marks(texts, marks), kind)
    return Checked(values, _numpy(pc.and_(pc.is_valid(texts), pc.is_null(values))))


def _as_json(cell: str | None) -> str | None:
    """The cell if it is JSON that Postgres takes too: no NaN, no zero character."""
    try:
        if cell is not None:
            json.loads(cell, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return None if cell is None or "\\u0000" in cell or "\0" in cell else cell


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _without_marks(texts: Any, marks: Marks) -> Any:
    """Numbers as machines write them; what is grouped or pointed otherwise becomes null."""
    if marks.unit:
        unit = re.escape(marks.unit)
        texts = pc.replace_substring_regex(texts, rf"^{_SPACE}([+-]?){_SPACE}{unit}{_SPACE}|{_SPACE}{unit}{_SPACE}$", r"\1")
    if marks.thousands == " ":
        texts = pc.replace_substring_regex(texts, _WIDE_SPACE, " ")
    point, group = re.escape(marks.decimal), re.escape(marks.thousands or "")
    tail = rf"({point}[0-9]*)?([eE][+-]?[0-9]+)?[ \t]*$"
    shape = rf"^[ \t]*[+-]?([0-9]*|[0-9]{{1,3}}({group}[0-9]{{3}})+){tail}" if group else rf"^[ \t]*[+-]?[0-9]*{tail}"
    plain = _only(texts, _matches(texts, shape))
    if marks.thousands:
        plain = pc.replace_substring(plain, marks.thousands, "")
    return pc.replace_substring(plain, marks.decimal, ".")


def _check_format(texts: Any, column: Column, zone: ZoneInfo) -> Any:
    """Read by the format, written by it again and compared: what the format reads too kindly (a year 24) is bad."""
    assert column.format is not None
    read = pc.strptime(texts, format=column.format, unit="us", error_is_null=True)
    written = pc.strftime(read.cast(pa.timestamp("s")), column.format)  # finer ones are written with a fraction
    bare, again = (pc.replace_substring_regex(pc.utf8_lower(each), r"\b0+([0-9])", r"\1") for each in (texts, written))
    same = pc.and_(pc.equal(bare, again), pc.greater_equal(pc.year(read), 1000))
    read = pc.if_else(pc.fill_null(same, False), read, pa.scalar(None, NAIVE))
    if column.type == "date":
        return pc.cast(read, pa.date32(), safe=False)
    clock = read_clock(read, zone)
    return pc.if_else(pa.array(~clock.never), clock.moments, pa.scalar(None, ZONED))


def _falses(texts: Any) -> Any:
    return pc.if_else(pc.is_in(texts, pa.array(FALSE)), False, pa.scalar(None, pa.bool_()))


def _check_plain(texts: Any, kind: str) -> Any:
    fitting = _only(texts, _matches(texts, _PATTERNS[kind]))
    if kind == "decimal":
        return fitting
    bare = pc.ascii_ltrim(pc.ascii_trim_whitespace(fitting), "+")
    values = _cast(bare, ARROW[kind])
    if kind != "float":
        return values
    lost = pc.and_(pc.equal(values, 0.0), _matches(bare, r"^[^eE]*[1-9]"))
    return pc.if_else(pc.and_(pc.is_finite(values), pc.invert(lost)), values, pa.scalar(None, pa.float64()))


def check_moments(texts: Any, zone: ZoneInfo) -> Any:
    """Cells as moments in UTC. One that names no zone is in the pipeline's; one that its clocks never showed is bad."""
    zoned = _cast(pc.replace_substring_regex(_only(texts, _matches(texts, _ZONED)), r"([+-][0-9]{2})$", r"\1:00"), ZONED)
    naive = _cast(_only(texts, _matches(texts, _NAIVE)), NAIVE)
    read = read_clock(naive, zone)
    return pc.coalesce(zoned, pc.if_else(pa.array(~read.never), read.moments, pa.scalar(None, ZONED)))


_NO_VALUE = {"", "nan", "inf", "-inf", "infinity", "-infinity", "null", "none", "na", "n/a", "#n/a", "nil", "\\n", "-", "?", "."}


def no_value(value: str, column: Column) -> str:
    """Why a cell is no value of its type, as the end of a sentence."""
    text, kind = value.strip(), column.type
    shown = repr(value if len(value) <= 80 else value[:79] + "…")
    noun = f"{kind} written as {column.format}" if column.format else NOUNS[kind]
    noun += f" with the unit {column.unit}" if column.unit else ""
    if "\0" in value:
        return f"{shown} holds a zero byte, which no text in Postgres may hold"
    if text.lower() in _NO_VALUE and kind != "text":
        return f"{shown} is no {noun}; if it means 'no value', add it to source.nulls"
    if kind == "int" and re.fullmatch(r"[+-]?[0-9]+", text):
        return f"{shown} does not fit into 64 bits; make the column decimal or text"
    if kind == "timestamp" and not column.format and re.match(_NAIVE, text):
        return f"{shown} was never shown by the pipeline's clocks, or is no day of the calendar"
    return f"{shown} is no {noun}"
