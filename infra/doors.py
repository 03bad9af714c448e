"""A door to Postgres for one stage's container: a socket of its own, which lets in one role to one database, or to those named.

The container needs no network, cannot ask for another role's session (the embedded server believes whoever it hears), and
loses its sessions at once when the process that opened the door is gone.
"""

import logging
import shutil
import socket
import struct
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger("overnight.stage")
SOCKET_NAME = ".s.PGSQL.5432"
# https://www.postgresql.org/docs/current/protocol-message-formats.html: StartupMessage, SSLRequest, GSSENCRequest, ErrorResponse
_PROTOCOL_3, _ENCRYPTION_REQUESTS = 3, (80877103, 80877104)
_LONGEST_STARTUP = 10_000
_CHUNK = 1 << 18


@dataclass(frozen=True, slots=True)
class Door:
    """Where the door leads, and who may pass; `also` is a second database, where the source is one beside the ledger."""

    target: str | tuple[str, int]
    user: str
    database: str
    also: str = ""


@contextmanager
def open_door(door: Door) -> Iterator[Path]:
    """Yields the socket's file, which exists, and works, as long as the block and this process do."""
    with listening(SOCKET_NAME, lambda guest: _serve(guest, door)) as path:
        yield path


@contextmanager
def listening(name: str, serve: Callable[[socket.socket], None]) -> Iterator[Path]:
    """A socket's file in a folder of its own; each guest is served in a thread."""
    folder = Path(tempfile.mkdtemp(prefix="overnight-door-"))
    path = folder / name
    listener = socket.socket(socket.AF_UNIX)
    closing = threading.Event()
    try:
        listener.bind(str(path))
        path.chmod(0o666)  # the container's user is another one; the folder around it is closed
        listener.listen(16)
        listener.settimeout(0.2)
        threading.Thread(target=welcome, args=(listener, serve, closing), name="door", daemon=True).start()
        yield path
    finally:
        closing.set()
        listener.close()
        shutil.rmtree(folder, ignore_errors=True)


def welcome(listener: socket.socket, serve: Callable[[socket.socket], None], closing: threading.Event) -> None:
    """Serves whoever comes, in threads, until `closing` is set or the listener is closed."""
    while not closing.is_set():
        try:
            guest, _ = listener.accept()
        except TimeoutError:
            continue
        except OSError:
            return
        guest.settimeout(None)
        threading.Thread(target=serve, args=(guest,), name="door", daemon=True).start()


def _serve(guest: socket.socket, door: Door) -> None:
    with guest, suppress(OSError, ValueError):
        startup = _read_startup(guest)
        asked = _parameters(startup)
        user, database = asked.get("user", ""), asked.get("database", asked.get("user", ""))
        if user != door.user or database not in (door.database, door.also or door.database):
            log.warning("a stage's container asked for a session of %s in %s, and was refused", user, database)
            guest.sendall(_refusal(f"this stage may act as {door.user} in {door.database}, and as nobody else"))
            return
        with _connect(door.target) as host:
            host.sendall(startup)
            join(guest, host)


def _connect(target: str | tuple[str, int]) -> socket.socket:
    if isinstance(target, tuple):
        return socket.create_connection(target, timeout=None)
    host = socket.socket(socket.AF_UNIX)
    host.connect(target)
    return host


def _read_startup(guest: socket.socket) -> bytes:
    """The first message that asks for a session; what asks for encryption, which no socket needs, is told no.

    Raises ValueError for anything else: a request to cancel, or noise.
    """
    while True:
        head = _read_exactly(guest, 8)
        length, code = struct.unpack("!II", head)
        if code in _ENCRYPTION_REQUESTS and length == 8:
            guest.sendall(b"N")
            continue
        if code >> 16 != _PROTOCOL_3 or not 8 < length <= _LONGEST_STARTUP:
            raise ValueError("no startup message")
        return head + _read_exactly(guest, length - 8)


def _read_exactly(guest: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = guest.recv(size - len(data))
        if not more:
            raise ValueError("the other side went away")
        data += more
    return data


def _parameters(startup: bytes) -> dict[str, str]:
    """Names and values, each ended by a zero byte. A name that stands twice is refused: the server would take the last."""
    words = startup[8:].rstrip(b"\0").split(b"\0")
    names = words[0::2]
    if len(set(names)) != len(names):
        raise ValueError("a parameter stands twice")
    return {name.decode(): value.decode() for name, value in zip(names, words[1::2], strict=False)}


def _refusal(text: str) -> bytes:
    fields = b"".join(kind + value.encode() + b"\0" for kind, value in ((b"S", "FATAL"), (b"C", "28000"), (b"M", text))) + b"\0"
    return b"E" + struct.pack("!I", len(fields) + 4) + fields


def join(one: socket.socket, other: socket.socket) -> None:
    """Passes bytes on in both directions, until either side ends."""
    back = threading.Thread(target=pump, args=(other, one), name="door", daemon=True)
    back.start()
    pump(one, other)
    back.join()


def pump(source: socket.socket, sink: socket.socket) -> None:
    """Passes bytes on until one side ends, then tells the other."""
    buffer = bytearray(_CHUNK)
    view = memoryview(buffer)
    with suppress(OSError):
        while size := source.recv_into(buffer):
            sink.sendall(view[:size])
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
