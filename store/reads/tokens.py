"""Whom a token lets in. The reader's role learns of one by holding its secret, and of no other."""

from datetime import datetime

from psycopg import sql

from store.reads.connection import Connection, Row, fetch_one

_FIND = sql.SQL("SELECT * FROM reading.token_of(%s)")
_ANY = sql.SQL("SELECT reading.has_token(%s) AS found")


def find_token(connection: Connection, secret_hash: bytes) -> Row | None:
    """The token with that secret unless it is revoked; whether it has expired is for the caller's clock."""
    return fetch_one(connection, _FIND, [secret_hash])


def has_token(connection: Connection, *, now: datetime) -> bool:
    line = fetch_one(connection, _ANY, [now])
    return bool(line and line["found"])
