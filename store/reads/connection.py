"""The readers' pool: read-only sessions of the reader role, and the driver's errors in Overnight's words.

psycopg 3 and not SQLAlchemy, which costs half as much again per request (docs/reference/web.md).
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg import sql
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool, PoolTimeout

from domain.errors import DatabaseUnavailable, Pruned, Refused, UsageError

Row = dict[str, Any]
Connection = psycopg.Connection[Row]
Parameters = Sequence[Any] | Mapping[str, Any] | None
Answer = TypeVar("Answer")

_OPTIONS = {
    "default_transaction_read_only": "on",
    "timezone": "UTC",
    "search_path": "pg_catalog",
    "lock_timeout": "2s",
    "idle_in_transaction_session_timeout": "30s",
    "jit": "off",  # because it costs more than these statements take
    # A page far down begins in the middle of a batch's predictions; to merge their inputs, those would be read from the first on.
    "enable_mergejoin": "off",
}
# A host that is gone says nothing: after about fifteen seconds its sessions are lost. A Unix socket needs and heeds none.
_KEEPALIVES = {"keepalives_idle": 5, "keepalives_interval": 3, "keepalives_count": 3, "tcp_user_timeout": 10_000}


class TooSlow(Refused):
    """The question took longer than readers may keep the database."""


def connection_arguments(url: str, *, role: str | None, seconds: float, name: str = "overnight web") -> dict[str, Any]:
    """What libpq needs to open a reader's session; `role` is acted as when the URL's own user is somebody else."""
    options = {**_OPTIONS, "statement_timeout": f"{seconds * 1000:.0f}"} | ({"role": role} if role else {})
    return {
        "conninfo": re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql://", url),
        "options": " ".join(f"-c {key}={value}" for key, value in options.items()),
        "application_name": name,
        "connect_timeout": 5,
        **_KEEPALIVES,
    }


class Reader:
    """A pool of reader's sessions. Opening one connects to nothing: a web that starts before its database still serves."""

    def __init__(self, url: str, *, role: str | None = None, size: int = 8, seconds: float = 5.0) -> None:
        self._arguments = connection_arguments(url, role=role, seconds=seconds)
        arguments = dict(self._arguments)
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            arguments.pop("conninfo"), min_size=1, max_size=size, timeout=3.0, max_waiting=200, open=False, name="readers",
            kwargs={**arguments, "autocommit": True, "row_factory": dict_row}, connection_class=psycopg.Connection[Row],
            reconnect_timeout=0.5,  # by itself it would try ever more seldom; so every question that waits tries anew
        )  # fmt: skip

    def open(self) -> None:
        self._pool.open(wait=False)

    def close(self) -> None:
        self._pool.close(timeout=1.0)

    def ask(self, question: Callable[[Connection], Answer]) -> Answer:
        """Answers with a connection in autocommit: for one statement, which sees one moment by itself.

        A session that Postgres had closed meanwhile (a restart) is replaced, and the question asked once more.
        """
        with translated_errors():
            try:
                with self._pool.connection() as connection:
                    return question(connection)
            except PoolTimeout:
                raise
            except psycopg.OperationalError as error:
                if error.sqlstate is not None and not error.sqlstate.startswith(("57P", "08")):
                    raise
                self._pool.check()
                with self._pool.connection() as connection:
                    return question(connection)

    def ask_at_once(self, question: Callable[[Connection], Answer]) -> Answer:
        """Answers several statements from one moment of the database, so that nothing of two publications is mixed."""

        def within(connection: Connection) -> Answer:
            with connection.transaction():
                connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                return question(connection)

        return self.ask(within)

    @contextmanager
    def apart(self, *, seconds: float, name: str = "overnight web") -> Iterator[Connection]:
        """A session of its own, outside the pool, for an export or for LISTEN; closed, and its work ended, on leaving."""
        with translated_errors():
            connection = self.connect(seconds, name=name, whole=True)
            try:
                yield connection
            finally:
                connection.close()

    def connect(self, seconds: float, *, name: str = "overnight web", whole: bool = False) -> Connection:
        """A session that is the caller's to close, planned for pages, or for batches as a `whole`; raises what psycopg raises."""
        arguments = {**self._arguments, "application_name": name}
        merging = "on" if whole else "off"
        options = f"{arguments.pop('options')} -c statement_timeout={seconds * 1000:.0f} -c enable_mergejoin={merging}"
        return psycopg.connect(arguments.pop("conninfo"), options=options, autocommit=True, row_factory=dict_row, **arguments)


def fetch(connection: Connection, statement: sql.Composed | sql.SQL | str, parameters: Parameters = None) -> list[Row]:
    query = statement.encode() if isinstance(statement, str) else statement
    return connection.execute(query, parameters).fetchall()


def fetch_one(connection: Connection, statement: sql.Composed | sql.SQL, parameters: Parameters = None) -> Row | None:
    return connection.execute(statement, parameters).fetchone()


@contextmanager
def translated_errors() -> Iterator[None]:
    """What the driver raises, as DatabaseUnavailable, TooSlow or UsageError; everything else passes."""
    try:
        yield
    except psycopg.errors.QueryCanceled as error:
        raise TooSlow("the question took too long for the database; ask for fewer rows or one night") from error
    except psycopg.DataError as error:
        raise UsageError(f"the database cannot read a value of the question ({_first_line(error)})") from error
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName, psycopg.errors.UndefinedColumn,
            psycopg.errors.InsufficientPrivilege) as error:  # fmt: skip
        raise DatabaseUnavailable(
            f"the database is not as this version expects it ({_first_line(error)})", hint="overnight db migrate"
        ) from error
    except psycopg.OperationalError as error:
        raise DatabaseUnavailable("Postgres does not answer", hint="overnight doctor") from error
    except psycopg.DatabaseError as error:
        if error.sqlstate == "OV008":
            raise Pruned(_first_line(error)) from error
        raise


def _first_line(error: psycopg.Error) -> str:
    return (str(error).strip().splitlines() or ["no message"])[0][:200]
