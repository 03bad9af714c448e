"""Connections to Postgres: the roles they act as, and the driver's errors translated once."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, cast

import psycopg2
import sqlalchemy as sa
from psycopg2.extensions import cursor
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError

from domain.errors import DatabaseUnavailable, Fenced, Kept, LeakRefused, OvernightError, Pruned, StageFailed
from domain.words import Stage

Role = Literal["owner", "writer", "reader"]
MINIMUM_VERSION = 15
_AWAY = {"57P01", "57P02", "57P03", "57P05", "53100", "53200", "53300", "58030", "25006", "40001", "40P01"}
_SECRET = re.compile(r"(://[^:/@\s]+:)[^@\s]+@")


def parse_url(url: str) -> URL:
    """The bare `postgresql://` and `postgres://` are psycopg2 here, whatever SQLAlchemy's default may become."""
    return make_url(re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql+psycopg2://", url))


def create_engine(url: str, *, role: Role, pool_size: int = 4) -> sa.Engine:
    """An engine whose every connection acts as `overnight_<role>`, in UTC, and is named for pg_stat_activity.

    A login that is one stage's own stays that: it cannot become the writer.
    """
    options = f"-c role={acting_role(url, role)} -c timezone=UTC -c search_path=pg_catalog -c lock_timeout=60s"
    if role == "reader":
        options += " -c default_transaction_read_only=on -c statement_timeout=10s"
    return sa.create_engine(
        parse_url(url),
        connect_args={"options": options, "application_name": f"overnight {role}", "connect_timeout": 10},
        pool_size=pool_size,
        pool_pre_ping=True,
    )


def acting_role(url: str | URL, role: Role) -> str:
    """As whom sessions of this URL act: the role that is asked for, or the stage that the URL logs in as."""
    user = (url if isinstance(url, URL) else parse_url(url)).username or ""
    return user if user in {f"overnight_{stage}" for stage in Stage} else f"overnight_{role}"


@contextmanager
def transaction(engine: sa.Engine) -> Iterator[sa.Connection]:
    """One transaction; the driver's errors come out as Overnight's."""
    with translated_errors(), engine.begin() as connection:
        yield connection


@contextmanager
def driver_cursor(connection: sa.Connection) -> Iterator[cursor]:
    """psycopg2's own cursor inside a SQLAlchemy transaction: for COPY, and for statements composed with `psycopg2.sql`.

    The driver's errors come out as SQLAlchemy's, so that they are translated where all others are.
    """
    raw = cast(cursor, connection.connection.cursor())
    try:
        yield raw
    except psycopg2.Error as error:
        lost = connection.dialect.is_disconnect(error, connection.connection, raw)  # type: ignore[arg-type]
        raise DBAPIError.instance(
            "", None, error, psycopg2.Error, connection_invalidated=lost, dialect=connection.dialect
        ) from error
    finally:
        raw.close()


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turns what the driver raises into the exception tree's words; everything else passes."""
    try:
        yield
    except DBAPIError as error:
        raise translate(error) from error


def translate(error: DBAPIError) -> OvernightError:
    """One driver error in Overnight's words. Connection losses and full or read-only disks can be tried again."""
    state: str | None = getattr(error.orig, "pgcode", None) or getattr(error.orig, "sqlstate", None)  # psycopg 2, psycopg 3
    first_line = _SECRET.sub(r"\1***@", (str(error.orig).strip().splitlines() or ["no message"])[0])
    if error.connection_invalidated or state is None or state.startswith("08") or state in _AWAY:
        return DatabaseUnavailable(f"Postgres does not answer as it should ({first_line})", hint="overnight doctor")
    if state == "OV006":
        return Fenced(first_line, hint="overnight status")
    if state == "OV005":
        return LeakRefused(first_line, hint="overnight models")
    if state == "OV007":
        return Kept(first_line, hint="overnight prune")
    if state == "OV008":
        return Pruned(first_line, hint="overnight batches")
    return StageFailed(f"Postgres refused: {first_line}")
