"""Writes typed columns as the binary rows that COPY reads, whole columns at a time.

The format is PostgreSQL's own (COPY, "Binary Format"): for each row the number of fields, for each field its length and its
bytes, all big-endian; -1 as length says NULL. Nothing has to be spelt by us and read again by Postgres.
"""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_FROM_2000 = 946_684_800_000_000  # microseconds from 1970 to 2000, where Postgres begins to count
_DAYS_TO_2000 = 10_957
Places = NDArray[np.int64]


class _Buffer:
    """Bytes that can be written at many places at once, aligned or not."""

    def __init__(self, size: int) -> None:
        self.bytes = np.empty(size, np.uint8)

    def write(self, places: Places, values: Any, kind: str) -> None:
        width = np.dtype(kind).itemsize
        if not len(places):
            return
        view = np.ndarray(len(self.bytes) - width + 1, dtype=kind, buffer=self.bytes, strides=(1,))
        view[places] = values


def encode_binary(columns: Mapping[str, Any], *, json: Collection[str] = ()) -> bytes:
    """The rows of typed Arrow arrays; `json` names the text columns that are jsonb, which wants a version byte in front."""
    rows = len(next(iter(columns.values())))
    if not rows:
        return b""
    fields = [_Field(column, name in json) for name, column in columns.items()]
    row_sizes = np.full(rows, 2, np.int64)
    for field in fields:
        row_sizes += field.sizes + 4
    ends = np.cumsum(row_sizes)
    buffer = _Buffer(int(ends[-1]))
    at = ends - row_sizes
    buffer.write(at, len(fields), ">i2")
    at = at + 2
    for field in fields:
        field.write(buffer, at)
        at = at + 4 + field.sizes
    return buffer.bytes.tobytes()


class _Field:
    """One column: how many bytes each cell takes, and how they are written."""

    def __init__(self, column: Any, json: bool) -> None:
        self.null = np.asarray(column.is_null()) if column.null_count else None
        self.json = json
        self.text = pa.types.is_string(column.type)
        if self.text:
            self.starts, self.lengths, self.data = text_parts(column)
            self.sizes: Any = self.lengths + json
        else:
            self.values, self.kind = _fixed(column)
            self.sizes = np.full(len(column), np.dtype(self.kind).itemsize, np.int64)
        self.lengths_told: Any = self.sizes
        if self.null is not None:
            self.sizes = np.where(self.null, 0, self.sizes)
            self.lengths_told = np.where(self.null, -1, self.sizes)

    def write(self, buffer: _Buffer, at: Places) -> None:
        if self.text:
            self._write_text(buffer, at + 4)
        elif self.null is None:
            buffer.write(at + 4, self.values, self.kind)
        else:
            there = ~self.null
            buffer.write(at[there] + 4, self.values[there], self.kind)
        buffer.write(at, self.lengths_told, ">i4")

    def _write_text(self, buffer: _Buffer, at: Places) -> None:
        lengths = self.lengths if self.null is None else np.where(self.null, 0, self.lengths)
        if self.json:
            there = np.ones(len(at), dtype=bool) if self.null is None else ~self.null
            buffer.write(at[there], 1, "u1")
            at = at + 1
        for offset in range(0, int(lengths.max(initial=0)) - 7, 8):
            rows = np.flatnonzero(lengths >= offset + 8)
            self._copy(buffer, at, rows, offset, width=8)
        done = lengths & ~7
        for width in (4, 2, 1):
            rows = np.flatnonzero(lengths & width)
            self._copy(buffer, at, rows, done[rows], width=width)
            done = done + (lengths & width)

    def _copy(self, buffer: _Buffer, at: Places, rows: Places, offset: Any, *, width: int) -> None:
        """`width` bytes of each named row's text, from `offset` on."""
        if not len(rows):
            return
        words = np.ndarray(len(self.data) - width + 1, dtype=f"<u{width}", buffer=self.data, strides=(1,))
        buffer.write(at[rows] + offset, words[self.starts[rows] + offset], f"<u{width}")


def text_parts(column: Any) -> tuple[Places, Places, bytes]:
    """Where each text of a column starts, how long it is, and all their bytes."""
    offsets = np.frombuffer(column.buffers()[1], np.int32, len(column) + 1, offset=column.offset * 4).astype(np.int64)
    data = column.buffers()[2]
    return offsets[:-1], np.diff(offsets), data.to_pybytes() if data is not None else b""


def _fixed(column: Any) -> tuple[Any, str]:
    """A column's values as numbers, and how Postgres wants them written."""
    kind = column.type
    if pa.types.is_boolean(kind):
        return np.asarray(column.fill_null(False)).astype(np.uint8), "u1"
    if pa.types.is_floating(kind):
        return np.asarray(column.fill_null(0.0)), ">f8"
    if pa.types.is_date32(kind):
        return np.asarray(column.cast(pa.int32()).fill_null(0)) - _DAYS_TO_2000, ">i4"
    whole = np.asarray(column.cast(pa.int64()).fill_null(0))
    return (whole - _FROM_2000 if pa.types.is_timestamp(kind) else whole), ">i8"
