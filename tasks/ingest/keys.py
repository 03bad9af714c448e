"""Finds rows that may share a key, in flat memory: eight bytes of hash a row, spilled to disk when there are many.

Equal keys always have equal hashes; whether equal hashes are equal keys is for Postgres to say.
"""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

_BUCKETS = 64
_IN_MEMORY = 500_000
_MIX = np.uint64(0x9E3779B97F4A7C15)
_PRIME = np.uint64(0xBF58476D1CE4E5B9)
Hashes = NDArray[np.uint64]


def hash_keys(columns: Sequence[Any]) -> Hashes:
    """One 64-bit hash for each row of the key's columns, the same for equal values however they were written."""
    total = np.zeros(len(columns[0]), np.uint64)
    for column in columns:
        total = _mixed(total * _PRIME + _hash_column(column))
    return total


def _mixed(values: Hashes) -> Hashes:
    values = (values ^ (values >> np.uint64(31))) * _MIX
    return values ^ (values >> np.uint64(29))


def _hash_column(column: Any) -> Hashes:
    if pa.types.is_string(column.type):
        return _hash_text(column)
    if pa.types.is_floating(column.type):
        return _mixed((np.asarray(column.fill_null(0)) + 0.0).view(np.uint64))
    wide = column.cast(pa.int32()) if pa.types.is_date32(column.type) else column
    return _mixed(np.asarray(wide.cast(pa.int64()).fill_null(0)).view(np.uint64))


def _hash_text(column: Any) -> Hashes:
    column = pa.concat_arrays([column.fill_null("")])
    offsets = np.frombuffer(column.buffers()[1], np.int32, len(column) + 1, offset=column.offset * 4).astype(np.int64)
    data = column.buffers()[2]
    return _hash_slices(data.to_pybytes() if data is not None else b"", offsets[:-1], np.diff(offsets))


def hash_lines(data: bytes) -> Hashes:
    """One hash for each line."""
    feeds = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n"))
    starts = np.concatenate(([0], feeds[:-1] + 1)) if len(feeds) else np.empty(0, np.int64)
    return _hash_slices(data, starts.astype(np.int64), feeds - starts)


def _hash_slices(data: bytes, starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> Hashes:
    """Eight bytes at a time, over all slices at once."""
    padded = data + bytes(8)
    words = np.ndarray(len(padded) - 7, dtype="<u8", buffer=padded, strides=(1,))
    result = _mixed(lengths.astype(np.uint64))
    for at in range(0, int(lengths.max(initial=0)), 8):
        left = lengths - at
        rows = np.flatnonzero(left > 0)
        unused = (8 * (8 - np.minimum(left[rows], 8))).astype(np.uint64)
        word = (words[starts[rows] + at] << unused) >> unused
        result[rows] = _mixed(result[rows] * _PRIME + word)
    return result


def as_key(column: Any, kind: str) -> Any:
    """A decimal's text says the same number in many ways; as a float it hashes alike."""
    return pc.cast(pc.ascii_ltrim(pc.ascii_trim_whitespace(column), "+"), pa.float64()) if kind == "decimal" else column


class KeyIndex:
    """The hashes of all landed rows, in their order."""

    def __init__(self) -> None:
        self.rows = 0
        self._kept: list[Hashes] = []
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def add(self, hashes: Hashes) -> None:
        self._kept.append(hashes)
        self.rows += len(hashes)
        if sum(map(len, self._kept)) > _IN_MEMORY:
            self._spill()

    def _spill(self) -> None:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="overnight-keys-")
        hashes = np.concatenate(self._kept)
        places = np.arange(self.rows - len(hashes), self.rows, dtype=np.uint64)
        order = np.argsort(hashes)
        edges = np.searchsorted(hashes[order], np.arange(1, _BUCKETS, dtype=np.uint64) << np.uint64(58))
        for number, rows in enumerate(np.split(order, edges)):
            with self._bucket(number).open("ab") as file:
                np.column_stack((hashes[rows], places[rows])).tofile(file)
        self._kept = []

    def _bucket(self, number: int) -> Path:
        assert self._folder is not None
        return Path(self._folder.name) / str(number)

    def suspects(self) -> Iterator[NDArray[np.int64]]:
        """Row numbers, from 0, whose hash occurs more than once; rows of one hash come in one array."""
        if self._folder is None:
            if self._kept:
                hashes = np.concatenate(self._kept)
                yield _repeated(hashes, np.arange(len(hashes), dtype=np.uint64))
            return
        self._spill()
        for number in range(_BUCKETS):
            pairs = np.fromfile(self._bucket(number), np.uint64).reshape(-1, 2)
            yield _repeated(pairs[:, 0], pairs[:, 1])

    def close(self) -> None:
        if self._folder is not None:
            self._folder.cleanup()


def _repeated(hashes: Hashes, places: Hashes) -> NDArray[np.int64]:
    ranked = np.sort(hashes)
    twice = np.unique(ranked[1:][ranked[1:] == ranked[:-1]])
    return places[np.isin(hashes, twice)].astype(np.int64) if len(twice) else np.empty(0, np.int64)
