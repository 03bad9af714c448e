"""Tables that arrive typed or as JSON, held against the contract like CSV: Parquet files, and one JSON object a line."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from domain.errors import SourceError
from domain.pipeline import Pipeline
from domain.spec.source import Column
from store.pipelines import MORE
from tasks.ingest.blocks import Dialect, cut_blocks
from tasks.ingest.cells import ZONED
from tasks.ingest.files import SourceFile
from tasks.ingest.header import match_columns
from tasks.ingest.judge import judge, whole
from tasks.ingest.keys import as_key, hash_keys
from tasks.ingest.parse import Parsed, made_of
from tasks.ingest.read import as_objects
from tasks.ingest.rejects import Reject, explain
from tasks.ingest.text import open_text
from tasks.ingest.write import Target, has_binary_form, write_rows

_ROWS = 32_768
_NO_QUOTES = Dialect(quote=None)


def read_parquet(file: SourceFile, pipeline: Pipeline) -> Iterator[Parsed]:
    """Raises SourceError when the file is no Parquet, or a column's type can never be what the contract says."""
    import pyarrow.parquet as pq

    try:
        source = pq.ParquetFile(file.path, memory_map=True)
    except (pa.ArrowInvalid, OSError) as error:
        raise SourceError(f"{file.name} is no whole Parquet file ({_first_line(error)})", hint="ask for the file again") from None
    with source:
        names = source.schema_arrow.names
        header = match_columns(names, pipeline.columns, name=file.name, new_columns=pipeline.new_columns)
        spelled = {ours: theirs for ours, theirs in zip(header, names, strict=True) if ours in pipeline.columns}
        parser = _parser(file, pipeline)
        extra = [theirs for ours, theirs in zip(header, names, strict=True) if ours not in spelled] if parser.adds else []
        row = 1
        try:
            for batch in source.iter_batches(_ROWS, columns=[*spelled.values(), *extra], use_threads=False):
                table = pa.table(batch)
                more = as_objects(extra, [table[name].to_pylist() for name in extra]) if extra else None
                ours = pa.table({name: table[theirs] for name, theirs in spelled.items()})
                yield parser.parse(ours, np.arange(row, row + batch.num_rows), more)
                row += batch.num_rows
        except (pa.ArrowInvalid, OSError) as error:
            raise SourceError(
                f"{file.name} is damaged near row {row} ({_first_line(error)})", hint="ask for the file again"
            ) from None


def read_jsonl(file: SourceFile, pipeline: Pipeline) -> Iterator[Parsed]:
    """Raises SourceError when the file is not UTF-8, or holds something else than one object a line."""
    parser, first = _parser(file, pipeline), True
    spelled = {name: str(column.from_ or name) for name, column in pipeline.columns.items() if not column.made}
    with open_text(file, encoding=pipeline.source.encoding) as stream:
        for block in cut_blocks(stream, source=file.name, dialect=_NO_QUOTES, line=1):
            rows, lines, rejects, seen = _objects(block.data, block.line, file)
            if first and rows:
                match_columns(sorted(seen), pipeline.columns, name=file.name, new_columns=pipeline.new_columns)
                first = False
            elif pipeline.new_columns == "refuse":
                match_columns(sorted(seen | set(spelled.values())), pipeline.columns, name=file.name, new_columns="refuse")
            table = pa.table(
                {ours: pa.array([_text(row.get(key)) for row in rows], pa.string()) for ours, key in spelled.items()}
            )
            more = _more(rows, set(spelled.values())) if parser.adds else None
            parsed = parser.parse(table, np.array(lines, np.int64), more)
            parsed.rejects += rejects
            yield parsed
        stream.check_unchanged()


def table_target(pipeline: Pipeline) -> Target:
    """How the rows of these readers are written."""
    more = (MORE,) if pipeline.new_columns == "add" else ()
    return Target((*pipeline.columns, *more), has_binary_form(pipeline.columns))


def _parser(file: SourceFile, pipeline: Pipeline) -> "TableParser":
    return TableParser(file.name, pipeline, table_target(pipeline))


def _more(rows: list[dict[str, Any]], known: set[str]) -> list[str | None]:
    extras = [{name: value for name, value in row.items() if name not in known} for row in rows]
    return [as_objects(list(extra), [[value] for value in extra.values()])[0] if extra else None for extra in extras]


def _objects(data: bytes, line: int, file: SourceFile) -> tuple[list[dict[str, Any]], list[int], list[Reject], set[str]]:
    """The objects of some lines, the lines they stand on, the lines that hold none, and all keys."""
    rows: list[dict[str, Any]] = []
    lines: list[int] = []
    rejects: list[Reject] = []
    seen: set[str] = set()
    for number, raw in enumerate(data.splitlines() if b"\x0b" not in data else data.split(b"\n"), line):
        if not raw.strip():
            continue
        try:
            row = json.loads(raw, parse_int=str, parse_float=str, parse_constant=str, object_pairs_hook=_unrepeated)
            if not isinstance(row, dict):
                raise ValueError(f"it is a {type(row).__name__}")
        except UnicodeDecodeError as error:
            raise SourceError(
                f"{file.name} is not written in utf-8: line {number} holds the byte {raw[error.start]:#04x}"
            ) from None
        except (ValueError, RecursionError) as error:
            if number == 1 and raw.lstrip().startswith(b"["):
                raise SourceError(
                    f"{file.name} is one JSON list, not one object a line", hint=f"jq -c '.[]' {file.name}"
                ) from None
            text = raw.decode("utf-8", "replace")
            rejects.append(Reject(file.name, number, None, None, "shape", f"the line is no JSON object: {error}", text))
            continue
        seen |= row.keys()
        rows.append(row)
        lines.append(number)
    return rows, lines, rejects, seen


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)!r} stands twice")
    return row


def _text(value: Any) -> str | None:
    """A JSON value as a cell; numbers are still the text that came."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False)


class TableParser:
    """Takes stretches of a table by one contract."""

    def __init__(self, source: str, pipeline: Pipeline, target: Target) -> None:
        self.source, self.written, self.zone = source, pipeline.columns, pipeline.interval.timezone
        self.columns = {name: column for name, column in pipeline.columns.items() if not column.made}
        self.target, self.adds = target, MORE in target.columns
        self._keys = [name for name, column in self.written.items() if column.key]

    def parse(self, table: Any, places: Any, more: list[str | None] | None = None) -> Parsed:
        """`places` gives each row's number in its source, `more` what it holds outside the contract."""
        cells, doubtful = {}, set()
        for name, column in self.columns.items():
            cells[name], unsure = self._conform(name, whole(table[name]), column)
            if unsure:
                doubtful.add(name)
        judged = judge(cells, self.columns, self.zone, doubtful=doubtful)
        rejects = []
        for row, problems in judged.problems().items():
            rule, name = problems[0]
            value = cells[name][row].as_py()
            value = value if value is None or isinstance(value, str) else str(value)
            reason = explain(rule, name, value, self.columns[name], also=[column for _, column in problems[1:]])
            text = json.dumps(table.slice(row, 1).to_pylist()[0], default=str, ensure_ascii=False)
            rejects.append(Reject(self.source, int(places[row]), name, value, rule, reason, text))
        made = {name: made_of(column, places, self.source) for name, column in self.written.items() if column.made}
        values = {**judged.values, **made}
        if self.adds:
            values[MORE] = pa.array(more or [None] * len(places), pa.string())
        bad = judged.bad_rows()
        if bad is not None:
            values, places = {name: column.filter(pa.array(~bad)) for name, column in values.items()}, places[~bad]
        hashes = hash_keys([as_key(values[name], self.written[name].type) for name in self._keys])
        return Parsed(write_rows(values, self.written, self.target), hashes, places, rejects, judged.twice)

    def _conform(self, name: str, cells: Any, column: Column) -> tuple[Any, bool]:
        """The column as the contract's type where Arrow can vouch for that; else as text, to be checked cell by cell."""
        kind, was = column.type, cells.type
        if pa.types.is_dictionary(was):
            return self._conform(name, cells.dictionary_decode(), column)
        if pa.types.is_string(was) or pa.types.is_large_string(was) or pa.types.is_string_view(was):
            return cells.cast(pa.string()), True
        if pa.types.is_null(was):
            return pa.nulls(len(cells), pa.string()), True
        if kind == "json" and pa.types.is_nested(was):
            return pa.array(
                [None if one is None else json.dumps(one, default=str) for one in cells.to_pylist()], pa.string()
            ), False
        try:
            return _typed(cells, kind)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            raise SourceError(
                f"{self.source}: the column {name!r} is {was} in the file, which cannot be {kind}",
                hint="another type in columns:",
            ) from None


def _typed(cells: Any, kind: str) -> tuple[Any, bool]:
    was = cells.type
    if kind == "int" and pa.types.is_floating(was):
        small = pc.less(pc.abs(cells), 2.0**53)
        exact = pc.fill_null(pc.and_(pc.equal(pc.floor(cells), cells), small), False)
        texts = pc.cast(pc.cast(pc.if_else(exact, cells, pa.scalar(None, was)), pa.int64()), pa.string())
        return pc.coalesce(texts, cells.cast(pa.string())), True
    if kind == "int" and pa.types.is_signed_integer(was):
        return cells.cast(pa.int64()), False
    if kind == "float" and (pa.types.is_floating(was) or pa.types.is_signed_integer(was)):
        return cells.cast(pa.float64(), safe=pa.types.is_floating(was)), False
    if kind == "bool" and pa.types.is_boolean(was):
        return cells, False
    if kind == "date" and pa.types.is_date(was):
        return cells.cast(pa.date32()), False
    if kind == "timestamp" and pa.types.is_timestamp(was):
        return cells.cast(ZONED if was.tz else pa.timestamp("us"), safe=False), False
    if kind == "timestamp" and pa.types.is_date(was):
        return cells.cast(pa.timestamp("us")), False
    if kind == "date" and pa.types.is_timestamp(was):
        days = cells.cast(pa.date32(), safe=False)
        same = pc.equal(days.cast(pa.timestamp("us")), cells.cast(pa.timestamp("us"), safe=False))
        return pc.if_else(pc.fill_null(same, False), days.cast(pa.string()), cells.cast(pa.string())), True
    return cells.cast(pa.string()), True


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or ["no message"])[0][:200]
