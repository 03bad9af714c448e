"""Fills a batch's tables: parsing in one thread beside COPY in another, then rejects, then repeated keys."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from time import monotonic

import sqlalchemy as sa
from psycopg2 import sql
from sqlalchemy.exc import DBAPIError

from domain.errors import SourceError
from domain.pipeline import Pipeline
from store.batches import Batch
from store.copying import copy_file, copy_in, copy_statement
from store.engine import driver_cursor
from tasks.ingest.files import SourceFile
from tasks.ingest.keys import KeyIndex
from tasks.ingest.open import open_file
from tasks.ingest.parse import Parsed
from tasks.ingest.places import Places
from tasks.ingest.rejects import COLUMNS, RejectPile
from tasks.ingest.repeats import set_repeats_aside

_SESSION = sa.text("SELECT set_config('TimeZone', :zone, true), set_config('DateStyle', 'ISO, YMD', true)")
_BAD_DATA = "22"  # the class of SQL states in which Postgres says that it cannot read a value


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

    def __init__(self) -> None:
        self.pile, self.index, self.places = RejectPile(), KeyIndex(), Places()
        self.read, self.twice, self.parsing = 0, 0, 0.0

    def payloads(self, stretches: Iterator[Parsed], file: SourceFile) -> Iterator[bytes]:
        """The bytes for COPY; everything else is kept here."""
        began = monotonic()
        for parsed in stretches:
            self.read += len(parsed.hashes) + len(parsed.rejects)
            self.twice += parsed.twice
            for reject in parsed.rejects:
                self.pile.add(reject if file.placed else replace(reject, line=None))
            self.index.add(parsed.hashes)
            self.places.add(file.name, parsed.places if file.placed else None, len(parsed.hashes))
            self.parsing += monotonic() - began
            yield parsed.payload
            began = monotonic()

    def close(self) -> None:
        self.index.close()
        self.pile.close()


def load_files(connection: sa.Connection, batch: Batch, pipeline: Pipeline, files: list[SourceFile]) -> Loaded:
    """Loads the files into the batch's tables, in the caller's transaction.

    Should Postgres refuse a value that was found to be good, in a spelling that only Postgres dislikes, everything is read
    again and no byte goes on as it came.
    """
    connection.execute(_SESSION, {"zone": str(pipeline.interval.timezone)})
    attempt = connection.begin_nested()
    try:
        _own_table(connection, batch)
        loaded = _load_all(connection, batch, pipeline, files, careful=False)
    except DBAPIError as error:
        if not str(getattr(error.orig, "pgcode", None) or "").startswith(_BAD_DATA):
            raise
        attempt.rollback()
        _own_table(connection, batch)
        return _load_all(connection, batch, pipeline, files, careful=True)
    attempt.commit()
    return loaded


def _own_table(connection: sa.Connection, batch: Batch) -> None:
    """Makes the table this subtransaction's own, which is what COPY … FREEZE asks for."""
    with driver_cursor(connection) as cursor:
        cursor.execute(sql.SQL("TRUNCATE {}").format(sql.Identifier(batch.schema, batch.table)))


def _load_all(
    connection: sa.Connection, batch: Batch, pipeline: Pipeline, files: list[SourceFile], *, careful: bool
) -> Loaded:  # fmt: skip
    loading = _Loading()
    began = monotonic()
    try:
        for file in files:
            _load_file(connection, loading, batch, pipeline, file, careful=careful)
        if not loading.read:
            names = ", ".join(file.name for file in files)
            raise SourceError(f"{names}: a header and no row under it", hint="ask for the file again")
        copied = monotonic()
        copy_file(connection, copy_statement(batch.schema, f"rejected_{batch.id}", COLUMNS), loading.pile.file())
        repeated = set_repeats_aside(connection, batch, pipeline.key, loading.index.suspects(), loading.places)
        loading.pile.count("key", ", ".join(pipeline.key), repeated)
        seconds = {"load": copied - began, "parse": loading.parsing, "keys": monotonic() - copied}
        return _loaded(loading, pipeline, seconds)
    finally:
        loading.close()


def _load_file(
    connection: sa.Connection, loading: _Loading, batch: Batch, pipeline: Pipeline, file: SourceFile, *, careful: bool
) -> None:
    with open_file(file, pipeline, careful=careful) as opened:
        payloads = opened.target.framed(loading.payloads(opened.stretches, file))
        copy_in(connection, opened.target.statement(batch), payloads)


def _loaded(loading: _Loading, pipeline: Pipeline, seconds: Mapping[str, float]) -> Loaded:
    pile, notes = loading.pile, []
    if loading.twice:
        zone = pipeline.interval.timezone
        notes.append(f"{loading.twice:,} times fall into the hour that {zone} had twice; the second one was taken")
    rejected = len(pile)
    return Loaded(loading.read, loading.read - rejected, rejected, pile.counts, pile.by_rule(), seconds, notes)
