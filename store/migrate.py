"""From an empty database to today's schema: the roles first, which belong to the whole server, then the migrations."""

from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from domain.errors import DatabaseUnavailable, Kept, StageFailed
from store.engine import MINIMUM_VERSION, parse_url, translated_errors
from store.roles import create_roles, set_stage_passwords

if TYPE_CHECKING:
    from alembic.config import Config

_MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 0x0E12  # one migration at a time, whoever starts it


def alembic_config(connection: sa.Connection | None = None) -> "Config":
    """Where the migrations are, and the connection that they are to run on."""
    from alembic.config import Config  # late: with Mako and what that imports it is a third of a command's start

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    return config


def newest_revision() -> str:
    """The revision that this code needs: migrations are numbered, and one follows the other."""
    return max(path.name[:4] for path in (_MIGRATIONS / "versions").glob("[0-9]*.py"))


def current_revision(connection: sa.Connection) -> str | None:
    """The revision that the database is at, None when it is empty."""
    if connection.scalar(sa.text("SELECT to_regclass('public.schema_version')")) is None:
        return None
    found: str | None = connection.scalar(sa.text("SELECT version_num FROM public.schema_version"))
    return found


def migrate(url: str, *, revision: str = "head") -> tuple[str | None, str]:
    """Brings the database to `revision`; returns the revision before and after. Safe to call at every start.

    Acts as the URL's own user, who must be allowed to create roles and schemas. Raises StageFailed with the sentence
    that helps when it may not, DatabaseUnavailable when nothing answers, Kept when a way back would lose lines of the ledger.
    """
    engine = sa.create_engine(parse_url(url), poolclass=sa.NullPool, connect_args={"connect_timeout": 10})
    with translated_errors(), engine.connect() as connection:
        version = connection.dialect.server_version_info or (0,)
        if version[0] < MINIMUM_VERSION:
            raise StageFailed(
                f"the server is PostgreSQL {version[0]}, and Overnight needs {MINIMUM_VERSION} or newer",
                hint="unset OVERNIGHT_DATABASE_URL to use the embedded one",
            )
        before = current_revision(connection)
        if before == newest_revision() and revision == "head":
            return before, before
        from alembic import command

        connection.execute(sa.text("SELECT pg_advisory_lock(:key)"), {"key": _LOCK})
        try:
            create_roles(connection)
            upgrading = revision == "head" or (revision != "base" and (before is None or revision > before))
            filled = {} if upgrading else _filled(connection)
            (command.upgrade if upgrading else command.downgrade)(alembic_config(connection), revision)
            left = _columns(connection) if filled else set()
            if lost := {name: rows for name, rows in filled.items() if name not in left}:
                raise _loss(revision, lost)
            connection.commit()
            after = current_revision(connection)
        finally:
            connection.rollback()
            connection.execute(sa.text("SELECT pg_advisory_unlock(:key)"), {"key": _LOCK})
    set_stage_passwords(url)
    if after is None and revision == "head":
        raise DatabaseUnavailable("the migration left no revision behind", hint="overnight db migrate")
    return before, after or "base"


def _columns(connection: sa.Connection) -> set[str]:
    tables = sa.inspect(connection).get_multi_columns(schema="overnight")
    return {f"{table}.{one['name']}" for (_, table), columns in tables.items() for one in columns}


def _filled(connection: sa.Connection) -> dict[str, int]:
    """The ledger's columns that say something (neither nothing, nor no, nor nought), each with in how many lines."""
    found: dict[str, int] = {}
    for table, columns in sa.inspect(connection).get_multi_columns(schema="overnight").items():
        said = [sa.cast(sa.column(one["name"]), sa.Text) for one in columns]
        counts = [sa.func.count().filter(text.not_in(("false", "0", "{}"))) for text in said]
        line = connection.execute(sa.select(*counts).select_from(sa.table(table[1], schema="overnight"))).one()
        found |= {f"{table[1]}.{one['name']}": rows for one, rows in zip(columns, line, strict=True) if rows}
    return found


def _loss(revision: str, lost: dict[str, int]) -> Kept:
    """What a way back would take away, by table."""
    lines = {name.partition(".")[0]: rows for name, rows in lost.items()}
    said = ", ".join(f"{rows:,} of {table}" for table, rows in lines.items())
    return Kept(
        f"going back to schema {revision} would lose what lines of the ledger say ({said}), so nothing was changed",
        hint="the release before on a restored backup: overnight db restore FILE --replace --yes",
    )
