"""Turns blocks of CSV into what COPY takes: good rows as bytes, key hashes for them, and rejects with their places.

A block that is clean goes to Postgres as the very bytes that came, which nothing can beat; pyarrow has read every
cell of it by then. Any other block is taken apart column by column.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
from numpy.typing import NDArray

from domain.pipeline import Column
from tasks.ingest.blocks import Block, record_spans
from tasks.ingest.cells import ARROW, FALSE, NAIVE, TRUE, ZONED, check_column, no_value
from tasks.ingest.clock import read_clock
from tasks.ingest.encode import encode_rows
from tasks.ingest.files import wrong_encoding
from tasks.ingest.keys import Hashes, as_key, hash_keys
from tasks.ingest.rejects import Reject

_HEX = re.compile(rb"0[xX]")
_BLANK = re.compile(rb"\n\n+")
_ZONE_AT_END = re.compile(r"(Z|[+-]\d{2}(:?\d{2})?)$")


@dataclass(frozen=True, slots=True)
class Layout:
    """How the cells of one file stand: its header, what separates cells, and which cells mean 'no value'."""

    header: tuple[str, ...]
    delimiter: str
    nulls: tuple[str, ...]

    @property
    def null(self) -> str:
        """The one null mark that COPY is told."""
        return self.nulls[0] if len(self.nulls) == 1 else ""


@dataclass(slots=True)
class Parsed:
    """One block, read. `places` gives the physical line of each good row."""

    payload: bytes
    rows: int
    hashes: Hashes
    places: NDArray[np.int64]
    rejects: list[Reject] = field(default_factory=list)
    twice: int = 0


class _Ragged(list[Any]):
    """Rows with another number of cells than the header, as pyarrow meets them."""

    def __call__(self, row: Any) -> str:
        self.append((row.number - 1, row.actual_columns, row.text))
        return "skip"


class BlockParser:
    """Reads the blocks of one file by one contract."""

    def __init__(self, layout: Layout, columns: Mapping[str, Column], zone: ZoneInfo) -> None:
        self.layout, self.zone = layout, zone
        self.columns = {name: columns[name] for name in layout.header if name in columns}
        self.keys = [name for name, column in columns.items() if column.key]
        self._whole = len(self.columns) == len(layout.header) and len(layout.nulls) == 1
        self._moments: dict[str, Any] = {}

    @property
    def _required(self) -> list[str]:
        return [name for name, column in self.columns.items() if column.key or not column.null]

    def parse(self, block: Block) -> Parsed:
        data = block.data
        if not block.quoted and b"\r" in data:
            data = data.replace(b"\r\n", b"\n")
        if not block.quoted and (data.startswith(b"\n") or b"\n\n" in data):
            data = _BLANK.sub(b"\n", data).lstrip(b"\n")
        table, twice = self._read_clean(data, quoted=block.quoted)
        if table is None:
            return self._parse_with_care(block, data)
        plain = self._whole and not block.quoted and b"\r" not in data and b"\\." not in data
        payload = data if plain else self._encode(self._strings(data, quoted=block.quoted, ragged=None))
        return Parsed(payload, table.num_rows, self._hashes(table), self._places(block, table.num_rows), twice=twice)

    def _read(self, data: bytes, types: Mapping[str, Any], *, quoted: bool, ragged: _Ragged | None) -> Any:
        return pcsv.read_csv(
            pa.py_buffer(data),
            read_options=pcsv.ReadOptions(column_names=_unique(self.layout.header), use_threads=False, block_size=len(data) + 1),
            parse_options=pcsv.ParseOptions(
                delimiter=self.layout.delimiter, newlines_in_values=quoted, invalid_row_handler=ragged
            ),
            convert_options=pcsv.ConvertOptions(
                column_types=types, include_columns=list(self.columns), null_values=list(self.layout.nulls),
                strings_can_be_null=True, quoted_strings_can_be_null=False, true_values=TRUE, false_values=FALSE,
            ),
        ).combine_chunks()  # fmt: skip

    def _strings(self, data: bytes, *, quoted: bool, ragged: _Ragged | None) -> Any:
        return self._read(data, dict.fromkeys(self.columns, pa.string()), quoted=quoted, ragged=ragged)

    def _types(self, data: bytes, *, quoted: bool) -> dict[str, Any]:
        """The Arrow type of each column; the first cell says whether a timestamp column names its zone."""
        moments = [name for name, column in self.columns.items() if column.type == "timestamp"]
        if moments and not self._moments:
            texts = self._strings(data[: 1 << 16].rpartition(b"\n")[0] or data, quoted=quoted, ragged=_Ragged())
            for name in moments:
                first = next((cell for cell in texts[name].to_pylist() if cell is not None), None)
                if first is not None:
                    self._moments[name] = ZONED if _ZONE_AT_END.search(first[10:]) else NAIVE
        return {name: self._moments.get(name, ARROW[column.type]) for name, column in self.columns.items()}

    def _read_clean(self, data: bytes, *, quoted: bool) -> tuple[Any, int]:
        """The block as typed columns and the times shown twice, or None when any cell of it needs a closer look."""
        kinds = {column.type for column in self.columns.values()}
        if "decimal" in kinds or b"\0" in data or ("int" in kinds and _HEX.search(data)):
            return None, 0
        try:
            table = self._read(data, self._types(data, quoted=quoted), quoted=quoted, ragged=None)
        except pa.ArrowInvalid:
            return None, 0
        if any(table[name].null_count for name in self._required):
            return None, 0
        twice = 0
        for number, name in enumerate(table.column_names):
            column = _chunk(table[name])
            if pa.types.is_floating(column.type) and not pc.all(pc.is_finite(column)).as_py() and len(column) > column.null_count:
                return None, 0
            if column.type == NAIVE:
                read = read_clock(column, self.zone)
                if read.never.any():
                    return None, 0
                twice += read.twice
                table = table.set_column(number, name, read.moments)
        return table, twice

    def _hashes(self, table: Any) -> Hashes:
        return hash_keys([as_key(_chunk(table[name]), self.columns[name].type) for name in self.keys])

    def _places(self, block: Block, rows: int) -> NDArray[np.int64]:
        if not block.quoted and b"\n\n" not in block.data and not block.data.startswith((b"\n", b"\r")):
            return np.arange(block.line, block.line + rows)
        return record_spans(block, self.layout.delimiter).lines[:rows]

    def _encode(self, strings: Any) -> bytes:
        texts = {name for name, column in self.columns.items() if column.type in ("text", "json")}
        return encode_rows(strings, quote=texts, delimiter=self.layout.delimiter, null=self.layout.null)

    def _parse_with_care(self, block: Block, data: bytes) -> Parsed:
        _check_utf8(block)
        ragged = _Ragged()
        strings = self._strings(data, quoted=block.quoted, ragged=ragged)
        spans = record_spans(Block(block.source, block.line, block.data), self.layout.delimiter)
        records = np.delete(np.arange(strings.num_rows + len(ragged)), [row[0] for row in ragged])
        rejects = [self._ragged(spans.line(record), block.source, actual, text) for record, actual, text in ragged]
        values, problems = self._problems(strings)
        for row in sorted(problems):
            record = int(records[row])
            rejects.append(self._reject(strings, row, problems[row], spans.line(record), block.source, spans.text(record)))
        good = np.ones(strings.num_rows, dtype=bool)
        good[list(problems)] = False
        mask = pa.array(good)
        kept, typed = strings.filter(mask), pa.table(values).filter(mask)
        places = np.array([spans.line(int(record)) for record in records[good]], np.int64)
        return Parsed(self._encode(kept), kept.num_rows, self._hashes(typed), places, rejects)

    def _problems(self, strings: Any) -> tuple[dict[str, Any], dict[int, list[tuple[str, str]]]]:
        """Each column as values, and for each bad row its (rule, column) pairs in the contract's order."""
        values: dict[str, Any] = {}
        problems: dict[int, list[tuple[str, str]]] = {}
        for name, column in self.columns.items():
            texts = _chunk(strings[name])
            checked = check_column(texts, column.type, zone=self.zone)
            values[name] = checked.values
            for row in np.flatnonzero(checked.bad):
                problems.setdefault(int(row), []).append(("type", name))
            if name in self._required and texts.null_count:
                for row in np.flatnonzero(np.asarray(texts.is_null())):
                    problems.setdefault(int(row), []).append(("null", name))
        return values, problems

    def _reject(self, strings: Any, row: int, problems: Sequence[tuple[str, str]], line: int, source: str, text: str) -> Reject:
        rule, name = problems[0]
        value = strings[name][row].as_py()
        if rule == "null":
            reason = f"{name} is empty, and the contract says that it never is"
        else:
            reason = f"{name}: {no_value(value, self.columns[name].type)}"
        if len(problems) > 1:
            others = ", ".join(dict.fromkeys(column for _, column in problems[1:]))
            reason += f"; {others} of the same row {'do' if len(problems) > 2 else 'does'} not fit either"
        return Reject(source, line, name, value, rule, reason, text)

    def _ragged(self, line: int, source: str, actual: int, text: str) -> Reject:
        expected = len(self.layout.header)
        reason = f"the row has {actual} cell{'s' if actual != 1 else ''}, the header has {expected}"
        return Reject(source, line, None, None, "shape", reason, text)


def _check_utf8(block: Block) -> None:
    try:
        block.data.decode()
    except UnicodeDecodeError as error:
        line = block.line + block.data.count(b"\n", 0, error.start)
        raise wrong_encoding(block.source, line=line, byte=block.data[error.start]) from None


def _chunk(column: Any) -> Any:
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def _unique(names: Sequence[str]) -> list[str]:
    """Columns outside the contract may share a name; pyarrow needs them apart."""
    seen: set[str] = set()
    result = []
    for number, name in enumerate(names):
        result.append(f"{name}\0{number}" if name in seen else name)
        seen.add(name)
    return result
