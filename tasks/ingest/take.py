"""Brings a night's source to this machine and names its content, before anything is parsed."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from domain.errors import SourceError
from domain.fingerprint import fingerprint
from domain.interval import Interval
from domain.spec.source import Source
from tasks.ingest.files import SourceFile, find_files, without_copies
from tasks.ingest.from_http import spool_pages
from tasks.ingest.from_sql import spool_query
from tasks.ingest.place import fill_in, with_secrets


@dataclass(frozen=True, slots=True)
class Taken:
    """The night's files, in order; `notes` says which were left out, and why."""

    files: list[SourceFile]
    notes: list[str]

    @property
    def content(self) -> str:
        """Equal exactly when the files hold the same bytes in the same order."""
        return fingerprint([file.sha256 for file in self.files])

    def to_json(self) -> list[dict[str, object]]:
        return [file.to_json() for file in self.files]


@contextmanager
def take_source(
    source: Source, interval: Interval, *, zone: ZoneInfo, data: Path, server: sa.URL | None = None
) -> Iterator[Taken]:
    """The source as files on this machine, for as long as the context lasts. Raises SourceError when it cannot be had.

    `server` is where the ledger is, for a source that lies beside it.
    """
    local = Interval(interval.start.astimezone(zone), interval.end.astimezone(zone))
    with tempfile.TemporaryDirectory(prefix="overnight-source-") as scratch:
        try:
            files = _fetch(source, local, data=data, scratch=Path(scratch), server=server)
        except OSError as error:
            raise SourceError(f"the source cannot be read ({error})", hint="overnight doctor") from None
        kept, notes = without_copies(files)
        yield Taken(kept, notes)


def _fetch(source: Source, interval: Interval, *, data: Path, scratch: Path, server: sa.URL | None) -> list[SourceFile]:
    if source.kind == "sql":
        return [spool_query(source, interval, scratch=scratch, server=server)]
    if source.kind == "http":
        return [spool_pages(source, interval, data=data, scratch=scratch)]
    return find_files(with_secrets(fill_in(source.path, interval=interval, data=data)), data=data, scratch=scratch)
