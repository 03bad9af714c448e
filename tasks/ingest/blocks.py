"""Cuts a stream of CSV into blocks of whole records, and says on which physical line each record starts."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from domain.errors import SourceError
from tasks.ingest.text import Utf8

BLOCK = 2 << 20
LONGEST_RECORD = 32 << 20
Offsets = NDArray[np.int64]
_FEED, _RETURN = ord("\n"), ord("\r")


@dataclass(frozen=True, slots=True)
class Dialect:
    """What separates and surrounds the cells of a file, and what starts a line that is no row."""

    delimiter: str = ","
    quote: str | None = '"'
    comment: str | None = None

    def quoted(self, data: bytes) -> bool:
        return self.quote is not None and self.quote.encode() in data


@dataclass(frozen=True, slots=True)
class Block:
    """Whole records of one source, UTF-8, each ended by a line feed; `line` is where the first one starts, from 1.

    `ends` and `torn` are what cutting a quoted block has found of its records.
    """

    source: str
    line: int
    data: bytes
    quoted: bool
    ends: Offsets | None = None
    torn: NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True)
class Spans:
    """Where each record of a block lies; blank lines and comments are no records. `torn` marks records in which text
    follows a closing quote, so that nobody can say what was meant."""

    data: bytes
    starts: Offsets
    ends: Offsets
    lines: Offsets
    torn: NDArray[np.bool_]

    def line(self, record: int) -> int:
        """The physical line on which a record starts."""
        return int(self.lines[min(record, len(self.lines) - 1)])

    def cut(self, records: Offsets) -> bytes:
        """The bytes of some records, joined."""
        if not len(records):
            return b""
        breaks = np.flatnonzero(np.diff(records) != 1) + 1
        firsts, lasts = records[np.concatenate(([0], breaks))], records[np.concatenate((breaks - 1, [len(records) - 1]))]
        return b"".join(
            self.data[self.starts[a] : self.ends[b]]
            if self.ends[b] - self.starts[a] == (self.ends[a : b + 1] - self.starts[a : b + 1]).sum()
            else b"".join(self.data[self.starts[n] : self.ends[n]] for n in range(a, b + 1))
            for a, b in zip(firsts, lasts, strict=True)
        )

    def text(self, record: int) -> str:
        record = min(record, len(self.lines) - 1)
        return self.data[self.starts[record] : self.ends[record]].decode("utf-8", "replace").rstrip("\r\n")


@lru_cache
def _patterns(dialect: Dialect) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    """A record as RFC 4180 has it, and a record as people write it: text may follow a closing quote."""
    mark, quote = re.escape(dialect.delimiter.encode()), re.escape((dialect.quote or "").encode())
    inside = quote + rb"(?:[^" + quote + rb"]|" + quote + quote + rb")*" + quote
    plain = rb"[^" + quote + mark + rb"\n][^" + mark + rb"\n]*|"
    strict, loose = rb"(?:" + inside + rb"|" + plain + rb")", rb"(?:" + inside + rb"[^" + mark + rb"\n]*|" + plain + rb")"
    ends = rb"\r?\n"
    return (
        re.compile(strict + rb"(?:" + mark + strict + rb")*" + ends),
        re.compile(loose + rb"(?:" + mark + loose + rb")*" + ends),
    )


def _record_ends(data: bytes, dialect: Dialect) -> tuple[Offsets, NDArray[np.bool_] | None]:
    """The offset just past each complete record, and which of them are torn (None when none can be)."""
    letters = np.frombuffer(data, np.uint8)
    feeds = np.flatnonzero(letters == _FEED)
    if not dialect.quoted(data):
        return feeds + 1, None
    assert dialect.quote is not None
    quotes = np.flatnonzero(letters == ord(dialect.quote))
    if _is_regular(letters, quotes, dialect):
        return feeds[np.searchsorted(quotes, feeds) % 2 == 0] + 1, None
    return _scan(data, dialect)


def _is_regular(letters: NDArray[np.uint8], quotes: Offsets, dialect: Dialect) -> bool:
    """Whether every quote opens a cell, closes one, or is doubled; then counting quotes tells what is inside."""
    quote, mark = ord(dialect.quote or "\0"), ord(dialect.delimiter)
    opening, closing = quotes[0::2], quotes[1::2]
    before = letters[opening[opening > 0] - 1]
    after = letters[closing[closing < len(letters) - 1] + 1]
    return bool(
        np.isin(before, (mark, _FEED, quote)).all() and np.isin(after, (mark, _FEED, _RETURN, quote)).all()
    )  # fmt: skip


def _scan(data: bytes, dialect: Dialect) -> tuple[Offsets, NDArray[np.bool_]]:
    """Record by record: the slow way, for files in which quotes stand inside cells."""
    strict, loose = _patterns(dialect)
    ends: list[int] = []
    torn: list[bool] = []
    at = 0
    while True:
        match = strict.match(data, at)
        if match is None and (match := loose.match(data, at)) is None:
            return np.array(ends, np.int64), np.array(torn, dtype=np.bool_)
        torn.append(match.re is loose)
        at = match.end()
        ends.append(at)


def record_spans(block: Block, dialect: Dialect) -> Spans:
    data = np.frombuffer(block.data, np.uint8)
    feeds = np.flatnonzero(data == _FEED)
    ends, torn = (block.ends, block.torn) if block.ends is not None else _record_ends(block.data, dialect)
    starts = np.concatenate(([0], ends[:-1])).astype(np.int64)
    lines = block.line + np.searchsorted(feeds, starts)
    filled = ~np.isin(data[starts], (_FEED, _RETURN))
    if dialect.comment:
        mark = np.frombuffer(dialect.comment.encode(), np.uint8)
        inside = starts[:, None] + np.arange(len(mark))
        filled &= ~(data[np.minimum(inside, len(data) - 1)] == mark).all(axis=1)
    torn = np.zeros(len(ends), dtype=bool) if torn is None else torn
    return Spans(block.data, starts[filled], ends[filled], lines[filled], torn[filled])


def cut_blocks(stream: Utf8, *, source: str, dialect: Dialect, line: int, size: int = BLOCK) -> Iterator[Block]:
    """Blocks of about `size` bytes; `line` is the physical line that the stream stands on.

    Raises SourceError when a quote is opened and never closed, which would swallow every row behind it.
    """
    rest = b""
    while True:
        more = stream.read(size)
        data = rest + more
        if not more and data and not data.endswith(b"\n"):
            data += b"\n"
        quoted = dialect.quoted(data)
        ends, torn = _record_ends(data, dialect) if quoted else (None, None)
        end = data.rfind(b"\n") + 1 if ends is None else int(ends[-1:].sum())
        if end:
            yield Block(source, line, data[:end], quoted, ends, torn)
            line += data.count(b"\n", 0, end)
        rest = data[end:]
        if rest and (not more or len(rest) > LONGEST_RECORD):
            raise SourceError(
                f"{source}: the quote that opens in line {line} is never closed, so the rest of the file would be one cell",
                hint="ask for the file again, or mend that line",
            )
        if not more:
            return
