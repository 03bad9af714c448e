"""Whom a token lets in. The reader's role learns of one by holding its secret, and of no other."""

from contextlib import suppress
from datetime import datetime

import psycopg
from psycopg import sql

from store.reads.connection import Connection, Row, fetch_one

_FIND = sql.SQL("SELECT * FROM reading.token_of(%s)")
_ANY = sql.SQL("SELECT reading.has_token(%s) AS found")
_NOTE = sql.SQL("SELECT reading.note_token(%s)")


def find_token(connection: Connection, secret_hash: bytes) -> Row | None:
    """The token with that secret unless it is revoked; whether it has expired is for the caller's clock."""
    return fetch_one(connection, _FIND, [secret_hash])


def has_token(connection: Connection, *, now: datetime) -> bool:
    line = fetch_one(connection, _ANY, [now])
    return bool(line and line["found"])


def note_token(connection: Connection, secret_hash: bytes) -> None:
    """Marks that it was used today; on a replica, which takes no marks, it stays unmarked."""
    with suppress(psycopg.errors.ReadOnlySqlTransaction), connection.transaction():
        connection.execute("SET TRANSACTION READ WRITE")
        connection.execute(_NOTE, [secret_hash])
