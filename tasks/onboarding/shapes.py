"""What a table looks like in figures, part by part, so that rules can be proposed from how much the parts differ."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from domain.suggestion import ColumnShape, NightShape
from tasks.onboarding.table import Seen, Table

FEW = 40
_PATTERNS = ("[0-9]", "[A-Z]", "[a-z]", "[0-9A-Z]", "[0-9a-z]", "[0-9A-Za-z]")
_ROWS_OF_PART, _MOST_PARTS = 100, 8
_PAIRS = 30  # columns of which pairs are looked at
Rows = Any  # an array of row numbers


def parts_of(table: Table, moments: Any | None = None) -> list[Rows]:
    """The rows night by night where they are cut so, by files or by `moments` in days; else a few stretches of the table."""
    if moments is not None:
        days = np.floor(np.where(np.isnan(moments), -1, moments)).astype(np.int64)
        return [np.flatnonzero(days == day) for day in np.unique(days[days >= 0])[-28:]]
    if len(table.look.parts) > 1:
        return [rows for rows in np.split(np.arange(table.rows), np.cumsum(table.look.parts)[:-1]) if len(rows)]
    count = max(1, min(_MOST_PARTS, table.rows // _ROWS_OF_PART)) if table.rows >= 3 * _ROWS_OF_PART else 1
    return np.array_split(np.arange(table.rows), count)


def shape_of(columns: Sequence[Seen], rows: Rows) -> NightShape:
    """The figures of some rows."""
    shaped = [column for column in columns if column.type in ("int", "float", "decimal", "text")]
    return NightShape(
        len(rows),
        {column.name: _column(column, rows) for column in shaped},
        _correlations(shaped, rows),
        _per_value(shaped, rows),
    )


def _column(column: Seen, rows: Rows) -> ColumnShape:
    codes = column.codes[rows]
    share, different = float((codes >= 0).mean()), len(np.unique(codes[codes >= 0]))
    if column.is_number:
        numbers = column.numbers[rows]
        numbers = numbers[~np.isnan(numbers)]
        if len(numbers) < 2:
            return ColumnShape(share, different)
        figures = (float(numbers.min()), float(numbers.max()), float(numbers.mean()), float(numbers.std(ddof=1)))
        return ColumnShape(share, different, numbers=figures)
    texts = column.kind.values.take(pa.array(rows)).drop_null().unique()
    if not len(texts):
        return ColumnShape(share, different)
    sizes = pc.utf8_length(texts)
    few = frozenset(texts.to_pylist()) if different <= FEW else None
    pattern = next((one for one in _PATTERNS if pc.all(pc.match_substring_regex(texts, f"^{one}+$")).as_py()), "")
    return ColumnShape(share, different, lengths=(pc.min(sizes).as_py(), pc.max(sizes).as_py()), categories=few, shape=pattern)


def _correlations(columns: Sequence[Seen], rows: Rows) -> dict[tuple[str, str], float]:
    numbers = [column for column in columns if column.is_number and not column.is_unique][:_PAIRS]
    found = {}
    for one, other in combinations(numbers, 2):
        a, b = one.numbers[rows], other.numbers[rows]
        known = ~(np.isnan(a) | np.isnan(b))
        if known.sum() > 30 and np.ptp(a[known]) > 0 and np.ptp(b[known]) > 0:
            found[one.name, other.name] = float(np.corrcoef(a[known], b[known])[0, 1])
    return found


def _per_value(columns: Sequence[Seen], rows: Rows) -> dict[tuple[str, str], float]:
    """How many values of one column there are for a value of another, where they hang together."""
    texts = [column for column in columns if column.type == "text" and 2 <= column.different <= len(rows) / 5][:12]
    found = {}
    for one in texts:
        for other in columns[:_PAIRS]:
            if other is one or other.is_unique or other.different < 2:
                continue
            a, b = one.codes[rows], other.codes[rows]
            known = (a >= 0) & (b >= 0)
            if known.any():
                pairs = np.unique(a[known] * (other.different + 1) + b[known])
                found[one.name, other.name] = len(pairs) / max(1, len(np.unique(a[known])))
    return found
