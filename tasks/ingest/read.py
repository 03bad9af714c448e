"""Reads a block of CSV with pyarrow: every column as its type if it can be, as text where some cell of it cannot."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv

from domain.spec.source import Column
from tasks.ingest.blocks import Block, Dialect
from tasks.ingest.cells import ARROW, FALSE, NAIVE, TRUE, ZONED, Marks
from tasks.ingest.header import wrong_encoding

_COLUMN = re.compile(r"In CSV column #(\d+)")
_ZONE_AT_END = re.compile(r"(Z|[+-]\d{2}(:?\d{2})?)$")


@dataclass(frozen=True, slots=True)
class Layout:
    """How the cells of one file stand: its header, its dialect, how numbers are written, which cells mean 'no value'."""

    header: tuple[str, ...]
    dialect: Dialect
    marks: Marks
    nulls: tuple[str, ...]


class Ragged(list[tuple[int, int, str]]):
    """Rows with another number of cells than the header: (record within the block, cells, text)."""

    def __call__(self, row: Any) -> str:
        self.append((row.number - 1, row.actual_columns, row.text))
        return "skip"


@dataclass(frozen=True, slots=True)
class Read:
    """One block. Columns in `doubtful` are text, and some cell of each may not fit its type."""

    table: Any
    ragged: Ragged
    doubtful: frozenset[str]


class BlockReader:
    """Reads the blocks of one file by one contract; remembers which timestamp columns name their zone."""

    def __init__(self, layout: Layout, columns: Mapping[str, Column]) -> None:
        self.layout, self.columns = layout, columns
        self._names = _unique(layout.header)
        self._moments: dict[str, Any] = {}
        self.by_cell = frozenset(name for name, column in columns.items() if _needs_cells(column, layout.marks))

    def read(self, block: Block, data: bytes) -> Read:
        """Raises SourceError when the block is not UTF-8."""
        doubtful = self._doubtful(data)
        while True:
            ragged = Ragged()
            try:
                types = self._types(data, quoted=block.quoted)
                wanted = {name: pa.string() if name in doubtful else kind for name, kind in types.items()}
                return Read(self._read(data, wanted, quoted=block.quoted, ragged=ragged), ragged, frozenset(doubtful))
            except pa.ArrowInvalid as error:
                check_utf8(block)
                before = len(doubtful)
                doubtful |= self._named_in(str(error))
                if len(doubtful) == before:
                    raise

    def strings(self, block: Block, data: bytes) -> Any:
        """Every column of the contract as text, without the ragged rows."""
        return self._read(data, dict.fromkeys(self.columns, pa.string()), quoted=block.quoted, ragged=Ragged())

    def extras(self, block: Block, data: bytes) -> list[str | None]:
        """For each row, the cells of columns outside the contract as a JSON object; None where there are none."""
        names = [name for name in self._names if name not in self.columns and "\0" not in name]
        table = self._read(data, dict.fromkeys(names, pa.string()), quoted=block.quoted, ragged=Ragged())
        return as_objects(names, [table[name].to_pylist() for name in names])

    def _doubtful(self, data: bytes) -> set[str]:
        """Columns that pyarrow would read too kindly: 0x1F as 31, or text that Postgres cannot hold."""
        found = set(self.by_cell)
        if b"\0" in data:
            found |= {name for name, column in self.columns.items() if column.type == "text"}
        if _may_hold_hex(data):
            found |= {name for name, column in self.columns.items() if column.type == "int"}
        return found

    def _named_in(self, message: str) -> set[str]:
        match = _COLUMN.search(message)
        if match and self._names[int(match[1])] in self.columns:
            return {self._names[int(match[1])]}
        return set(self.columns)

    def _types(self, data: bytes, *, quoted: bool) -> dict[str, Any]:
        """The Arrow type of each column; the first cell says whether a timestamp column names its zone."""
        moments = {name: pa.string() for name, column in self.columns.items() if column.type == "timestamp" and not column.format}
        if moments.keys() - self._moments.keys():
            texts = self._read(data, dict.fromkeys(self.columns, pa.string()), quoted=quoted, ragged=Ragged())
            for name in moments.keys() - self._moments.keys():
                first = next((cell for cell in texts[name][:1000].to_pylist() if cell is not None), None)
                if first is not None:
                    self._moments[name] = ZONED if _ZONE_AT_END.search(first[10:]) else NAIVE
        return {name: self._moments.get(name, ARROW[column.type]) for name, column in self.columns.items()}

    def _read(self, data: bytes, types: Mapping[str, Any], *, quoted: bool, ragged: Ragged) -> Any:
        return pcsv.read_csv(
            pa.py_buffer(data),
            read_options=pcsv.ReadOptions(column_names=self._names, use_threads=False, block_size=len(data) + 1),
            parse_options=pcsv.ParseOptions(
                delimiter=self.layout.dialect.delimiter, quote_char=self.layout.dialect.quote or False,
                newlines_in_values=quoted, invalid_row_handler=ragged,
            ),
            convert_options=pcsv.ConvertOptions(
                column_types=types, include_columns=list(types), null_values=list(self.layout.nulls),
                strings_can_be_null=True, quoted_strings_can_be_null=False, true_values=TRUE, false_values=FALSE,
            ),
        ).combine_chunks()  # fmt: skip


def _needs_cells(column: Column, marks: Marks) -> bool:
    """Whether pyarrow's own reading does not know how such cells are written."""
    if column.type in ("int", "float") and marks.of(column) != Marks():
        return True
    return column.type in ("decimal", "json") or column.format is not None or bool(column.nulls) or column.trim


def _may_hold_hex(data: bytes) -> bool:
    """Whether 0x or 0X starts a word anywhere. By whole arrays: searching bytes for pairs is ten times slower."""
    letters = np.frombuffer(data, np.uint8)
    at = np.flatnonzero((letters | 0x20) == ord("x"))
    at = at[(at > 0) & (letters[at - 1] == ord("0"))]
    before = letters[np.maximum(at - 2, 0)]
    small = before | 0x20
    inside_word = ((small >= ord("a")) & (small <= ord("z"))) | ((before >= ord("0")) & (before <= ord("9")))
    return bool(((at < 2) | ~inside_word).any())


def as_objects(names: Sequence[str], columns: Sequence[Sequence[Any]]) -> list[str | None]:
    """Columns side by side as one JSON object a row, without the empty cells."""
    found: list[str | None] = []
    for cells in zip(*columns, strict=True):
        kept = {name: cell for name, cell in zip(names, cells, strict=True) if cell is not None}
        text = json.dumps(kept, ensure_ascii=False, default=str).replace("\\u0000", "\\ufffd")
        found.append(text if kept else None)
    return found


def check_utf8(block: Block) -> None:
    """Raises SourceError with the line of the first byte that is not UTF-8."""
    try:
        block.data.decode()
    except UnicodeDecodeError as error:
        line = block.line + block.data.count(b"\n", 0, error.start)
        raise wrong_encoding(block.source, line=line, byte=block.data[error.start]) from None


def _unique(names: Sequence[str]) -> list[str]:
    """Columns outside the contract may share a name; pyarrow needs them apart."""
    seen: set[str] = set()
    result = []
    for number, name in enumerate(names):
        result.append(f"{name}\0{number}" if name in seen else name)
        seen.add(name)
    return result
