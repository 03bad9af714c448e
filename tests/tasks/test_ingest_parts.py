"""The parts of ingest against slow and simple ones that do the same: binary rows, key hashes, records, clocks."""

import csv
import datetime as dt
import io
import struct
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from tasks.ingest import keys
from tasks.ingest.binary import encode_binary
from tasks.ingest.blocks import Block, Dialect, record_spans
from tasks.ingest.clock import read_clock
from tasks.ingest.keys import KeyIndex, hash_keys, hash_lines
from tasks.ingest.rejects import over_budget

texts = some.one_of(some.none(), some.text(some.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40))
ints = some.one_of(some.none(), some.integers(-(2**63), 2**63 - 1))
ROWS = some.lists(
    some.tuples(texts, ints, texts, some.one_of(some.none(), some.floats(allow_nan=False)), texts), min_size=1, max_size=30
)


def plainly(rows: list[tuple[Any, ...]]) -> bytes:
    """The binary format, one cell after the other."""
    out = b""
    for row in rows:
        out += struct.pack(">h", len(row))
        for cell in row:
            if cell is None:
                out += struct.pack(">i", -1)
            elif isinstance(cell, str):
                out += struct.pack(">i", len(cell.encode())) + cell.encode()
            else:
                out += struct.pack(">iq" if isinstance(cell, int) else ">id", 8, cell)
    return out


@given(ROWS)
@settings(max_examples=300, deadline=None)
def test_binary_rows_are_what_a_plain_loop_writes(rows: list[tuple[Any, ...]]) -> None:
    kinds = (pa.string(), pa.int64(), pa.string(), pa.float64(), pa.string())
    columns = {str(n): pa.array([row[n] for row in rows], kind) for n, kind in enumerate(kinds)}
    assert encode_binary(columns) == plainly(rows)
    sliced = {name: column.slice(1) for name, column in columns.items()}
    assert encode_binary(sliced) == plainly(rows[1:])


def test_dates_and_moments_count_from_2000() -> None:
    columns = {
        "d": pa.array([dt.date(2000, 1, 2)]),
        "t": pa.array([dt.datetime(1999, 12, 31, 23, 59, 59, tzinfo=dt.UTC)], pa.timestamp("us", "UTC")),
        "b": pa.array([True]),
    }
    assert encode_binary(columns) == struct.pack(">hiiiqi?", 3, 4, 1, 8, -1_000_000, 1, True)


@given(some.lists(some.text(max_size=30), min_size=1, max_size=50))
@settings(max_examples=200, deadline=None)
def test_equal_texts_have_equal_hashes_and_others_do_not(words: list[str]) -> None:
    hashes = hash_keys([pa.array(words)])
    assert len(set(hashes.tolist())) == len(set(words))
    assert all(hashes[words.index(word)] == hashes[number] for number, word in enumerate(words))


@pytest.mark.parametrize("in_memory", [10**9, 100])
def test_repeated_keys_are_found_in_memory_and_on_disk(in_memory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "_IN_MEMORY", in_memory)
    values = [*range(1000), 17, 999, 17, 0]
    index = KeyIndex()
    for at in range(0, len(values), 60):
        index.add(hash_keys([pa.array(values[at : at + 60])]))
    found = sorted(int(row) for group in index.suspects() for row in group)
    index.close()
    assert found == [0, 17, 999, 1000, 1001, 1002, 1003]


def test_lines_hash_alike_in_any_order() -> None:
    assert sorted(hash_lines(b"a,1\nb,2\n\n")) == sorted(hash_lines(b"\nb,2\na,1\n"))


@given(some.lists(some.lists(some.text('ab",\n ', max_size=6), min_size=2, max_size=3), min_size=1, max_size=12))
@settings(max_examples=300, deadline=None)
def test_records_are_those_that_the_csv_module_wrote(rows: list[list[str]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(rows)
    data = text.getvalue().encode()
    spans = record_spans(Block("x", 1, data, True), Dialect())
    assert [next(csv.reader(io.StringIO(spans.text(n) + "\n"))) for n in range(len(spans.starts))] == rows
    assert [spans.line(n) for n in range(len(rows))] == [1 + data[: spans.starts[n]].count(b"\n") for n in range(len(rows))]
    assert spans.cut(np.arange(len(rows))) == data


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"])
def test_clocks_are_read_as_the_standard_library_reads_them(zone: str) -> None:
    moments = [dt.datetime(2024, 1, 1) + dt.timedelta(minutes=47 * n) for n in range(11_500)]
    read = read_clock(pa.array(moments, pa.timestamp("us")), ZoneInfo(zone))
    for moment, found, never in zip(moments, read.moments.to_pylist(), read.never, strict=True):
        second = moment.replace(tzinfo=ZoneInfo(zone), fold=1).astimezone(dt.UTC)
        real = second.astimezone(ZoneInfo(zone)).replace(tzinfo=None) == moment
        assert never == (not real)
        assert never or found == second


@pytest.mark.parametrize(
    ("rejected", "read", "at_most", "sentence"),
    [
        (2, 100, 0.02, None),
        (52, 1000, 0.02, "5.2% of rows rejected, limit 2%: x"),
        (2001, 100_000, 0.02, "2.001% of rows rejected, limit 2%: x"),
        (100, 100, 0.02, "100% of rows rejected, limit 2%: x"),
        (1, 100_000, 0.0, "0.001% of rows rejected, limit 0%: x"),
    ],
)
def test_the_sentence_over_the_limit_shows_that_it_is_over(
    rejected: int, read: int, at_most: float, sentence: str | None
) -> None:
    assert over_budget(rejected=rejected, read=read, at_most=at_most, worst="x") == sentence
