"""What a cell must look like to be of a type. Strict: what would be silently changed is refused.

pyarrow reads whole blocks by the same rules and far faster; these rules find the bad cells when it refuses a block.
"""

from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

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
}
_NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)"
_PATTERNS = {
    "int": r"^[ \t]*[+-]?[0-9]+[ \t]*$",
    "float": rf"^[ \t]*{_NUMBER}([eE][+-]?[0-9]+)?[ \t]*$",
    "decimal": rf"^[ \t]*{_NUMBER}[ \t]*$",
    "date": r"^[ \t]*[0-9]{4}-[0-9]{2}-[0-9]{2}[ \t]*$",
}
_MOMENT = r"[0-9]{4}-[0-9]{2}-[0-9]{2}([ T][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?)?"
_ZONE = r"(Z|[+-][0-9]{2}(:?[0-9]{2})?)"
_NAIVE = rf"^{_MOMENT}$"
_ZONED = rf"^{_MOMENT}{_ZONE}$"


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


def check_column(texts: Any, kind: str, *, zone: ZoneInfo) -> Checked:
    """Which cells of a column of strings are no value of a type; nulls are neither good nor bad."""
    if kind == "text":
        values = _only(texts, pc.invert(pc.match_substring(texts, "\0")))
    elif kind == "bool":
        values = pc.if_else(pc.is_in(texts, pa.array(TRUE)), True, _falses(texts))
    elif kind == "timestamp":
        values = check_moments(texts, zone)
    else:
        values = _check_plain(texts, kind)
    return Checked(values, _numpy(pc.and_(pc.is_valid(texts), pc.is_null(values))))


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


def no_value(value: str, kind: str) -> str:
    """Why a cell is no value of its type, as the end of a sentence."""
    text = value.strip()
    if text.lower() in ("nan", "inf", "-inf", "infinity", "-infinity", "null", "none", "na", "n/a", "#n/a", "\\n", "-"):
        return f"{value!r} is no {NOUNS[kind]}; if it means 'no value', add it to source.nulls"
    if kind == "int" and text.lstrip("+-").isdigit():
        return f"{value!r} does not fit into 64 bits; make the column decimal or text"
    if "\0" in value:
        return f"{value!r} holds a zero byte, which no text in Postgres may hold"
    return f"{value!r} is no {NOUNS[kind]}"
