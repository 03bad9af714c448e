"""Holds a table against the contract: which cells are no value of their column's type, which are empty and may not be."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from domain.spec.source import Column
from tasks.ingest.cells import NAIVE, Marks, blanked, check_column, trimmed
from tasks.ingest.clock import read_clock

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Judged:
    """`values` are the typed columns; `faults` maps (rule, column) to the rows that break it, in the contract's order.
    `twice` counts times that the clocks showed twice."""

    values: Mapping[str, Any]
    faults: Mapping[tuple[str, str], Mask]
    twice: int

    def bad_rows(self) -> Mask | None:
        """Which rows break any rule; None when none does."""
        return np.logical_or.reduce(list(self.faults.values())) if self.faults else None

    def problems(self) -> dict[int, list[tuple[str, str]]]:
        """For each bad row, in order, the rules that it breaks."""
        found: dict[int, list[tuple[str, str]]] = {}
        for fault, rows in self.faults.items():
            for row in np.flatnonzero(rows):
                found.setdefault(int(row), []).append(fault)
        return dict(sorted(found.items()))


def judge(
    table: Any, columns: Mapping[str, Column], zone: ZoneInfo, *, doubtful: Collection[str], marks: Marks = Marks()
) -> Judged:  # fmt: skip
    """Columns in `doubtful` are text and are checked cell by cell; pyarrow has vouched for the others' types."""
    values: dict[str, Any] = {}
    faults: dict[tuple[str, str], Mask] = {}
    twice = 0
    for name, column in columns.items():
        cells = blanked(trimmed(whole(table[name]), column), column)
        if (column.key or not column.null) and cells.null_count:
            faults["null", name] = np.asarray(cells.is_null())
        values[name], bad = cells, None
        if name in doubtful:
            checked = check_column(cells, column, zone=zone, marks=marks)
            values[name], bad = checked.values, checked.bad
        elif column.type == "float" and not pc.all(pc.is_finite(cells)).as_py():
            bad = ~np.asarray(pc.fill_null(pc.is_finite(cells), True))
        elif cells.type == NAIVE:
            read = read_clock(cells, zone)
            values[name], bad, twice = read.moments, read.never, twice + read.twice
        if bad is not None and bad.any():
            faults["type", name] = bad
        if column.allowed is not None and (others := _not_allowed(values[name], column)).any():
            faults["allowed", name] = others
    return Judged(values, faults, twice)


def _not_allowed(values: Any, column: Column) -> Mask:
    assert column.allowed is not None
    allowed = pa.array([str(one) for one in column.allowed])
    texts = values if pa.types.is_string(values.type) else pc.cast(values, pa.string())
    if column.type == "float":
        texts, allowed = values, pc.cast(allowed, pa.float64())
    return np.asarray(pc.and_(pc.is_valid(values), pc.invert(pc.is_in(texts, allowed))))


def whole(column: Any) -> Any:
    """A column as one array."""
    if isinstance(column, pa.ChunkedArray):
        return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    return column
