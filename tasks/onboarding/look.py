"""Brings a table here, whole, as columns of text or of the types that its file gives them."""

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pcsv

from domain.errors import SourceError
from domain.interval import Interval
from domain.spec.source import Source
from tasks.ingest.files import SourceFile, find_files
from tasks.ingest.from_sql import NULL, spool_query
from tasks.ingest.place import fill_in, with_secrets
from tasks.ingest.text import open_bytes, open_text
from tasks.onboarding.dialect import Written, sniff_dialect
from tasks.onboarding.place import Kind, Place

_MOST_BYTES = 256 << 20  # of one file, by day, in memory
_MOST_FILES = 28


@dataclass(frozen=True, slots=True)
class Look:
    """`source` is what pipeline.yaml says of how the source is written; `columns` are all cells, as Arrow arrays; `parts` tells
    how many rows each file gave. `whole` is false when the source was too large to be read to its end."""

    kind: Kind
    source: dict[str, Any]
    names: tuple[str, ...]
    columns: tuple[Any, ...]
    parts: tuple[int, ...]
    files: tuple[str, ...]
    ragged: int = 0
    whole: bool = True
    notes: tuple[str, ...] = field(default=())

    @property
    def rows(self) -> int:
        return sum(self.parts)


def look_at_source(place: Place, *, data: Path, interval: Interval) -> Look:
    """Raises SourceError when there is nothing to read or it holds no table."""
    with _fetched(place, data=data, interval=interval) as files:
        if place.kind == "sql":
            written = Written("utf-8", ",", '"', True, 0, None, ())
            return _read_csv(files, written, nulls=[NULL], kind="sql")
        kind = _kind_inside(files[0], place.kind)
        if kind == "parquet":
            return _read_parquet(files)
        if kind == "jsonl":
            return _read_jsonl(files)
        return _read_csv(files, sniff_dialect(files[0]), nulls=[""])


@contextmanager
def _fetched(place: Place, *, data: Path, interval: Interval) -> Iterator[list[SourceFile]]:
    with tempfile.TemporaryDirectory(prefix="overnight-new-") as scratch:
        if place.kind == "sql":
            source = Source(kind="sql", url=place.url, query=place.look_query)
            yield [spool_query(source, interval, scratch=Path(scratch))]
            return
        pattern = with_secrets(fill_in(place.pattern, interval=interval, data=data))
        yield find_files(pattern, data=data, scratch=Path(scratch))[-_MOST_FILES:]


def _kind_inside(file: SourceFile, named: Kind) -> Kind:
    """The kind by what the file holds; its name may say nothing."""
    with open_bytes(file) as (raw, _):
        start: bytes = raw.read(64)
    if start.startswith(b"PAR1"):
        return "parquet"
    return "jsonl" if start.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{") else named if named != "parquet" else "csv"


def _read_csv(files: Sequence[SourceFile], written: Written, *, nulls: list[str], kind: Kind = "csv") -> Look:
    tables, whole, ragged, names = [], True, 0, written.names
    for file in files:
        data, ended = _text_of(file, written)
        table, torn = _parse(data, written, nulls)
        header = tuple(str(cell or "").strip() for cell in table[0]) if written.header else written.names
        names = names or header
        if header != names:
            table = _reordered(table, header, names, file=file)
        tables.append(table[1])
        whole, ragged = whole and ended, ragged + torn
    columns = [pa.chunked_array([each[place] for each in tables]).combine_chunks() for place in range(len(names))]
    rows = tuple(len(each[0]) if each else 0 for each in tables)
    if not sum(rows):
        raise SourceError(f"{files[0].name}: a header and no row under it", hint="ask for the file again")
    return Look(kind, written.to_source(), names, tuple(map(_flat, columns)), rows, tuple(f.name for f in files), ragged, whole)


def _text_of(file: SourceFile, written: Written) -> tuple[bytes, bool]:
    """The file as UTF-8 from its header on, and whether that is all of it."""
    with open_text(file, encoding=written.encoding) as stream:
        for _ in range(written.skip):
            stream.line()
        data = stream.read(_MOST_BYTES)
        more = bool(stream.read(1))
    data = data.replace(b"\r\n", b"\n")
    if written.comment:
        mark = written.comment.encode()
        data = b"\n".join(line for line in data.split(b"\n") if not line.startswith(mark))
    return (data[: data.rfind(b"\n") + 1] if more else data).lstrip(b"\n"), not more


def _parse(data: bytes, written: Written, nulls: list[str]) -> tuple[tuple[list[Any], list[Any]], int]:
    """(header cells, columns under it) and how many rows have another width."""
    torn: list[int] = []

    def skip(row: Any) -> str:
        torn.append(row.number)
        return "skip"

    quoted = written.quote is not None and written.quote.encode() in data
    parse = pcsv.ParseOptions(
        delimiter=written.delimiter, quote_char=written.quote or False, newlines_in_values=quoted, invalid_row_handler=skip
    )
    width = len(written.names) or None
    read = pcsv.ReadOptions(autogenerate_column_names=True) if width is None else pcsv.ReadOptions(
        column_names=[f"f{place}" for place in range(width)]
    )  # fmt: skip
    names = [f"f{place}" for place in range(width or _width(data, parse))]
    convert = pcsv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()),
        null_values=nulls,
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    table = pcsv.read_csv(pa.py_buffer(data), read_options=read, parse_options=parse, convert_options=convert).combine_chunks()
    columns = [_flat(table.column(place)) for place in range(table.num_columns)]
    if not written.header:
        return ([], columns), len(torn)
    return ([column[0].as_py() for column in columns], [column.slice(1) for column in columns]), len(torn)


def _width(data: bytes, parse: Any) -> int:
    first = pcsv.read_csv(
        pa.py_buffer(data[: data.index(b"\n") + 1]),
        read_options=pcsv.ReadOptions(autogenerate_column_names=True),
        parse_options=parse,
    )
    return int(first.num_columns)


def _reordered(
    table: tuple[list[Any], list[Any]], header: tuple[str, ...], names: tuple[str, ...], *, file: SourceFile
) -> tuple[list[Any], list[Any]]:
    missing = next((name for name in names if name not in header), None)
    if missing is not None:
        raise SourceError(
            f"{file.name} has no column {missing!r}, which the first file has", hint="one pattern for files of one kind"
        )
    return list(names), [table[1][header.index(name)] for name in names]


def _read_parquet(files: Sequence[SourceFile]) -> Look:
    import pyarrow.parquet as pq

    tables = []
    for file in files:
        try:
            tables.append(pq.read_table(file.path))
        except (pa.ArrowInvalid, OSError) as error:
            raise SourceError(f"{file.name} is no whole Parquet file ({str(error).splitlines()[0][:120]})") from None
    names = [name for name in tables[0].schema.names if not name.startswith("__index_level_")]
    try:
        columns = [pa.chunked_array([chunk for table in tables for chunk in table.column(name).chunks]) for name in names]
    except (pa.ArrowInvalid, KeyError) as error:
        raise SourceError(f"the files do not hold the same columns ({str(error).splitlines()[0][:120]})") from None
    parts = tuple(table.num_rows for table in tables)
    if not sum(parts) or not names:
        raise SourceError(f"{files[0].name} holds no rows", hint="ask for the file again")
    return Look(
        "parquet", {}, tuple(names), tuple(_flat(column) for column in columns), parts, tuple(file.name for file in files)
    )


def _read_jsonl(files: Sequence[SourceFile]) -> Look:
    rows: list[dict[str, Any]] = []
    parts, bad, whole = [], 0, True
    for file in files:
        before = len(rows)
        with open_text(file, encoding="utf-8") as stream:
            data = stream.read(_MOST_BYTES)
            whole = whole and not stream.read(1)
        for line in data.split(b"\n"):
            row = _object(line)
            rows += [row] if row is not None else []
            bad += row is None and bool(line.strip())
        parts.append(len(rows) - before)
    if not rows:
        raise SourceError(f"{files[0].name} holds no JSON object a line", hint=f"head {files[0].name}")
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = [pa.array([_cell(row.get(name)) for row in rows], pa.string()) for name in names]
    return Look("jsonl", {}, tuple(names), tuple(columns), tuple(parts), tuple(file.name for file in files), bad, whole)


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line, parse_int=str, parse_float=str, parse_constant=str)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _cell(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False)


def _flat(column: Any) -> Any:
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
        column = column.chunk(0) if isinstance(column, pa.ChunkedArray) and column.num_chunks else column
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
        column = column.cast(pa.string())
    return column
