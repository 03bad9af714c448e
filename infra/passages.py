"""A passage to a night's source for a container that has no network: a socket that leads to the hosts it names, and nowhere else.

Outside it speaks as an HTTP proxy does: CONNECT for whatever is encrypted or no HTTP, whole addresses for the rest. Inside, the
container's own 127.0.0.1 leads to it: by the variables that HTTP clients heed, and for a database by an address of its own.
"""

import logging
import os
import socket
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import sqlalchemy as sa

from infra.doors import join, listening, pump, welcome

log = logging.getLogger("overnight.stage")
NAME = "passage"  # the socket's file
PASSAGE = "OVERNIGHT_PASSAGE"  # where a container finds it
_REFUSES = "its container may not reach"
PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306, "mariadb": 3306, "mssql": 1433, "oracle": 1521}
_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
_LONGEST_HEAD = 64 << 10
_CONNECTS_WITHIN = 60.0  # seconds


@dataclass(frozen=True, slots=True)
class Host:
    """Where a passage may lead; a name that begins with `*.` means every host of that domain."""

    name: str
    port: int

    @classmethod
    def of(cls, address: str, *, port: int = 0) -> "Host":
        """From `name:port`, a bracketed IPv6 address too; `port` where it names none. Raises ValueError when it is neither."""
        found = urlsplit(f"//{address}")
        return cls((found.hostname or "").lower(), found.port or port)

    def includes(self, other: "Host") -> bool:
        named = other.name.endswith(self.name[1:]) if self.name.startswith("*.") else other.name == self.name
        return named and other.port == self.port


@contextmanager
def open_passage(hosts: Collection[Host]) -> Iterator[Path]:
    """Yields the socket's file, which works as long as the block and this process do."""
    with listening(NAME, lambda guest: _serve(guest, hosts)) as path:
        yield path


def _serve(guest: socket.socket, hosts: Collection[Host]) -> None:
    with guest, suppress(OSError, ValueError):
        head = _read_head(guest)
        method, target, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
        there = Host.of(target) if method == "CONNECT" else Host.of(urlsplit(target).netloc.rpartition("@")[2], port=80)
        if not any(host.includes(there) for host in hosts):
            log.warning("a stage's container asked for %s:%s, and was refused", there.name, there.port)
            guest.sendall(_answer(403, f"{_REFUSES} {there.name}:{there.port}"))
            return
        try:
            host = socket.create_connection((there.name, there.port), timeout=_CONNECTS_WITHIN)
        except OSError as error:
            guest.sendall(_answer(502, f"{there.name}:{there.port} does not answer ({error})"))
            return
        with host:
            host.settimeout(None)
            if method == "CONNECT":
                guest.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                join(guest, host)
            else:
                _ask_once(guest, host, head)


def _read_head(peer: socket.socket) -> bytes:
    """Up to the empty line and whatever came with it. Raises ValueError when none comes."""
    head = b""
    while b"\r\n\r\n" not in head:
        more = peer.recv(4096)
        head += more
        if not more or len(head) > _LONGEST_HEAD:
            raise ValueError("no request")
    return head


def _ask_once(guest: socket.socket, host: socket.socket, head: bytes) -> None:
    """One request, as the host itself wants it, and its answer; then both know that the connection is over, so that whatever is
    asked next is looked at too."""
    method, target, version = head.split(b"\r\n", 1)[0].split(b" ", 2)
    path = urlsplit(target)._replace(scheme=b"", netloc=b"").geturl() or b"/"
    host.sendall(_closing(b" ".join((method, path, version)), head))
    asking = threading.Thread(target=pump, args=(guest, host), name="passage", daemon=True)
    asking.start()
    answer = _read_head(host)
    guest.sendall(_closing(answer.split(b"\r\n", 1)[0], answer))
    pump(host, guest)
    asking.join()


def _closing(first: bytes, head: bytes) -> bytes:
    """A head with this first line, which says that nothing follows on its connection."""
    lines, end, body = head.partition(b"\r\n\r\n")
    kept = [line for line in lines.split(b"\r\n")[1:] if not line.lower().startswith((b"connection:", b"keep-alive:", b"proxy-"))]
    return b"\r\n".join([first, *kept, b"Connection: close"]) + end + body


def _answer(status: int, text: str) -> bytes:
    """The sentence stands where HTTP has the reason, which clients show when a proxy opens no tunnel."""
    body = f"{text}\n".encode()
    head = (f"HTTP/1.1 {status} {text}", "Connection: close", f"Content-Length: {len(body)}")
    return "\r\n".join((*head, "", "")).encode() + body


def refusal_in(status: int | str, reason: str = "") -> str | None:
    """The passage's own sentence, where an answer, or what a client says of a proxy ("403 …"), is its refusal."""
    found = f"{status} {reason}".strip().removeprefix("403 ")
    return found if found.startswith(_REFUSES) else None


def use_passage() -> None:
    """In a container: whoever speaks HTTP goes through the passage, if there is one."""
    path = os.environ.get(PASSAGE)
    if path is not None:
        port = _lead(lambda guest: _pass_on(guest, path))
        os.environ.update(dict.fromkeys(_VARIABLES, f"http://127.0.0.1:{port}"))


def through_passage(address: sa.URL) -> sa.URL:
    """A database's address as it is reached from here: through the passage, in a container that has one. A Postgres keeps the
    name that its certificate is compared with."""
    path = os.environ.get(PASSAGE)
    if path is None or not address.host:
        return address
    there = Host(address.host.lower(), address.port or PORTS.get(address.get_backend_name(), 0))
    port = _lead(lambda guest: _pass_on(guest, path, there=there))
    if address.get_backend_name() == "postgresql":
        return address.set(port=port).update_query_dict({"hostaddr": "127.0.0.1"})
    return address.set(host="127.0.0.1", port=port)


def _lead(serve: Callable[[socket.socket], None]) -> int:
    """A port of this machine's own, served as long as this process lives."""
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=welcome, args=(listener, serve, threading.Event()), name="passage", daemon=True).start()
    return int(listener.getsockname()[1])


def _pass_on(guest: socket.socket, path: str, *, there: Host | None = None) -> None:
    with guest, socket.socket(socket.AF_UNIX) as outside, suppress(OSError, ValueError):
        outside.connect(path)
        if there is not None:
            name = f"[{there.name}]" if ":" in there.name else there.name
            outside.sendall(f"CONNECT {name}:{there.port} HTTP/1.1\r\n\r\n".encode())
            if b" 200 " not in _read_head(outside).split(b"\r\n", 1)[0]:
                return
        join(guest, outside)
