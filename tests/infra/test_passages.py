"""A passage leads to the hosts that it was opened for, in each way in which a source is asked, and to no other."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from infra.doors import join, welcome
from infra.passages import PASSAGE, Host, open_passage, through_passage, use_passage
from infra.postgres import Postmaster
from store.engine import parse_url


class Shop(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        rows = f"rows of {self.path} at {self.headers['Host']}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(rows)))
        self.end_headers()
        self.wfile.write(rows)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def shop() -> Iterator[Host]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Host("127.0.0.1", server.server_port)
    server.shutdown()
    server.server_close()


@pytest.fixture
def inside(shop: Host, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """As in a container whose passage leads to the shop."""
    with open_passage([shop]) as path:
        monkeypatch.setenv(PASSAGE, str(path))
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
            monkeypatch.setenv(name, "")
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        use_passage()
        yield path


def test_pages_come_through_one_after_the_other(inside: Path, shop: Host) -> None:
    with httpx.Client() as client:
        for page in ["/1", "/2?of=3"] * 20:
            address = f"http://{shop.name}:{shop.port}{page}"
            assert client.get(address).text == f"rows of {page} at {shop.name}:{shop.port}"


@pytest.mark.parametrize("address", ["http://127.0.0.1:{other}/", "http://example.com/", "http://127.0.0.1.example.com:{port}/"])
def test_another_host_and_another_port_are_refused(inside: Path, shop: Host, address: str) -> None:
    found = httpx.get(address.format(port=shop.port, other=shop.port + 1))
    assert (found.status_code, "may not reach" in found.text) == (403, True)


def test_what_is_encrypted_goes_through_a_tunnel_to_the_named_host_alone(inside: Path, shop: Host) -> None:
    with pytest.raises(httpx.ProxyError, match="403"):
        httpx.get("https://example.com/")
    with pytest.raises(httpx.ConnectError, match=r"(?i)ssl|tls"):  # it got as far as the shop, which speaks no TLS
        httpx.get(f"https://{shop.name}:{shop.port}/")


def test_a_domain_means_its_hosts_on_one_port() -> None:
    named = Host("*.example.com", 443)
    assert named.includes(Host("nights.example.com", 443))
    for other in (
        Host("example.com", 443),
        Host("badexample.com", 443),
        Host("nights.example.com", 80),
        Host("x.example.org", 443),
    ):
        assert not named.includes(other)


def test_a_host_that_does_not_answer_is_told_from_one_that_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as nobody:
        port = nobody.getsockname()[1]
    with open_passage([Host("127.0.0.1", port)]) as path, socket.socket(socket.AF_UNIX) as guest:
        guest.connect(str(path))
        guest.sendall(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n".encode())
        assert guest.recv(4096).startswith(b"HTTP/1.1 502")


@pytest.mark.parametrize("noise", [b"\r\n\r\n", b"CONNECT\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"x" * 70_000])
def test_noise_is_no_way_through(inside: Path, noise: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as guest:
        guest.connect(str(inside))
        guest.settimeout(10)
        guest.sendall(noise)
        guest.shutdown(socket.SHUT_WR)
        try:
            said = guest.recv(4096)
        except ConnectionResetError:
            said = b""
    assert said == b"" or said.startswith(b"HTTP/1.1 403")


def test_a_postgres_answers_through_the_passage_under_its_own_name(
    server: Postmaster, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def serve(guest: socket.socket) -> None:
        with guest, socket.socket(socket.AF_UNIX) as postgres:
            postgres.connect(f"{server.socket_folder}/.s.PGSQL.{server.port}")
            join(guest, postgres)

    listener = socket.create_server(("127.0.0.1", 0))
    port, done = listener.getsockname()[1], threading.Event()
    threading.Thread(target=welcome, args=(listener, serve, done), daemon=True).start()
    name = parse_url(database).database
    address = make_url(f"postgresql+psycopg2://postgres:none@localhost:{port}/{name}")
    with closing(listener), open_passage([Host("localhost", port)]) as path:
        monkeypatch.setenv(PASSAGE, str(path))
        led = through_passage(address)
        assert (led.host, led.query["hostaddr"], led.port != port) == ("localhost", "127.0.0.1", True)
        engine = sa.create_engine(led, poolclass=sa.NullPool)
        with engine.connect() as connection:
            assert connection.scalar(sa.text("SELECT sum(x) FROM generate_series(1, 1000) x")) == 500_500
        elsewhere = through_passage(address.set(host="db.example.com"))
        with pytest.raises(sa.exc.OperationalError), sa.create_engine(elsewhere, poolclass=sa.NullPool).connect():
            pass
    done.set()


def test_outside_of_a_container_addresses_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PASSAGE, raising=False)
    address = make_url("mysql+pymysql://me:secret@db.example.com/shop")
    assert through_passage(address) == address
