"""How often may be asked, how long a question may be, and that whoever watches is never told to wait."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from bookkeeping import Ledger
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from test_access import bearer, issue, log_in  # noqa: F401  # a fixture, and how tokens are shown

from infra.settings import Settings
from web.app import create_app
from web.limits import Limiter, asker_of


@contextmanager
def web(settings: Settings, clock: Callable, *, closed: bool = False, peer: str = "testclient", **told: object) -> Iterator:
    app = create_app(settings.model_copy(update=told), now=clock, live=False, closed=closed)
    with TestClient(app, follow_redirects=False, raise_server_exceptions=False, client=(peer, 4000)) as client:
        yield client


@given(st.lists(st.floats(0, 5), max_size=200), st.integers(1, 600))
def test_no_span_of_time_gets_more_than_the_pace_and_one_burst(gaps: list[float], rate: int) -> None:
    limiter, now, let = Limiter(rate), 0.0, []
    for gap in gaps:
        now += gap
        let += [now] * (limiter.wait("a", now=now) == 0)
    burst = max(rate / 6, min(rate, 10))
    for first, start in enumerate(let):
        for last in range(first, len(let)):
            assert last - first + 1 <= burst + (let[last] - start) * rate / 60 + 1.001


def test_who_waits_as_long_as_told_is_answered_and_others_need_not_wait() -> None:
    limiter = Limiter(60)
    assert [limiter.wait("a", now=0.0) for _ in range(11)] == [0] * 10 + [1]
    assert limiter.wait("b", now=0.0) == 0
    assert limiter.wait("a", now=1.0) == 0
    assert Limiter(1).wait("a", now=0.0) == 0


def test_a_flood_of_addresses_takes_served_memory_and_forgets_the_quiet_ones_first() -> None:
    limiter = Limiter(1, most=100)
    limiter.wait("kept", now=0.0)
    for number in range(10_000):
        limiter.wait(number, now=0.0)
        limiter.wait("kept", now=0.0)
    assert len(limiter._due) == 100
    assert limiter.wait("kept", now=0.0) > 0


def test_a_household_of_ipv6_is_one_asker() -> None:
    assert asker_of("2001:db8::1") == asker_of("2001:db8:0:0:ffff::9%eth0") != asker_of("2001:db8:0:1::1")
    assert asker_of("::ffff:10.0.0.1") == asker_of("10.0.0.1") != asker_of("10.0.0.2")
    assert asker_of("unknown") == "unknown"


def test_who_asks_too_often_is_told_when_to_come_back_and_probes_are_answered(
    published: Ledger, settings: Settings, clock: Callable
) -> None:
    with web(settings, clock, web_rate=6) as client:
        assert {client.get("/api/v1/").status_code for _ in range(6)} == {200}
        refused = client.get("/api/v1/")
        assert (refused.status_code, refused.headers["content-type"]) == (429, "application/problem+json")
        assert 1 <= int(refused.headers["retry-after"]) <= 10
        assert refused.json()["detail"].startswith("One address may ask 6 times a minute; ask again in ")
        assert "<h1>" in client.get("/", headers={"Accept": "text/html"}).text
        for _ in range(20):
            for path in ("/healthz", "/readyz", "/metrics", "/static/overnight.css"):
                assert client.get(path).status_code == 200


def test_tokens_are_counted_apart_wherever_they_ask_from_and_by_whatever_way(
    settings: Settings, clock: Callable, issue: Callable  # noqa: F811
) -> None:  # fmt: skip
    one, two = issue(), issue()
    with web(settings, clock, closed=True, web_rate=20) as client:
        session = log_in(client, one)
        assert [client.get("/api/v1/", headers=shown).status_code for shown in [bearer(one), session] * 5] == [200] * 10
        assert client.get("/api/v1/", headers=bearer(one)).status_code == 429
        assert client.get("/api/v1/", headers=session).status_code == 429
        assert client.get("/api/v1/", headers=bearer(two)).status_code == 200


def test_whoever_tries_out_tokens_is_soon_told_to_wait_before_the_database_is_asked(
    settings: Settings, clock: Callable, issue: Callable, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:  # fmt: skip
    with web(settings, clock, closed=True, web_rate=6) as client:
        statuses = [client.get("/api/v1/", headers=bearer(f"ovn_{n}")).status_code for n in range(20)]
        assert statuses == [401] * 6 + [429] * 14
        asked = client.app.state.edge.reader  # type: ignore[attr-defined]
        monkeypatch.setattr(asked, "ask", lambda _: pytest.fail("the database was asked"))
        assert client.post("/login", data={"token": "ovn_x"}).status_code == 429


def test_behind_a_proxy_the_address_is_the_one_that_the_proxy_saw(published: Ledger, settings: Settings, clock: Callable) -> None:
    with web(settings, clock, web_rate=1, web_proxies="10.0.0.0/24", peer="10.0.0.7") as client:

        def status(told: str) -> int:
            return client.get("/api/v1/", headers={"X-Forwarded-For": told}).status_code

        assert [status("1.1.1.1"), status("2.2.2.2"), status("1.1.1.1"), status("3.3.3.3, 2.2.2.2, 10.0.0.9")] == [
            200, 200, 429, 429]  # fmt: skip
    with web(settings, clock, web_rate=1) as client:
        said = [client.get("/api/v1/", headers={"X-Forwarded-For": f"1.1.1.{n}"}).status_code for n in (1, 2)]
    assert said == [200, 429], "who is no proxy cannot name another address"


def test_an_open_loopback_is_not_counted_and_other_addresses_are(settings: Settings, clock: Callable) -> None:
    from web.app import open_limiter

    assert open_limiter(settings, closed=False) is None
    limiter = open_limiter(settings, closed=True)
    assert limiter is not None
    assert limiter.rate == 6000
    assert open_limiter(settings.model_copy(update={"web_rate": 0}), closed=True) is None


@pytest.mark.parametrize(("path", "body", "status"), [
    ("/api/v1/p/shops/rows?shop=" + "x" * 17_000, None, 414), ("/api/v1/" + "y" * 17_000, None, 414),
    ("/api/v1/", "z" * 66_000, 413), ("/login", "z" * 66_000, 413),
])  # fmt: skip
def test_a_question_that_is_too_long_is_not_read(client: TestClient, path: str, body: str | None, status: int) -> None:
    answer = client.request("POST" if body else "GET", path, content=body, headers={"Accept": "application/json"})
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.headers["connection"] == "close"


def talk(port: int, *parts: bytes) -> bytes:
    """What a connection answers to these bytes before it is closed."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
        try:
            for part in parts:
                line.sendall(part)
        except OSError:  # closed while more was sent
            pass
        said = b""
        try:
            while more := line.recv(65_536):
                said += more
        except OSError:
            pass
        return said


def test_headers_without_end_are_cut_off_and_so_is_a_body_that_nobody_announced(served: int) -> None:
    head = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
    endless = [b"X-%d: " % number + b"a" * 8000 + b"\r\n" for number in range(40)]
    assert talk(served, head, *endless).startswith(b"HTTP/1.1 431 ")
    assert talk(served, b"GET /" + b"a" * 400_000).startswith(b"HTTP/1.1 431 ")
    chunks = [b"%x\r\n" % 8000 + b"a" * 8000 + b"\r\n"] * 40
    assert len(talk(served, b"POST /login HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n", *chunks)) < 20_000
    two = talk(served, head + b"\r\n" + head + b"Connection: close\r\n\r\n")
    assert two.count(b"HTTP/1.1 200 ") == 2


def test_headers_that_never_come_whole_are_not_waited_for(served: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.protocol.HEAD_SECONDS", 0.2)
    assert talk(served, b"GET / HTTP/1.1\r\nHost: loc").startswith(b"HTTP/1.1 408 ")
    assert talk(served) == b""
