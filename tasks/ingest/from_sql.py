"""Brings the rows of a query here, as a CSV file: through COPY from a Postgres, through a server-side cursor otherwise."""

import csv
import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa
from psycopg2.extensions import cursor as Cursor
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from domain.errors import SourceError
from domain.interval import Interval
from domain.spec.source import Source
from infra.passages import through_passage
from tasks.ingest.files import SourceFile
from tasks.ingest.keys import hash_lines
from tasks.ingest.place import on_server, with_secrets, without_secrets

NULL = "\x1anull"  # what stands for NULL in the file; no text that a database holds by chance
_AT_A_TIME = 10_000


def spool_query(source: Source, interval: Interval, *, scratch: Path, server: sa.URL | None = None) -> SourceFile:
    """Runs the query with :start and :end bound, and writes its rows to a file. `server` is what {postgres} stands for.

    The file's hash does not depend on the order of its rows, because a query promises none. Raises SourceError when the
    database does not answer, the query fails or the driver is missing; never with the password.
    """
    url = on_server(with_secrets(source.url), server=server)
    target = scratch / "query.csv"
    try:
        address = make_url(url.replace("postgres://", "postgresql://", 1))
        if address.get_backend_name() == "postgresql":
            _copy_from_postgres(address.set(drivername="postgresql+psycopg2"), source.query, interval, target)
        else:
            _fetch_by_cursor(address, source.query, interval, target)
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise SourceError(
            f"source.url cannot be used ({_said(error, url)})", hint="install the driver, or mend the URL"
        ) from None
    except (SQLAlchemyError, OSError) as error:
        raise SourceError(
            f"the query on {_shown(url)} failed ({_said(error, url)})", hint="the same run again, or mend it"
        ) from None
    return SourceFile(target, "query", _content_of(target), target.stat().st_size, placed=False)


def _engine(address: sa.URL) -> sa.Engine:
    return sa.create_engine(through_passage(address), poolclass=sa.NullPool)


def _bound(query: str, interval: Interval, *, zoned: bool, dialect: sa.Dialect) -> tuple[sa.TextClause, dict[str, Any]]:
    """The query and the values of those of :start and :end that it names. Databases without zones get the wall clock's time."""
    moments: dict[str, datetime] = {"start": interval.start, "end": interval.end}
    statement = sa.text(query.strip().rstrip(";"))
    named = {name: moments[name] for name in moments if name in statement._bindparams}
    if zoned:
        return statement, named
    plain = {name: moment.replace(tzinfo=None) for name, moment in named.items()}
    if dialect.name == "sqlite":
        return statement, {name: moment.isoformat(sep=" ") for name, moment in plain.items()}
    return statement, plain


def _copy_from_postgres(address: sa.URL, query: str, interval: Interval, target: Path) -> None:
    engine = _engine(address)
    with engine.connect() as connection, target.open("wb") as file:
        connection.execute(sa.text("SET TRANSACTION READ ONLY"))
        connection.execute(sa.text("SELECT set_config('TimeZone', 'UTC', true), set_config('DateStyle', 'ISO', true)"))
        statement, values = _bound(query, interval, zoned=True, dialect=engine.dialect)
        compiled = statement.compile(dialect=engine.dialect)
        raw: Any = connection.connection.cursor()
        assert isinstance(raw, Cursor)
        selected = raw.mogrify(str(compiled), values).decode()  # the driver quotes the two moments, for COPY binds none
        try:
            raw.copy_expert(f"COPY ({selected}) TO STDOUT (FORMAT csv, HEADER true, NULL '{NULL}', ENCODING 'UTF8')", file)
        except Exception as error:
            connection.invalidate()  # it may be lost, and closing a lost one would hide why
            raise OSError(str(error).strip().splitlines()[0]) from None


def _fetch_by_cursor(address: sa.URL, query: str, interval: Interval, target: Path) -> None:
    engine = _engine(address)
    with engine.connect() as connection, target.open("w", encoding="utf-8", newline="") as file:
        statement, values = _bound(query, interval, zoned=False, dialect=engine.dialect)
        result = connection.execution_options(stream_results=True, max_row_buffer=_AT_A_TIME).execute(statement, values)
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(result.keys())
        for rows in result.partitions(_AT_A_TIME):
            writer.writerows([_cell(value) for value in row] for row in rows)


def _cell(value: Any) -> Any:
    if value is None:
        return NULL
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, list | dict):
        return json.dumps(value, default=str)
    return value.hex() if isinstance(value, bytes | memoryview) else value


def _content_of(path: Path) -> str:
    """A hash of the header and of the set of lines under it."""
    with path.open("rb") as file:
        header = file.readline()
        sums = np.zeros(2, np.uint64)
        lines = 0
        for block in _line_blocks(file):
            hashes = hash_lines(block)
            sums += np.array([hashes.sum(), (hashes * hashes).sum()], np.uint64)
            lines += len(hashes)
    return hashlib.sha256(header + f"{lines} {sums[0]} {sums[1]}".encode()).hexdigest()


def _line_blocks(file: Any) -> Iterator[bytes]:
    rest = b""
    while more := file.read(1 << 20):
        whole, feed, rest = (rest + more).rpartition(b"\n")
        yield whole + feed
    yield rest


def _shown(url: str) -> str:
    return without_secrets(url)


def _said(error: Exception, url: str) -> str:
    """The first line of what a driver said, without the password, should it have been said."""
    text = without_secrets((str(getattr(error, "orig", None) or error).strip().splitlines() or ["no message"])[0])
    secrets: Mapping[str, Any] = {}
    try:
        password = make_url(url).password
    except ArgumentError:
        return type(error).__name__
    return text.replace(str(password), "***") if password and not secrets else text
