"""Cuts a stream of CSV into blocks of whole records, and says on which physical line each record starts."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from domain.errors import SourceError

BLOCK = 4 << 20
LONGEST_RECORD = 32 << 20
QUOTE = b'"'


@dataclass(frozen=True, slots=True)
class Block:
    """Whole records of one source, UTF-8, each ended by a line feed; `line` is where the first one starts, from 1."""

    source: str
    line: int
    data: bytes

    @property
    def quoted(self) -> bool:
        return QUOTE in self.data


@lru_cache
def _record(delimiter: str) -> re.Pattern[bytes]:
    mark = re.escape(delimiter.encode())
    cell = rb'(?:"(?:[^"]|"")*"[^' + mark + rb"\n]*|[^\"" + mark + rb"\n][^" + mark + rb"\n]*|)"
    return re.compile(cell + rb"(?:" + mark + cell + rb")*\n")


def record_ends(data: bytes, delimiter: str) -> NDArray[np.int64]:
    """The offset just past each complete record. A quote is special only where it opens a cell, as in RFC 4180."""
    feeds = np.flatnonzero(np.frombuffer(data, np.uint8) == 10)
    if QUOTE not in data:
        return feeds + 1
    ends, at, pattern = [], 0, _record(delimiter)
    while (match := pattern.match(data, at)) is not None:
        at = match.end()
        ends.append(at)
    return np.array(ends, np.int64)


def _last_end(data: bytes, delimiter: str) -> int:
    if QUOTE not in data:
        return data.rfind(b"\n") + 1
    ends = record_ends(data, delimiter)
    return int(ends[-1]) if len(ends) else 0


@dataclass(frozen=True, slots=True)
class Spans:
    """Where each record of a block lies; blank lines are no records."""

    data: bytes
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    lines: NDArray[np.int64]

    def line(self, record: int) -> int:
        """The physical line on which a record starts."""
        return int(self.lines[min(record, len(self.lines) - 1)])

    def cut(self, data: bytes, records: NDArray[np.int64]) -> bytes:
        """The bytes of some records, joined; `data` is the block's own or of the same length."""
        if not len(records):
            return b""
        breaks = np.flatnonzero(np.diff(records) != 1) + 1
        firsts, lasts = records[np.concatenate(([0], breaks))], records[np.concatenate((breaks - 1, [len(records) - 1]))]
        return b"".join(data[self.starts[a] : self.ends[b]] for a, b in zip(firsts, lasts, strict=True))

    def text(self, record: int) -> str:
        record = min(record, len(self.lines) - 1)
        return self.data[self.starts[record] : self.ends[record]].decode("utf-8", "replace").rstrip("\r\n")


def record_spans(block: Block, delimiter: str) -> Spans:
    data = np.frombuffer(block.data, np.uint8)
    feeds = np.flatnonzero(data == 10)
    ends = record_ends(block.data, delimiter)
    starts = np.concatenate(([0], ends[:-1])).astype(np.int64)
    lines = block.line + np.searchsorted(feeds, starts)
    filled = ~np.isin(data[starts], (10, 13))
    return Spans(block.data, starts[filled], ends[filled], lines[filled])


def cut_blocks(stream: BinaryIO, *, source: str, delimiter: str, line: int, size: int = BLOCK) -> Iterator[Block]:
    """Blocks of about `size` bytes; `line` is the physical line that the stream stands on.

    Raises SourceError when a quote is opened and never closed, which would swallow every row behind it.
    """
    rest = b""
    while True:
        more = stream.read(size)
        data = rest + more
        if not more and data and not data.endswith(b"\n"):
            data += b"\n"
        end = _last_end(data, delimiter)
        if end:
            yield Block(source, line, data[:end])
            line += data.count(b"\n", 0, end)
        rest = data[end:]
        if rest and (not more or len(rest) > LONGEST_RECORD):
            raise SourceError(
                f"{source}: the quote that opens in line {line} is never closed, so the rest of the file would be one cell",
                hint="ask for the file again, or mend that line",
            )
        if not more:
            return
