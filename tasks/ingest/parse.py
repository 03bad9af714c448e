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
from tasks.ingest.blocks import Block, Spans, record_spans
from tasks.ingest.cells import no_value
from tasks.ingest.encode import encode_rows
from tasks.ingest.judge import Judged, judge
from tasks.ingest.keys import Hashes, as_key, hash_keys
from tasks.ingest.read import BlockReader, Layout, Read
from tasks.ingest.rejects import Reject

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
    """Takes the blocks of one file by one contract."""

    def __init__(self, layout: Layout, columns: Mapping[str, Column], zone: ZoneInfo) -> None:
        self.layout, self.zone = layout, zone
        self.columns = {name: columns[name] for name in layout.header if name in columns}
        self._keys = [name for name, column in columns.items() if column.key]
        self._reader = BlockReader(layout, self.columns)
        self._as_it_came = len(self.columns) == len(layout.header) and len(layout.nulls) == 1

    def parse(self, block: Block) -> Parsed:
        """Raises SourceError when the block is not UTF-8."""
        data = block.data if block.quoted or b"\r" not in block.data else block.data.replace(b"\r\n", b"\n")
        read = self._reader.read(block, data)
        blank = not block.quoted and data.count(b"\n") != read.table.num_rows + len(read.ragged)
        data = _BLANK.sub(b"\n", data).lstrip(b"\n") if blank else data
        judged = judge(read.table, self.columns, self.zone, doubtful=read.doubtful)
        if read.ragged or judged.faults:
            return self._with_rejects(block, data, read, judged)
        payload = data if self._is_plain(block, data) else self._encode(self._reader.strings(block, data))
        follow = not block.quoted and not blank
        places = (
            np.arange(block.line, block.line + read.table.num_rows)
            if follow
            else record_spans(block, self.layout.delimiter).lines
        )
        return Parsed(payload, self._hashes(judged.values), places, [], judged.twice)

    def _is_plain(self, block: Block, data: bytes) -> bool:
        """Whether Postgres reads the bytes exactly as pyarrow did."""
        return self._as_it_came and not block.quoted and b"\r" not in data and b"\\" not in data

    def _hashes(self, values: Mapping[str, Any]) -> Hashes:
        return hash_keys([as_key(values[name], self.columns[name].type) for name in self._keys])

    def _encode(self, strings: Any) -> bytes:
        texts = {name for name, column in self.columns.items() if column.type == "text"}
        return encode_rows(strings, quote=texts, delimiter=self.layout.delimiter, null=self.layout.null)

    def _with_rejects(self, block: Block, data: bytes, read: Read, judged: Judged) -> Parsed:
        spans = record_spans(block, self.layout.delimiter)
        rows = read.table.num_rows
        records = np.delete(np.arange(rows + len(read.ragged)), [row[0] for row in read.ragged])
        bad = judged.bad_rows()
        good = np.ones(rows, dtype=bool) if bad is None else ~bad
        rejects = [self._ragged(spans.line(record), block.source, cells, text) for record, cells, text in read.ragged]
        strings = self._reader.strings(block, data)
        rejects += self._rejects(strings, judged, records, spans, block.source)
        plain = self._is_plain(block, data) and len(data) == len(block.data)
        payload = spans.cut(data, records[good]) if plain else self._encode(strings.filter(good))
        mask = pa.array(good)
        values = {name: judged.values[name].filter(mask) for name in self._keys}
        return Parsed(payload, self._hashes(values), spans.lines[records[good]], rejects, judged.twice)

    def _rejects(
        self, strings: Any, judged: Judged, records: NDArray[np.int64], spans: Spans, source: str
    ) -> list[Reject]:  # fmt: skip
        found = []
        for row, problems in judged.problems().items():
            rule, name = problems[0]
            value = strings[name][row].as_py()
            reason = explain(rule, name, value, self.columns[name].type, also=[column for _, column in problems[1:]])
            record = int(records[row])
            found.append(Reject(source, spans.line(record), name, value, rule, reason, spans.text(record)))
        return found

    def _ragged(self, line: int, source: str, cells: int, text: str) -> Reject:
        reason = f"the row has {cells} cell{'s' if cells != 1 else ''}, the header has {len(self.layout.header)}"
        return Reject(source, line, None, None, "shape", reason, text)


def explain(rule: str, name: str, value: str | None, kind: str, *, also: list[str]) -> str:
    """Why a row was set aside; `also` names other columns of it that do not fit."""
    reason = (
        f"{name} is empty, and the contract says that it never is" if rule == "null" else f"{name}: {no_value(value or '', kind)}"
    )
    others = list(dict.fromkeys(also))
    if others:
        reason += f"; {', '.join(others)} of the same row {'do' if len(others) > 1 else 'does'} not fit either"
    return reason
