"""Where each landed row stood in its source, by the order in which rows landed; ranges where lines just follow."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class _Stretch:
    """`count` rows from landed row `first` on: on consecutive lines from `line`, or on `lines`."""

    first: int
    count: int
    source: str
    line: int
    lines: NDArray[np.int64] | None


class Places:
    """Maps row numbers (from 0, in landing order) back to file and line."""

    def __init__(self) -> None:
        self._rows = 0
        self._stretches: list[_Stretch] = []

    def add(self, source: str, lines: NDArray[np.int64]) -> None:
        if not len(lines):
            return
        follows = int(lines[-1]) - int(lines[0]) == len(lines) - 1
        last = self._stretches[-1] if self._stretches else None
        if follows and last and last.lines is None and last.source == source and last.line + last.count == lines[0]:
            self._stretches[-1] = _Stretch(last.first, last.count + len(lines), source, last.line, None)
        else:
            kept = None if follows else lines.astype(np.int64)
            self._stretches.append(_Stretch(self._rows, len(lines), source, int(lines[0]), kept))
        self._rows += len(lines)

    def find(self, rows: Iterable[int]) -> Iterator[tuple[int, str, int]]:
        """(row, source, line) of each row number."""
        firsts = np.array([stretch.first for stretch in self._stretches], np.int64)
        for row in rows:
            stretch = self._stretches[int(np.searchsorted(firsts, row, side="right")) - 1]
            offset = row - stretch.first
            yield row, stretch.source, stretch.line + offset if stretch.lines is None else int(stretch.lines[offset])
