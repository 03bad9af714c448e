"""Turns blocks of CSV into what COPY takes: good rows as bytes, key hashes for them, and rejects with their places.

Rows that need no change go to Postgres as the very bytes that came, which nothing can beat; pyarrow has read every
cell of them by then.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from domain.pipeline import Column
from store.pipelines import MORE
from tasks.ingest.blocks import Block, Spans, record_spans
from tasks.ingest.cells import Marks
from tasks.ingest.encode import encode_rows
from tasks.ingest.judge import Judged, judge
from tasks.ingest.keys import Hashes, as_key, hash_keys
from tasks.ingest.read import BlockReader, Layout, Ragged, Read
from tasks.ingest.rejects import Reject, explain

_BLANK = re.compile(rb"\n\n+")


@dataclass(slots=True)
class Parsed:
    """One block, read. `places` gives the physical line of each good row."""

    payload: bytes
    hashes: Hashes
    places: NDArray[np.int64]
    rejects: list[Reject] = field(default_factory=list)
    twice: int = 0


class BlockParser:
    """Takes the blocks of one file by one contract. With `careful`, every value is written anew, so that Postgres meets no
    spelling but ours."""

    def __init__(
        self, layout: Layout, columns: Mapping[str, Column], zone: ZoneInfo, *, careful: bool = False, add: bool = False
    ) -> None:
        self.layout, self.zone = layout, zone
        self.columns = {name: columns[name] for name in layout.header if name in columns}
        self._keys = [name for name, column in columns.items() if column.key]
        self._reader = BlockReader(layout, self.columns)
        self._rewritten = frozenset(
            name for name in self.columns if careful or _spelt_otherwise(self.columns[name], layout.marks)
        )  # fmt: skip
        self._adds = add and len(self.columns) < len(layout.header)
        self.targets = (*self.columns, MORE) if self._adds else tuple(self.columns)
        whole = len(self.columns) == len(layout.header) and not self._rewritten
        self._as_it_came = whole and len(layout.nulls) == 1 and not set(layout.nulls[0]) & {layout.dialect.delimiter, '"', "\n"}
        self.delimiter, self.null = (layout.dialect.delimiter, layout.nulls[0]) if self._as_it_came else (",", "")

    def parse(self, block: Block) -> Parsed:
        """Raises SourceError when the block is not UTF-8."""
        block = self._without_returns(block)
        comment = self.layout.dialect.comment
        spans = record_spans(block, self.layout.dialect) if block.quoted or (comment and comment.encode() in block.data) else None
        data = spans.cut(np.arange(len(spans.starts))) if spans is not None and comment else block.data
        if not data:
            return Parsed(b"", np.empty(0, np.uint64), np.empty(0, np.int64))
        read = self._reader.read(block, data)
        judged = judge(read.table, self.columns, self.zone, doubtful=read.doubtful, marks=self.layout.marks)
        if spans is None and not block.quoted and data.count(b"\n") != read.table.num_rows + len(read.ragged):
            spans, data = record_spans(block, self.layout.dialect), _BLANK.sub(b"\n", data).lstrip(b"\n")
        if read.ragged or judged.faults or (spans is not None and spans.torn.any()):
            return self._with_rejects(block, data, read, judged, spans or record_spans(block, self.layout.dialect))
        payload = data if self._is_plain(block, data) else self._encode(self._strings(block, data), judged)
        places = spans.lines if spans is not None else np.arange(block.line, block.line + read.table.num_rows)
        return Parsed(payload, self._hashes(judged.values), places, [], judged.twice)

    def _without_returns(self, block: Block) -> Block:
        if block.quoted or b"\r" not in block.data:
            return block
        return Block(block.source, block.line, block.data.replace(b"\r\n", b"\n"), block.quoted)

    def _strings(self, block: Block, data: bytes) -> Any:
        strings = self._reader.strings(block, data)
        if self._adds:
            strings = strings.append_column(MORE, pa.array(self._reader.extras(block, data), pa.string()))
        return strings

    def _is_plain(self, block: Block, data: bytes) -> bool:
        """Whether Postgres reads the bytes exactly as pyarrow did."""
        return self._as_it_came and not block.quoted and not any(mark in data for mark in (b"\r", b"\\", b'"'))

    def _hashes(self, values: Mapping[str, Any]) -> Hashes:
        return hash_keys([as_key(values[name], self.columns[name].type) for name in self._keys])

    def _encode(self, strings: Any, judged: Judged, good: NDArray[np.bool_] | None = None) -> bytes:
        """Rows as CSV: cells as they came, or from their values where Postgres would not read them so."""
        for number, name in enumerate(strings.column_names):
            if name in self._rewritten:
                strings = strings.set_column(number, name, judged.values[name].cast(pa.string()))
        texts = {name for name, column in self.columns.items() if column.type in ("text", "json")} | {MORE}
        kept = strings if good is None else strings.filter(pa.array(good))
        return encode_rows(kept, quote=texts, delimiter=self.delimiter, null=self.null)

    def _with_rejects(self, block: Block, data: bytes, read: Read, judged: Judged, spans: Spans) -> Parsed:
        records = np.delete(np.arange(read.table.num_rows + len(read.ragged)), [row[0] for row in read.ragged])
        strings = self._strings(block, data)
        rejects = self._shape_rejects(read.ragged, spans, block.source)
        bad = judged.bad_rows()
        good = np.ones(read.table.num_rows, dtype=bool) if bad is None else ~bad
        torn = spans.torn[np.minimum(records, len(spans.torn) - 1)]
        rejects += [_torn(spans, int(record), block.source) for record in records[torn]]
        rejects += self._cell_rejects(strings, judged, records, spans, block.source, skip=torn)
        good &= ~torn
        if self._is_plain(block, data) and len(spans.starts) == read.table.num_rows + len(read.ragged):
            payload = spans.cut(records[good])
        else:
            payload = self._encode(strings, judged, good)
        values = {name: judged.values[name].filter(pa.array(good)) for name in self._keys}
        places = spans.lines[np.minimum(records[good], len(spans.lines) - 1)]
        return Parsed(payload, self._hashes(values), places, rejects, judged.twice)

    def _cell_rejects(
        self, strings: Any, judged: Judged, records: NDArray[np.int64], spans: Spans, source: str, *, skip: NDArray[np.bool_]
    ) -> list[Reject]:
        found = []
        for row, problems in judged.problems().items():
            if not skip[row]:
                rule, name = problems[0]
                value = strings[name][row].as_py()
                reason = explain(rule, name, value, self.columns[name], also=[column for _, column in problems[1:]])
                record = int(records[row])
                found.append(Reject(source, spans.line(record), name, value, rule, reason, spans.text(record)))
        return found

    def _shape_rejects(self, ragged: Ragged, spans: Spans, source: str) -> list[Reject]:
        expected = len(self.layout.header)
        return [
            Reject(
                source, spans.line(record), None, None, "shape",
                f"the row has {cells} cell{'s' if cells != 1 else ''}, the header has {expected}", text,
            )
            for record, cells, text in ragged
        ]  # fmt: skip


def _torn(spans: Spans, record: int, source: str) -> Reject:
    reason = "text follows a closing quote, so that nobody can say where the cell ends"
    return Reject(source, spans.line(record), None, None, "shape", reason, spans.text(record))


def _spelt_otherwise(column: Column, marks: Marks) -> bool:
    """Whether Postgres would not read such cells as they came."""
    return column.format is not None or (column.type in ("int", "float", "decimal") and marks != Marks())
