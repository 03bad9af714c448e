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

from domain.spec.source import Column
from store.pipelines import MORE
from tasks.ingest.blocks import Block, Spans, record_spans
from tasks.ingest.cells import Marks
from tasks.ingest.judge import Judged, judge
from tasks.ingest.keys import Hashes, as_key, hash_keys
from tasks.ingest.read import BlockReader, Layout, Ragged, Read
from tasks.ingest.rejects import Reject, explain
from tasks.ingest.write import Target, has_binary_form, write_rows

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
    """Takes the blocks of one file by one contract.

    `as_it_came` says that the file's own bytes may go on to Postgres where they are plain; otherwise every row is written anew
    from its values. With `add`, columns outside the contract are kept in one of JSON.
    """

    def __init__(
        self, layout: Layout, columns: Mapping[str, Column], zone: ZoneInfo, *, as_it_came: bool = True, add: bool = False
    ) -> None:
        self.layout, self.zone = layout, zone
        self.columns = {name: columns[name] for name in layout.header if name in columns}
        self._made = {name: column for name, column in columns.items() if column.made}
        self._keys = [name for name, column in columns.items() if column.key]
        self._reader = BlockReader(layout, self.columns)
        self._adds = add and len(self.columns) < len(layout.header)
        self._as_it_came = as_it_came and self._may_go_on()
        self._written = {**self.columns, **self._made}
        targets = (*self._written, MORE) if self._adds else tuple(self._written)
        if self._as_it_came:
            self.target = Target(targets, False, layout.dialect.delimiter, layout.nulls[0])
        else:
            self.target = Target(targets, has_binary_form(self._written))

    def _may_go_on(self) -> bool:
        """Whether COPY can be told how the file is written, and means the same by every cell of it."""
        layout = self.layout
        if (
            len(self.columns) < len(layout.header)
            or self._made
            or any(column.nulls or column.trim for column in self.columns.values())
            or len(layout.nulls) > 1
            or set(layout.nulls[0]) & {layout.dialect.delimiter, '"', "\n"}
        ):
            return False
        numbers = [column for column in self.columns.values() if column.type in ("int", "float", "decimal")]
        numbers_differ = any(layout.marks.of(column) != Marks() for column in numbers)
        return not numbers_differ and not any(column.format for column in self.columns.values())

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
        places = spans.lines if spans is not None else np.arange(block.line, block.line + read.table.num_rows)
        values = self._complete(judged.values, places, block.source)
        payload = data if self._is_plain(block, data) else self._write(block, data, values)
        return Parsed(payload, self._hashes(values), places, [], judged.twice)

    def _without_returns(self, block: Block) -> Block:
        if block.quoted or b"\r" not in block.data:
            return block
        return Block(block.source, block.line, block.data.replace(b"\r\n", b"\n"), block.quoted)

    def _is_plain(self, block: Block, data: bytes) -> bool:
        """Whether Postgres reads the bytes exactly as pyarrow did."""
        return self._as_it_came and not block.quoted and not any(mark in data for mark in (b"\r", b"\\", b'"'))

    def _hashes(self, values: Mapping[str, Any]) -> Hashes:
        return hash_keys([as_key(values[name], self._written[name].type) for name in self._keys])

    def _complete(self, values: Mapping[str, Any], lines: NDArray[np.int64], source: str) -> dict[str, Any]:
        """The values with the columns that say where each row stands."""
        return {**values, **{name: made_of(column, lines, source) for name, column in self._made.items()}}

    def _write(self, block: Block, data: bytes, values: dict[str, Any], good: NDArray[np.bool_] | None = None) -> bytes:
        values = dict(values)
        if self._adds:
            values[MORE] = pa.array(self._reader.extras(block, data), pa.string())
        if good is not None:
            values = {name: column.filter(pa.array(good)) for name, column in values.items()}
        return write_rows(values, self._written, self.target)

    def _with_rejects(self, block: Block, data: bytes, read: Read, judged: Judged, spans: Spans) -> Parsed:
        records = np.delete(np.arange(read.table.num_rows + len(read.ragged)), [row[0] for row in read.ragged])
        strings = self._reader.strings(block, data)
        rejects = self._shape_rejects(read.ragged, spans, block.source)
        bad = judged.bad_rows()
        good = np.ones(read.table.num_rows, dtype=bool) if bad is None else ~bad
        torn = spans.torn[np.minimum(records, len(spans.torn) - 1)]
        rejects += [_torn(spans, int(record), block.source) for record in records[torn]]
        rejects += self._cell_rejects(strings, judged, records, spans, block.source, skip=torn)
        good &= ~torn
        lines = spans.lines[np.minimum(records, len(spans.lines) - 1)]
        everything = self._complete(judged.values, lines, block.source)
        if self._is_plain(block, data) and len(spans.starts) == read.table.num_rows + len(read.ragged):
            payload = spans.cut(records[good])
        else:
            payload = self._write(block, data, everything, good)
        values = {name: everything[name].filter(pa.array(good)) for name in self._keys}
        return Parsed(payload, self._hashes(values), lines[good], rejects, judged.twice)

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


def made_of(column: Column, lines: NDArray[np.int64], source: str) -> Any:
    """A column that stands in no cell: each row's line, or the name of its file."""
    return pa.array(lines) if column.type == "int" else pa.array(np.full(len(lines), source, dtype=object), pa.string())


def _torn(spans: Spans, record: int, source: str) -> Reject:
    reason = "text follows a closing quote, so that nobody can say where the cell ends"
    return Reject(source, spans.line(record), None, None, "shape", reason, spans.text(record))
