"""Fills a batch's tables: parsing in one thread beside COPY in another, then rejects, then repeated keys.

A file may have been brought by a worker elsewhere, into tables of its own (`Brought`): then its rows are put in its place.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from time import monotonic
from typing import TypeVar

import sqlalchemy as sa
from psycopg2 import sql
from sqlalchemy.exc import DBAPIError

from domain.errors import SourceError, StageFailed
from domain.pipeline import Pipeline
from store.batches import Batch
from store.copying import copy_file, copy_in, copy_statement
from store.engine import driver_cursor
from store.parts import Part, join_part
from tasks.ingest.files import SourceFile
from tasks.ingest.keys import Hashes, KeyIndex
from tasks.ingest.open import open_file
from tasks.ingest.parse import Parsed
from tasks.ingest.places import Places
from tasks.ingest.rejects import COLUMNS, RejectPile
from tasks.ingest.repeats import set_repeats_aside
from tasks.ingest.write import Home

_SESSION = sa.text("SELECT set_config('TimeZone', :zone, true), set_config('DateStyle', 'ISO, YMD', true)")
_BAD_DATA = "22"  # the class of SQL states in which Postgres says that it cannot read a value
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Loaded:
    """What came of a night's files; read = rows + rejected. `brought` counts the files that workers brought."""

    read: int
    rows: int
    rejected: int
    counts: Counter[tuple[str, str]]
    by_rule: Mapping[str, int]
    seconds: Mapping[str, float]
    notes: list[str]
    brought: int = 0


@dataclass(frozen=True, slots=True)
class Brought:
    """One file's rows and rejects in tables of their own, and what only whoever has all files can judge: which keys repeat, and
    where their rows stood."""

    part: Part
    columns: tuple[str, ...]
    read: int
    twice: int
    counts: Counter[tuple[str, str]]
    hashes: Sequence[Hashes]
    places: Places
    parsing: float


class _Loading:
    """What grows while files go by: counts, rejects and the places of rows; `keep` takes the hashes of their keys."""

    def __init__(self, keep: Callable[[Hashes], None]) -> None:
        self.pile, self.keep, self.places = RejectPile(), keep, Places()
        self.read, self.twice, self.parsing, self.brought = 0, 0, 0.0, 0

    def payloads(self, stretches: Iterator[Parsed], file: SourceFile) -> Iterator[bytes]:
        """The bytes for COPY; everything else is kept here."""
        began = monotonic()
        for parsed in stretches:
            self.read += len(parsed.hashes) + len(parsed.rejects)
            self.twice += parsed.twice
            for reject in parsed.rejects:
                self.pile.add(reject if file.placed else replace(reject, line=None))
            self.keep(parsed.hashes)
            self.places.add(file.name, parsed.places if file.placed else None, len(parsed.hashes))
            self.parsing += monotonic() - began
            yield parsed.payload
            began = monotonic()

    def join(self, connection: sa.Connection, batch: Batch, brought: Brought) -> None:
        """Puts in what a worker has brought. Raises StageFailed when it is not all there."""
        told = sum(map(len, brought.hashes)), sum(brought.counts.values())
        found = join_part(connection, brought.part, batch, columns=brought.columns, of_rejects=COLUMNS)
        if found != told:
            raise StageFailed(f"a worker brought {told} rows and rejects, and {found} were found", hint="the same run again")
        self.read += brought.read
        self.twice += brought.twice
        self.parsing += brought.parsing
        self.brought += 1
        for hashes in brought.hashes:
            self.keep(hashes)
        self.places.join(brought.places)
        for (rule, column), rows in brought.counts.items():
            self.pile.count(rule, column, rows)

    def copy_rejects(self, connection: sa.Connection, schema: str, table: str) -> None:
        copy_file(connection, copy_statement(schema, table, COLUMNS), self.pile.file())


def load_files(
    connection: sa.Connection,
    batch: Batch,
    pipeline: Pipeline,
    files: list[SourceFile],
    *,
    elsewhere: Iterable[Brought | None] | None = None,
) -> Loaded:
    """Loads the files into the batch's tables, in the caller's transaction. `elsewhere` says of each file in turn what a worker
    has brought of it, None where it is to be read here."""

    def load(*, careful: bool) -> Loaded:
        brought = repeat(None, len(files)) if careful or elsewhere is None else elsewhere
        return _load_all(connection, batch, pipeline, zip(files, brought, strict=True), careful=careful)

    return _careful_at_last(connection, batch, pipeline, load)


def load_part(connection: sa.Connection, part: Part, pipeline: Pipeline, file: SourceFile) -> Brought:
    """One file into tables of its own, in the caller's transaction."""

    def load(*, careful: bool) -> Brought:
        hashes: list[Hashes] = []
        loading = _Loading(hashes.append)
        try:
            columns = _load_file(connection, loading, part, pipeline, file, careful=careful)
            loading.copy_rejects(connection, part.schema, part.rejected)
            return Brought(
                part, columns, loading.read, loading.twice, loading.pile.counts, hashes, loading.places, loading.parsing
            )  # fmt: skip
        finally:
            loading.pile.close()

    return _careful_at_last(connection, part, pipeline, load)


def _careful_at_last(connection: sa.Connection, home: Home, pipeline: Pipeline, load: Callable[..., Result]) -> Result:
    """Should Postgres refuse a value that was found to be good, in a spelling that only Postgres dislikes, everything is read
    again and no byte goes on as it came."""
    connection.execute(_SESSION, {"zone": str(pipeline.interval.timezone)})
    attempt = connection.begin_nested()
    try:
        _own_table(connection, home)
        loaded = load(careful=False)
    except DBAPIError as error:
        if not str(getattr(error.orig, "pgcode", None) or "").startswith(_BAD_DATA):
            raise
        attempt.rollback()
        _own_table(connection, home)
        return load(careful=True)
    attempt.commit()
    return loaded


def _own_table(connection: sa.Connection, home: Home) -> None:
    """Makes the table this subtransaction's own, which is what COPY … FREEZE asks for."""
    with driver_cursor(connection) as cursor:
        cursor.execute(sql.SQL("TRUNCATE {}").format(sql.Identifier(home.schema, home.table)))


def _load_all(
    connection: sa.Connection,
    batch: Batch,
    pipeline: Pipeline,
    files: Iterable[tuple[SourceFile, Brought | None]],
    *,
    careful: bool,
) -> Loaded:
    index = KeyIndex()
    loading = _Loading(index.add)
    began = monotonic()
    try:
        names = []
        for file, brought in files:
            names.append(file.name)
            if brought is not None:
                loading.join(connection, batch, brought)
            else:
                _load_file(connection, loading, batch, pipeline, file, careful=careful)
        if not loading.read:
            raise SourceError(f"{', '.join(names)}: a header and no row under it", hint="ask for the file again")
        copied = monotonic()
        loading.copy_rejects(connection, batch.schema, f"rejected_{batch.id}")
        repeated = set_repeats_aside(connection, batch, pipeline.key, index.suspects(), loading.places)
        loading.pile.count("key", ", ".join(pipeline.key), repeated)
        seconds = {"load": copied - began, "parse": loading.parsing, "keys": monotonic() - copied}
        return _loaded(loading, pipeline, seconds)
    finally:
        index.close()
        loading.pile.close()


def _load_file(
    connection: sa.Connection, loading: _Loading, home: Home, pipeline: Pipeline, file: SourceFile, *, careful: bool
) -> tuple[str, ...]:
    """Returns the columns that the file filled."""
    with open_file(file, pipeline, careful=careful) as opened:
        payloads = opened.target.framed(loading.payloads(opened.stretches, file))
        copy_in(connection, opened.target.statement(home), payloads)
        return opened.target.columns


def _loaded(loading: _Loading, pipeline: Pipeline, seconds: Mapping[str, float]) -> Loaded:
    pile, notes = loading.pile, []
    if loading.twice:
        zone = pipeline.interval.timezone
        notes.append(f"{loading.twice:,} times fall into the hour that {zone} had twice; the second one was taken")
    rejected = len(pile)
    return Loaded(
        loading.read, loading.read - rejected, rejected, pile.counts, pile.by_rule(), seconds, notes, loading.brought
    )  # fmt: skip
