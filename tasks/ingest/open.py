"""Opens one file of a night by its kind: which columns it brings, how COPY is told to read them, and its parsed stretches."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from domain.pipeline import Pipeline, Source
from store.pipelines import MORE
from tasks.ingest.blocks import Dialect, cut_blocks
from tasks.ingest.cells import Marks
from tasks.ingest.files import SourceFile
from tasks.ingest.from_sql import NULL
from tasks.ingest.header import match_columns, read_header
from tasks.ingest.parse import BlockParser, Parsed
from tasks.ingest.read import Layout
from tasks.ingest.tables import read_jsonl, read_parquet
from tasks.ingest.text import open_text


@dataclass(frozen=True, slots=True)
class Opened:
    """`stretches` gives CSV for COPY, with these columns, this delimiter and this null mark."""

    columns: tuple[str, ...]
    delimiter: str
    null: str
    stretches: Iterator[Parsed]


@contextmanager
def open_file(file: SourceFile, pipeline: Pipeline, *, careful: bool) -> Iterator[Opened]:
    """Raises SourceError when the file is not what the source and the contract say."""
    kind = pipeline.source.kind
    if kind in ("parquet", "jsonl", "http"):
        stretches = read_parquet(file, pipeline) if kind == "parquet" else read_jsonl(file, pipeline)
        targets = (*pipeline.columns, MORE) if pipeline.new_columns == "add" else tuple(pipeline.columns)
        yield Opened(targets, ",", "", stretches)
        return
    source = Source(kind="csv", path="query", nulls=(NULL,)) if kind == "sql" else pipeline.source
    with open_text(file, encoding=source.encoding) as stream:
        header, line = read_header(stream, source, name=file.name, wanted=tuple(pipeline.columns))
        match_columns(
            header, pipeline.columns, name=file.name, new_columns=pipeline.new_columns, delimiter=source.delimiter
        )  # fmt: skip
        dialect = Dialect(source.delimiter, source.quote, source.comment)
        layout = Layout(header, dialect, Marks(source.decimal, source.thousands), source.nulls)
        zone, add = pipeline.interval.timezone, pipeline.new_columns == "add"
        parser = BlockParser(layout, pipeline.columns, zone, careful=careful, add=add)

        def stretches_of_text() -> Iterator[Parsed]:
            for block in cut_blocks(stream, source=file.name, dialect=dialect, line=line):
                yield parser.parse(block)
            stream.check_unchanged()

        yield Opened(parser.targets, parser.delimiter, parser.null, stretches_of_text())
