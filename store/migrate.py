"""From an empty database to today's schema: the roles first, which belong to the whole server, then the migrations."""

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from domain.errors import DatabaseUnavailable, StageFailed
from store.engine import MINIMUM_VERSION, parse_url, translated_errors
from store.roles import create_roles, set_stage_passwords

_LOCK = 0x0E12  # one migration at a time, whoever starts it


def alembic_config(connection: sa.Connection | None = None) -> Config:
    """Where the migrations are, and the connection that they are to run on."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


def newest_revision() -> str:
    """The revision that this code needs."""
    head = ScriptDirectory.from_config(alembic_config()).get_current_head()
    assert head is not None
    return head


def current_revision(connection: sa.Connection) -> str | None:
    """The revision that the database is at, None when it is empty."""
    options = {"version_table": "schema_version", "version_table_schema": "public"}
    return MigrationContext.configure(connection, opts=options).get_current_revision()


def migrate(url: str, *, revision: str = "head") -> tuple[str | None, str]:
    """Brings the database to `revision`; returns the revision before and after. Safe to call at every start.

    Acts as the URL's own user, who must be allowed to create roles and schemas. Raises StageFailed with the sentence
    that helps when it may not, DatabaseUnavailable when nothing answers.
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
        connection.execute(sa.text("SELECT pg_advisory_lock(:key)"), {"key": _LOCK})
        try:
            create_roles(connection)
            upgrading = revision == "head" or (revision != "base" and (before is None or revision > before))
            (command.upgrade if upgrading else command.downgrade)(alembic_config(connection), revision)
            connection.commit()
            after = current_revision(connection)
        finally:
            connection.rollback()
            connection.execute(sa.text("SELECT pg_advisory_unlock(:key)"), {"key": _LOCK})
    set_stage_passwords(url)
    if after is None and revision == "head":
        raise DatabaseUnavailable("the migration left no revision behind", hint="overnight db migrate")
    return before, after or "base"
