"""What a backup must hold, told from one snapshot, and whether a database holds it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa
from psycopg2 import sql

from store.engine import driver_cursor, parse_url, translated_errors
from store.migrate import alembic_config, current_revision
from store.pipelines import inner_schema
from store.roles import create_roles


@dataclass(frozen=True, slots=True)
class Contents:
    """What a database holds: the schema's revision, the lines of each table of the ledger, the content hash of each sealed
    batch, and where every pointer stands. `batches` maps a number to its table, its hashed columns and the hash."""

    revision: str
    server: int
    pipelines: list[str]
    lines: dict[str, int]
    batches: dict[str, dict[str, Any]]
    pointers: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Contents":
        """Raises ValueError for what is no such document."""
        if not isinstance(document, dict) or not set(cls.__dataclass_fields__) <= set(document):
            raise ValueError("this is no manifest of a backup")
        return cls(**{name: document[name] for name in cls.__dataclass_fields__})

    @property
    def schemas(self) -> list[str]:
        """All that belongs to Overnight in a database that others may use too."""
        return ["overnight", "reading", *(schema for name in self.pipelines for schema in (inner_schema(name), name))]


def admin_engine(url: str, *, autocommit: bool = False) -> sa.Engine:
    """One that acts as the URL's own user."""
    options = {"isolation_level": "AUTOCOMMIT"} if autocommit else {}
    return sa.create_engine(parse_url(url), poolclass=sa.NullPool, connect_args={"connect_timeout": 10}, **options)


@contextmanager
def snapshot(url: str) -> Iterator[tuple[str, Contents]]:
    """A moment of the database, by the name under which pg_dump can share it, and what it holds. While it is open nothing
    that it holds is pruned."""
    with translated_errors(), admin_engine(url).connect() as connection:
        connection.execute(sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        name = connection.scalar(sa.text("SELECT pg_export_snapshot()"))
        contents = read_contents(connection)
        for pipeline in contents.pipelines:
            _hold(connection, pipeline)
        yield str(name), contents


def _hold(connection: sa.Connection, pipeline: str) -> None:
    with driver_cursor(connection) as cursor:
        for table in ("landed", "rejected", "predictions"):
            parent = sql.Identifier(inner_schema(pipeline), table)
            cursor.execute(sql.SQL("SELECT FROM {} WHERE batch_id = 0").format(parent))


_BATCHES = sa.text("""
SELECT id, pipeline, CASE kind WHEN 'input' THEN 'landed_' ELSE 'predictions_' END || id AS relation, columns, content_hash
FROM overnight.batch WHERE state = 'sealed' ORDER BY id
""")


def read_contents(connection: sa.Connection) -> Contents:
    """As the ledger tells it."""
    tables = connection.scalars(sa.text("SELECT relname FROM pg_class WHERE relnamespace = 'overnight'::regnamespace "
                                        "AND relkind = 'r' ORDER BY 1")).all()  # fmt: skip
    batches = {
        str(line.id): {
            "table": f"{inner_schema(line.pipeline)}.{line.relation}", "columns": list(line.columns), "hash": line.content_hash
        }
        for line in connection.execute(_BATCHES)
    }  # fmt: skip
    pointers = connection.execute(sa.text("SELECT pipeline, kind, interval_start, batch FROM overnight.pointer"))
    return Contents(
        revision=current_revision(connection) or "",
        server=(connection.dialect.server_version_info or (0,))[0],
        pipelines=list(connection.scalars(sa.text("SELECT name FROM overnight.pipeline ORDER BY name"))),
        lines={table: _count(connection, table) for table in tables},
        batches=batches,
        pointers={f"{one.pipeline} {one.kind} {one.interval_start.timestamp():.0f}": one.batch for one in pointers},
    )


def _count(connection: sa.Connection, table: str) -> int:
    with driver_cursor(connection) as cursor:
        cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier("overnight", table)))
        (count,) = cursor.fetchone() or (0,)
    return int(count)


def find_differences(url: str, wanted: Contents) -> list[str]:
    """What a database lacks of what it should hold, the rows of every sealed batch hashed again; empty when nothing."""
    with translated_errors(), admin_engine(url).connect() as connection:
        connection.execute(sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        here = read_contents(connection)
        found = [
            f"overnight.{table} has {here.lines.get(table, 0):,} lines and not {lines:,}"
            for table, lines in wanted.lines.items()
            if here.lines.get(table) != lines
        ]
        found += [
            f"the pointer of {key} stands on batch {here.pointers.get(key)} and not on {batch}"
            for key, batch in wanted.pointers.items()
            if here.pointers.get(key) != batch
        ]
        return found + [said for number, batch in wanted.batches.items() if (said := _check(connection, number, batch))]


_HASH = sa.text("SELECT CASE WHEN to_regclass(:table) IS NOT NULL THEN overnight.content_hash(to_regclass(:table), :columns) END")


def _check(connection: sa.Connection, number: str, batch: Mapping[str, Any]) -> str:
    found = connection.scalar(_HASH, {"table": batch["table"], "columns": batch["columns"]})
    if found == batch["hash"]:
        return ""
    return f"batch {number} holds {found or 'no rows'} and not {batch['hash']}"


def is_empty(connection: sa.Connection) -> bool:
    """Whether no pipeline was ever registered here."""
    if connection.scalar(sa.text("SELECT to_regclass('overnight.pipeline')")) is None:
        return True
    return not connection.scalar(sa.text("SELECT count(*) FROM overnight.pipeline"))


def nights_at_work(connection: sa.Connection) -> int:
    """How many locks of nights other sessions of this database hold."""
    return int(connection.scalar(sa.text(_LOCKS)) or 0)


_LOCKS = """
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid <> pg_backend_pid()
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


def prepare_restore(connection: sa.Connection) -> None:
    """What a restore needs and a dump of schemas does not carry, and what does no harm if the restore fails: the roles, and a
    place for the revision."""
    create_roles(connection)
    from alembic import command

    command.ensure_version(alembic_config(connection))


def clearing(connection: sa.Connection) -> str:
    """SQL that drops all that is Overnight's from this database."""
    names = ["reading", "overnight"]
    if connection.scalar(sa.text("SELECT to_regclass('overnight.pipeline')")) is not None:
        pipelines = list(connection.scalars(sa.text("SELECT name FROM overnight.pipeline")))
        names += [schema for name in pipelines for schema in (name, inner_schema(name))]
    with driver_cursor(connection) as cursor:
        drops = [
            sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE;").format(sql.Identifier(name)) for name in (*names, "reading", "overnight")
        ]
        return "\n".join(drop.as_string(cursor) for drop in drops)


def marking(connection: sa.Connection, revision: str) -> str:
    """SQL for the end of a restore: the revision, that nobody may make large objects (law 9), and a word to whoever has kept
    answers from before."""
    with driver_cursor(connection) as cursor:
        return sql.SQL(_MARKING).format(revision=sql.Literal(revision)).as_string(cursor)


_MARKING = """
DELETE FROM public.schema_version;
INSERT INTO public.schema_version VALUES ({revision});
DO $$ BEGIN
    REVOKE EXECUTE ON FUNCTION pg_catalog.lo_creat(integer), pg_catalog.lo_create(oid), pg_catalog.lo_from_bytea(oid, bytea)
        FROM PUBLIC;
EXCEPTION WHEN insufficient_privilege THEN NULL; END $$;
NOTIFY overnight, '{{"event": "restored"}}';
"""


@contextmanager
def scratch_database(url: str, name: str) -> Iterator[str]:
    """An empty database beside this one, gone afterwards; its URL. Needs a user who may make databases."""
    quoted = sql.Identifier(name)
    with translated_errors(), admin_engine(url, autocommit=True).connect() as connection:
        with driver_cursor(connection) as cursor:
            cursor.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(quoted))
        try:
            yield parse_url(url).set(database=name).render_as_string(hide_password=False)
        finally:
            with driver_cursor(connection) as cursor:
                cursor.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(quoted))
