"""Fills a batch's tables: parsing in one thread beside COPY in another, then rejects, then repeated keys."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from time import monotonic

import sqlalchemy as sa

from domain.errors import SourceError
from domain.pipeline import Pipeline
from store.batches import Batch
from store.copying import copy_file, copy_in, copy_statement
from tasks.ingest.blocks import cut_blocks
from tasks.ingest.files import SourceFile, Utf8, match_columns, open_text, read_header
from tasks.ingest.keys import KeyIndex
from tasks.ingest.parse import BlockParser
from tasks.ingest.places import Places
from tasks.ingest.read import Layout
from tasks.ingest.rejects import COLUMNS, RejectPile
from tasks.ingest.repeats import set_repeats_aside

_SESSION = sa.text("SELECT set_config('TimeZone', :zone, true), set_config('DateStyle', 'ISO, YMD', true)")


@dataclass(frozen=True, slots=True)
class Loaded:
    """What came of a night's files; read = rows + rejected."""

    read: int
    rows: int
    rejected: int
    counts: Counter[tuple[str, str]]
    by_rule: Mapping[str, int]
    seconds: Mapping[str, float]
    notes: list[str]


class _Loading:
    """What grows while files go by: counts, rejects, key hashes and the places of rows."""

    def __init__(self, batch: Batch, pipeline: Pipeline) -> None:
        self.batch, self.pipeline = batch, pipeline
        self.pile, self.index, self.places = RejectPile(), KeyIndex(), Places()
        self.read, self.twice, self.parsing = 0, 0, 0.0

    def payloads(self, parser: BlockParser, stream: Utf8, file: SourceFile, line: int) -> Iterator[bytes]:
        """The bytes for COPY, block by block; everything else is kept here."""
        delimiter = parser.layout.delimiter
        began = monotonic()
        for block in cut_blocks(stream, source=file.name, delimiter=delimiter, line=line):  # type: ignore[arg-type]
            parsed = parser.parse(block)
            self.read += len(parsed.hashes) + len(parsed.rejects)
            self.twice += parsed.twice
            for reject in parsed.rejects:
                self.pile.add(reject)
            self.index.add(parsed.hashes)
            self.places.add(file.name, parsed.places)
            self.parsing += monotonic() - began
            yield parsed.payload
            began = monotonic()
        stream.check_unchanged(file)


def load_files(connection: sa.Connection, batch: Batch, pipeline: Pipeline, files: list[SourceFile]) -> Loaded:
    """Loads the files into the batch's tables, in the caller's transaction."""
    loading = _Loading(batch, pipeline)
    connection.execute(_SESSION, {"zone": str(pipeline.interval.timezone)})
    try:
        began = monotonic()
        for file in files:
            _load_file(connection, loading, file)
        copied = monotonic()
        statement = copy_statement(batch.schema, f"rejected_{batch.id}", COLUMNS)
        copy_file(connection, statement, loading.pile.file())
        repeated = set_repeats_aside(connection, batch, pipeline.key, loading.index.suspects(), loading.places)
        if repeated:
            loading.pile.count("key", ", ".join(pipeline.key), repeated)
    finally:
        loading.index.close()
    if not loading.read:
        names = ", ".join(file.name for file in files)
        raise SourceError(f"{names}: a header and no row under it", hint="ask for the file again")
    seconds = {"load": copied - began, "parse": loading.parsing, "keys": monotonic() - copied}
    rejected = len(loading.pile)
    return Loaded(
        loading.read, loading.read - rejected, rejected, loading.pile.counts, loading.pile.by_rule(), seconds, _notes(loading)
    )


def _load_file(connection: sa.Connection, loading: _Loading, file: SourceFile) -> None:
    pipeline, batch = loading.pipeline, loading.batch
    source = pipeline.source
    with open_text(file, encoding=source.encoding) as stream:
        header, line = read_header(stream, name=file.name, delimiter=source.delimiter)
        columns = match_columns(
            header, list(pipeline.columns), name=file.name, delimiter=source.delimiter,
            refuse_new=pipeline.new_columns == "refuse",
        )  # fmt: skip
        layout = Layout(header, source.delimiter, source.nulls)
        parser = BlockParser(layout, pipeline.columns, pipeline.interval.timezone)
        statement = copy_statement(
            batch.schema, batch.table, columns, delimiter=layout.delimiter, null=layout.null, freeze=True
        )  # fmt: skip
        copy_in(connection, statement, loading.payloads(parser, stream, file, line))


def _notes(loading: _Loading) -> list[str]:
    if not loading.twice:
        return []
    zone = loading.pipeline.interval.timezone
    return [f"{loading.twice:,} times fall into the hour that {zone} had twice; the second one was taken"]
