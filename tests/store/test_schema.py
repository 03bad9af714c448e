"""The migrations, and SQLAlchemy's idea of what they made."""

import sqlalchemy as sa

from store import schema
from store.engine import transaction
from store.migrate import current_revision, migrate, newest_revision


def test_the_tables_that_statements_use_are_the_ones_that_the_migrations_make(owner: sa.Engine) -> None:
    for table in schema.metadata.tables.values():
        made = {column["name"]: column["type"] for column in sa.inspect(owner).get_columns(table.name, schema="overnight")}
        assert set(made) == set(table.columns.keys()), table.name
        for column in table.columns:
            assert made[column.name].compile(owner.dialect) == column.type.compile(owner.dialect), f"{table.name}.{column.name}"


def test_migrating_again_changes_nothing_and_back_leaves_nothing(database: str) -> None:
    assert migrate(database) == (newest_revision(), newest_revision())
    assert migrate(database, revision="base")[1] == "base"
    engine = sa.create_engine(database)
    with transaction(engine) as connection:
        assert current_revision(connection) is None
        left = connection.scalars(sa.text("SELECT nspname FROM pg_namespace WHERE nspname IN ('overnight', 'reading')")).all()
    engine.dispose()
    assert left == []
    assert migrate(database) == (None, newest_revision())
