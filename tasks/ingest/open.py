"""Opens one file of a night by its kind: how COPY is told to read it, and its parsed stretches."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain

from domain.pipeline import Pipeline
from domain.spec.source import Source
from tasks.ingest.blocks import Block, Dialect, cut_blocks
from tasks.ingest.cells import Marks
from tasks.ingest.files import SourceFile
from tasks.ingest.from_sql import NULL
from tasks.ingest.header import match_columns, read_header
from tasks.ingest.parse import BlockParser, Parsed
from tasks.ingest.read import Layout
from tasks.ingest.tables import read_jsonl, read_parquet, table_target
from tasks.ingest.text import Utf8, open_text
from tasks.ingest.write import Target


@dataclass(frozen=True, slots=True)
class Opened:
    """`stretches` gives the rows of the file, written as `target` says."""

    target: Target
    stretches: Iterator[Parsed]


@contextmanager
def open_file(file: SourceFile, pipeline: Pipeline, *, careful: bool) -> Iterator[Opened]:
    """With `careful`, no byte goes on as it came. Raises SourceError when the file is not what source and contract say."""
    kind = pipeline.source.kind
    if kind in ("parquet", "jsonl", "http"):
        stretches = read_parquet(file, pipeline) if kind == "parquet" else read_jsonl(file, pipeline)
        yield Opened(table_target(pipeline), stretches)
        return
    source = Source(kind="csv", path="query", nulls=(NULL,)) if kind == "sql" else pipeline.source
    with open_text(file, encoding=source.encoding) as stream:
        wanted = tuple(name for name, column in pipeline.columns.items() if not column.made)
        header, line = read_header(stream, source, name=file.name, wanted=wanted)
        if source.header:
            header = match_columns(
                header, pipeline.columns, name=file.name, new_columns=pipeline.new_columns, delimiter=source.delimiter
            )  # fmt: skip
        dialect = Dialect(source.delimiter, source.quote, source.comment)
        layout = Layout(header, dialect, Marks(source.decimal, source.thousands), source.nulls)
        blocks = cut_blocks(stream, source=file.name, dialect=dialect, line=line)
        first = next(blocks, None)
        as_it_came = not careful and (first is None or not first.quoted)
        parser = BlockParser(
            layout, pipeline.columns, pipeline.interval.timezone, as_it_came=as_it_came, add=pipeline.new_columns == "add"
        )  # fmt: skip
        yield Opened(parser.target, _stretches(parser, stream, chain([first] if first else [], blocks)))


def _stretches(parser: BlockParser, stream: Utf8, blocks: Iterator[Block]) -> Iterator[Parsed]:
    for block in blocks:
        yield parser.parse(block)
    stream.check_unchanged()
