"""`export`: what readers see of a night, or saw of it at a moment, as a file. Streamed, so that its size is no matter; written
beside its name and moved there whole, so that nobody finds half a file."""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from domain.errors import Refused, StageFailed, UsageError
from domain.interval import Interval
from domain.pipeline import Pipeline
from domain.standing import bare, told_trust
from domain.trust import Freshness, TrustLine, tell_held
from domain.words import RunState
from infra.postgres import database_url
from infra.settings import Settings
from store.reads.connection import Connection, Reader
from store.reads.export import Copy
from store.reads.parquet import parquet_blocks
from store.reads.pipelines import Published, declared, newest_published, nights_between, published_as_of, published_between
from store.reads.pruned import require_rows
from store.reads.rows import Question, column_types, compose
from store.reads.trust import judge_pipelines, trust_batch

Form = Literal["csv", "ndjson", "parquet"]
FORMS: tuple[Form, ...] = ("csv", "ndjson", "parquet")


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written, and how far it may be trusted."""

    path: Path
    rows: int
    bytes: int
    trust: TrustLine
    words: str


@dataclass(frozen=True, slots=True)
class _Found:
    pipeline: Pipeline
    seen: Published
    input_batch: int
    trust: TrustLine


def form_of(path: Path) -> Form:
    """Raises UsageError for a name that says no form."""
    form = path.suffix.removeprefix(".").lower()
    if form not in FORMS:
        raise UsageError(f"{path.name} does not say what to write; end it with .csv, .parquet or .ndjson", hint="--to FILE.csv")
    return form


def export(
    settings: Settings,
    name: str,
    path: Path,
    *,
    night: str | None,
    as_of: datetime | None,
    now: datetime,
    columns: Sequence[str] = (),
    comment: bool = False,
) -> Exported:
    """Writes a night's published rows, the newest night's unless one is named. A CSV begins with the trust line where `comment`
    asks for it, a Parquet file carries it as metadata. An `as_of` without an offset is read in the pipeline's time zone.

    Raises UsageError when readers see nothing of it, Pruned when they did and the rows are gone.
    """
    form = form_of(path)
    acts = settings.database_url is not None and settings.reader_url is None
    reader = Reader(database_url(settings, role="reader"), role="overnight_reader" if acts else None, size=1)
    reader.open()
    try:
        found = reader.ask_at_once(lambda connection: _find(connection, name, night, as_of=as_of, now=now))
        types = column_types(found.pipeline)
        wanted = tuple(columns) or tuple(types)
        statement, values = compose(
            found.pipeline, Question(wanted), batch=found.seen.batch, input_batch=found.input_batch, capped=False
        )
        copy = Copy(
            reader, statement, values, form="ndjson" if form == "ndjson" else "csv", seconds=86_400, batch=found.seen.batch
        )
        words = "; ".join(told_trust(found.trust, found.pipeline.calendar))
        blocks = _all(copy, found.seen, header=form != "ndjson")
        if form == "parquet":
            kinds = {name: types[name] for name in wanted}
            blocks = parquet_blocks(blocks, kinds, trust={**found.trust.to_json(), "words": words})
        elif form == "csv" and comment:
            blocks = _after(f"# {words}\n".encode(), blocks)
        size = _write(path, blocks)
    finally:
        reader.close()
    return Exported(path, found.seen.rows, size, found.trust, words)


def _all(copy: Copy, seen: Published, *, header: bool) -> Iterator[bytes]:
    """The blocks; raises StageFailed at their end when the ledger knows of another number of rows (law 3)."""
    yield from copy.blocks()
    rows = copy.rows - header
    if rows != seen.rows:
        raise StageFailed(f"the ledger says {seen.rows:,} rows of batch {seen.batch}, and {rows:,} came", hint="overnight doctor")


def _after(first: bytes, blocks: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from blocks


def _write(path: Path, blocks: Iterator[bytes]) -> int:
    half = path.with_name(f".{path.name}.{os.getpid()}.part")
    size = 0
    try:
        with half.open("wb") as file:
            for block in blocks:
                size += file.write(block)
            file.flush()
            os.fsync(file.fileno())  # or a power cut may leave the name, and of the file nothing
        half.replace(path)
    except OSError as error:
        raise Refused(f"{path} cannot be written ({error.strerror or error})", hint="another folder after --to") from None
    finally:
        with suppress(OSError):
            half.unlink(missing_ok=True)
    return size


def _find(connection: Connection, name: str, night: str | None, *, as_of: datetime | None, now: datetime) -> _Found:
    pipeline = next(iter(declared(connection, name=name)), None)
    if pipeline is None:
        raise UsageError(f"the ledger knows no pipeline {name!r}", hint="overnight status")
    interval = pipeline.calendar.named(night) if night else None
    if as_of is not None and as_of.tzinfo is None:
        as_of = as_of.replace(tzinfo=pipeline.interval.timezone)
    if as_of is not None:
        seen = published_as_of(connection, name, moment=as_of, start=interval.start if interval else None)
    elif interval is None:
        seen = newest_published(connection, [name], kind="prediction").get(name)
    else:
        found = published_between(connection, {name: (interval.start, interval.start)})[name]
        seen = next((one for one in found if one.kind == "prediction"), None)
    if seen is None or seen.input_batch is None:
        what = pipeline.calendar.label(interval) if interval else "any night"
        if interval is not None and as_of is None:
            what += _why_held(connection, name, interval)
        when = f" at {as_of.isoformat(timespec='seconds')}" if as_of else ""
        raise UsageError(f"readers saw no predictions of {what}{when}" if as_of else f"readers see no predictions of {what}",
                         where=name, hint=f"overnight status {name}")  # fmt: skip
    require_rows(connection, pipeline, seen.batch)
    fresh = Freshness(True, None, None)  # a night that was asked for by name is what it is
    if interval is None:
        fresh = judge_pipelines(connection, [pipeline], newest={name: seen.interval}, now=as_of or now, by=as_of)[name]
    trust = trust_batch(pipeline, seen, freshness=fresh, reason=seen.verdict_reason or "")
    return _Found(pipeline, seen, seen.input_batch, trust)


def _why_held(connection: Connection, name: str, night: Interval) -> str:
    """What readers are told everywhere of a held night; empty for any other."""
    line = next(iter(nights_between(connection, {name: (night.start, night.start)})[name]), None)
    held = line is not None and line.attempt.state is RunState.HELD
    return f" ({tell_held(bare(line.attempt.reason))})" if line and held else ""
