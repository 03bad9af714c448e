"""Where each landed row stood in its source, by the order in which rows landed; ranges where lines just follow."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class _Stretch:
    """`count` rows from landed row `first` on: on consecutive lines from `line`, on `lines`, or on none."""

    first: int
    count: int
    source: str
    line: int | None
    lines: NDArray[np.int64] | None

    def goes_on_with(self, source: str, line: int | None) -> bool:
        if self.lines is not None or self.source != source:
            return False
        return line is None if self.line is None else line == self.line + self.count

    def line_of(self, offset: int) -> int | None:
        if self.lines is not None:
            return int(self.lines[offset])
        return None if self.line is None else self.line + offset


class Places:
    """Maps row numbers (from 0, in landing order) back to file and line."""

    def __init__(self) -> None:
        self._rows = 0
        self._stretches: list[_Stretch] = []

    def add(self, source: str, lines: NDArray[np.int64] | None, count: int) -> None:
        """The next `count` landed rows, and their lines (None where rows stand on none)."""
        if not count:
            return
        first = int(lines[0]) if lines is not None else None
        follows = lines is None or int(lines[-1]) - int(lines[0]) == count - 1
        last = self._stretches[-1] if self._stretches else None
        if follows and last and last.goes_on_with(source, first):
            self._stretches[-1] = _Stretch(last.first, last.count + count, source, last.line, None)
        else:
            self._stretches.append(_Stretch(self._rows, count, source, first, None if follows else lines))
        self._rows += count

    def join(self, others: "Places") -> None:
        """The next landed rows are those of others, in their order."""
        self._stretches += [replace(each, first=each.first + self._rows) for each in others._stretches]
        self._rows += others._rows

    def find(self, rows: Iterable[int]) -> Iterator[tuple[int, str, int | None]]:
        """(row, source, line) of each row number."""
        firsts = np.array([stretch.first for stretch in self._stretches], np.int64)
        for row in rows:
            stretch = self._stretches[int(np.searchsorted(firsts, row, side="right")) - 1]
            yield row, stretch.source, stretch.line_of(row - stretch.first)
