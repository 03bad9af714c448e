"""Tokens as an operator sees them: made, listed, revoked. The secret itself leaves this file once and is nowhere kept."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from domain.errors import UsageError
from domain.secrets import PREFIX, hash_secret
from store import schema

_SHOWN = ("id", "name", "pipelines", "who", "created_at", "expires_at", "revoked_at")


@dataclass(frozen=True, slots=True)
class Token:
    """What is known of a token. `pipelines` is None when it reads all of them."""

    id: int
    name: str
    pipelines: Sequence[str] | None
    who: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def state(self, now: datetime) -> str:
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "valid"


def issue_token(
    connection: sa.Connection, name: str, *, pipelines: Sequence[str] | None, expires_at: datetime | None, who: str
) -> tuple[int, str]:
    """A new token's number and its secret. Raises UsageError for a pipeline that is not registered."""
    known = set(connection.scalars(sa.select(schema.pipeline.c.name)))
    for one in pipelines or ():
        if one not in known:
            raise UsageError(f"there is no pipeline {one!r} in the ledger", where="token", hint="overnight status")
    secret = PREFIX + secrets.token_urlsafe(32)
    made = sa.insert(schema.token).values(
        name=name, secret_hash=hash_secret(secret), pipelines=sorted(set(pipelines)) if pipelines else None,
        expires_at=expires_at, who=who,
    )  # fmt: skip
    return connection.execute(made.returning(schema.token.c.id)).scalar_one(), secret


def list_tokens(connection: sa.Connection) -> list[Token]:
    columns = [schema.token.c[name] for name in _SHOWN]
    return [Token(**line._mapping) for line in connection.execute(sa.select(*columns).order_by(schema.token.c.id))]


def revoke_token(connection: sa.Connection, number: int) -> str:
    """Returns its name; raises UsageError when there is no such token, or it is revoked already."""
    living = sa.and_(schema.token.c.id == number, schema.token.c.revoked_at.is_(None))
    revoked = sa.update(schema.token).where(living).values(revoked_at=schema.now()).returning(schema.token.c.name)
    name: str | None = connection.execute(revoked).scalar_one_or_none()
    if name is None:
        raise UsageError(f"there is no token {number} that could be revoked", where="token", hint="overnight token list")
    return name
