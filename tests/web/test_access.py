"""Who is let in, what a token may see, and what it may not: on a web that asks for tokens."""

import logging
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg2
import pytest
import sqlalchemy as sa
from bookkeeping import Ledger
from fastapi import FastAPI
from fastapi.testclient import TestClient

from domain.errors import UsageError
from domain.secrets import hash_secret
from infra.settings import Settings
from store.engine import transaction
from store.pipelines import register
from store.tokens import issue_token, list_tokens, revoke_token
from tests.patience import quickest, wait_for
from web.app import create_app
from web.sessions import Sessions, open_sessions

CLOSED = [
    "/", "/p/shops", "/p/shops/rows", "/p/shops/2024-01-04", "/p/shops/2024-01-04/verdict", "/p/shops/models/1",
    "/search?q=shops", "/p/shops/key/s000003",
    "/p/shops/rows.csv", "/p/shops/rows.ndjson", "/p/shops/latest.csv", "/p/shops/feed.atom", "/events",
    "/metrics", "/openapi.json", "/docs", "/docs/answers", "/api/v1/", "/api/v1/p/shops", "/api/v1/p/shops/rows",
    "/p/shops/scoreboard", "/api/v1/p/shops/champion", "/api/v1/p/shops/latest.csv", "/nothing", "//healthz", "/healthz/",
    "/login/", "/api/v1/%2e%2e/%2e%2e/healthz", "/static%2f..%2f..", "/healthz%00", "/HEALTHZ", "/static", "/staticx",
]  # fmt: skip


@pytest.fixture
def issue(owner: sa.Engine, published: Ledger) -> Callable[..., str]:
    """A new token's secret; `two` and `shops` are pipelines."""
    register(owner, published.definition.pipeline.model_copy(update={"name": "two", "title": "The second"}), expectations=[])

    def make(*pipelines: str, expires_at: datetime | None = None) -> str:
        with transaction(owner) as connection:
            return issue_token(connection, "a test's", pipelines=pipelines or None, expires_at=expires_at, who="tests")[1]

    return make


@pytest.fixture
def app(settings: Settings, clock: Callable) -> FastAPI:
    return create_app(settings, now=clock, closed=True)


@pytest.fixture
def door(app: FastAPI, issue: Callable) -> Iterator[TestClient]:
    """A web that asks for tokens, listens and keeps answers."""
    with TestClient(app, follow_redirects=False, raise_server_exceptions=False) as client:
        wait_for(lambda: app.state.pulse.connected)
        yield client


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def log_in(door: TestClient, secret: str, **headers: str) -> dict[str, str]:
    """The header with which a browser comes back after logging in."""
    told = door.post("/login", data={"token": secret}, headers=headers).headers["set-cookie"]
    door.cookies.clear()
    return {"Cookie": told.split(";")[0]}


def revoke_all(owner: sa.Engine) -> None:
    with transaction(owner) as connection:
        for one in list_tokens(connection):
            if one.revoked_at is None:
                revoke_token(connection, one.id)


def test_without_a_token_every_answer_is_a_401_and_says_nothing(door: TestClient) -> None:
    for path in CLOSED:
        for accept in ("text/html", "application/json", "*/*"):
            answer = door.get(path, headers={"Accept": accept, "If-None-Match": "*"})
            assert answer.status_code == 401, (path, accept, answer.status_code)
            assert "shops" not in answer.text.replace(f'name="then" value="{path}"', ""), path
            assert answer.headers["cache-control"] == "no-store"
            assert "overnight-trust" not in answer.headers
            if accept != "text/html" or path.startswith("/api/"):
                assert answer.json()["detail"].startswith("Reading needs a token")
                assert answer.headers["www-authenticate"].startswith("Bearer")
            else:
                assert 'action="/login"' in answer.text
    assert {door.get(path).status_code for path in ("/healthz", "/readyz", "/login", "/static/overnight.css")} == {200}
    assert "pipelines" not in door.get("/readyz").text


@pytest.mark.parametrize("shown", [
    "Bearer", "Bearer ", "Bearer x", "bearer ovn_", "Basic !!!", "Basic " + b64encode(b"\xff\xfe").decode(), "Digest a", "",
    "Bearer " + "x" * 5000, "Bearer ovn_\xe9", "Bearer ' OR 1=1 --", "Basic " + b64encode(b"overnight:").decode(), "Bearer None",
])  # fmt: skip
def test_what_is_no_token_opens_nothing(door: TestClient, issue: Callable, shown: str) -> None:
    secret = issue()
    header = {"Authorization": shown.encode("latin-1")}
    assert door.get("/api/v1/", headers=header).status_code == 401
    assert door.get("/api/v1/", headers={**header, **log_in(door, secret)}).status_code == 401


def test_a_token_opens_as_bearer_as_password_and_as_session_and_never_in_an_address(door: TestClient, issue: Callable) -> None:
    secret = issue()
    basic = {"Authorization": "Basic " + b64encode(f"anyone:{secret}".encode()).decode()}
    for headers in (bearer(secret), basic, log_in(door, secret)):
        assert door.get("/api/v1/p/shops/rows", headers=headers).status_code == 200
    assert door.get("/api/v1/", headers={"Cookie": f"overnight={secret}"}).status_code == 401, "a cookie holds no token"
    assert door.get(f"/api/v1/?token={secret}&access_token={secret}").status_code == 401


def test_who_logs_in_gets_a_cookie_that_scripts_cannot_read_and_is_sent_on_to_this_web_alone(
    door: TestClient, issue: Callable
) -> None:
    secret = issue()
    wrong = door.post("/login", data={"token": secret[:-1] + "!", "then": "/p/shops"})
    assert (wrong.status_code, "set-cookie" in wrong.headers) == (401, False)
    assert "mistyped, expired or revoked" in wrong.text
    for then, goes in {"/p/shops?a=b": "/p/shops?a=b", "//evil.example": "/", "/\\evil.example": "/", "https://evil.example": "/",
                       "/x\r\nSet-Cookie: a=b": "/", "javascript:alert(1)": "/", "": "/"}.items():  # fmt: skip
        answer = door.post("/login", data={"token": f" {secret}\n", "then": then}, headers={"Origin": "http://testserver"})
        assert (answer.status_code, answer.headers["location"]) == (303, goes)
    assert {"HttpOnly", "SameSite=lax", "Path=/", "Max-Age=2592000"} <= set(answer.headers["set-cookie"].split("; "))
    assert "Secure" not in answer.headers["set-cookie"]
    assert door.get("/p/shops", headers={"Accept": "text/html"}).status_code == 200
    out = door.post("/logout", headers={"Origin": "http://testserver"})
    assert "Max-Age=0" in out.headers["set-cookie"]
    assert door.get("/p/shops").status_code == 401


@pytest.mark.parametrize("headers", [
    {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": "http://testserver.evil.example"}, {"Origin": "http://[x"},
    {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site", "Origin": "http://testserver"},
])  # fmt: skip
def test_another_page_cannot_log_anybody_in_or_out(door: TestClient, issue: Callable, headers: dict[str, str]) -> None:
    answer = door.post("/login", data={"token": issue()}, headers=headers)
    assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)
    assert "set-cookie" not in door.post("/logout", headers=headers).headers


@pytest.mark.parametrize(
    "body", [b"", b"token", b"token=" + b"x" * 10_000, b"\xff\xfe=\x00", b"&" * 3000, b"%zz=%", b'{"token": 1}']
)
def test_a_form_that_is_none_is_no_login_and_no_fault(door: TestClient, body: bytes) -> None:
    assert door.post("/login", content=body).status_code == 401


def test_a_scoped_token_sees_its_pipelines_and_others_are_none(door: TestClient, issue: Callable) -> None:
    one, two = bearer(issue("shops")), bearer(issue("two"))
    for path in ("", "/rows", "/2024-01-04", "/2024-01-04/verdict", "/key/s000003", "/models/1", "/scoreboard", "/rows.csv",
                 "/latest.ndjson", "/feed.atom"):  # fmt: skip
        assert door.get(f"/p/shops{path}", headers=one).status_code == 200, path
        for start in ("/p/shops", "/api/v1/p/shops"):
            hidden = door.get(start + path, headers=two)
            unknown = door.get(start.replace("shops", "shoppe") + path, headers=two)
            assert hidden.status_code == unknown.status_code == (422 if start + path == "/api/v1/p/shops/feed.atom" else 404), (
                path
            )
            assert hidden.text.replace("shops", "shoppe") == unknown.text, path
            assert "overnight-trust" not in hidden.headers
    assert [line["pipeline"] for line in door.get("/api/v1/", headers=two).json()["pipelines"]] == ["two"]
    for path in ("/", "/search?q=shops", "/search?q=s000003", "/search?q=shops+2024-01-04", "/metrics", "/readyz"):
        said = door.get(path, headers=two)
        assert said.status_code == 200, path
        assert "/p/shops" not in said.text, path  # a search says again what was typed
        assert path.startswith("/search") or "shops" not in said.text, path
        assert "shops" not in said.headers.get("overnight-trust", "")
    assert 'pipeline="shops"' in door.get("/metrics", headers=one).text


def test_what_is_kept_for_one_scope_is_never_given_to_another(door: TestClient, issue: Callable) -> None:
    scopes = [bearer(issue()), bearer(issue("shops")), bearer(issue("two")), bearer(issue("two", "shops"))]
    for _ in range(3):
        seen = [{line["pipeline"] for line in door.get("/api/v1/", headers=one).json()["pipelines"]} for one in scopes]
        assert seen == [{"shops", "two"}, {"shops"}, {"two"}, {"shops", "two"}]
        assert [door.get("/p/shops", headers=one).status_code for one in scopes] == [200, 200, 404, 200]
        assert door.get("/p/shops").status_code == 401
    tag = door.get("/p/shops", headers=scopes[0]).headers["etag"]
    assert [door.get("/p/shops", headers={**one, "If-None-Match": tag}).status_code for one in scopes] == [304, 304, 404, 304]
    assert door.get("/p/shops", headers={"If-None-Match": tag}).status_code == 401


def test_a_revoked_token_opens_nothing_within_a_second_though_its_answers_are_kept(
    door: TestClient, issue: Callable, owner: sa.Engine
) -> None:
    def revoke() -> Callable[[], bool]:
        secret = issue()
        assert {door.get("/p/shops", headers=bearer(secret)).status_code for _ in range(3)} == {200}
        revoke_all(owner)
        return lambda: door.get("/p/shops", headers=bearer(secret)).status_code == 401

    assert quickest(revoke, enough=1) < 1
    with pytest.raises(UsageError, match="no token"), transaction(owner) as connection:
        revoke_token(connection, 1)


def test_a_session_is_not_the_token_and_ends_with_it_at_once(door: TestClient, issue: Callable, owner: sa.Engine) -> None:
    secret = issue()
    cookie = log_in(door, secret)
    value = cookie["Cookie"].partition("=")[2]
    assert secret.removeprefix("ovn_") not in value
    assert {door.get("/p/shops", headers=cookie).status_code for _ in range(3)} == {200}
    for shown in (bearer(value), {"Authorization": "Basic " + b64encode(f"a:{value}".encode()).decode()}):
        assert door.get("/p/shops", headers=shown).status_code == 401, "a session is no token"
    revoke_all(owner)
    wait_for(lambda: door.get("/p/shops", headers=cookie).status_code == 401)  # as soon as the token, which the test above times


def test_a_session_that_was_changed_or_signed_with_another_key_or_has_ended_is_none(
    door: TestClient, issue: Callable, clock: Callable
) -> None:
    secret = issue()
    cookie = log_in(door, secret)["Cookie"]
    forged = Sessions(b"a key of somebody else's").write(hash_secret(secret), clock() + timedelta(days=1))
    assert door.get("/p/shops", headers={"Cookie": f"overnight={forged}"}).status_code == 401
    for at in range(len("overnight="), len(cookie), 7):
        changed = cookie[:at] + ("A" if cookie[at] != "A" else "B") + cookie[at + 1 :]
        assert door.get("/p/shops", headers={"Cookie": changed}).status_code == 401, at
    clock.now += timedelta(days=30)  # type: ignore[attr-defined]
    assert door.get("/p/shops", headers={"Cookie": cookie}).status_code == 401


def test_sessions_outlive_the_process_and_their_key_is_the_owner_s_alone(settings: Settings, clock: Callable) -> None:
    path = settings.home / "web.key"
    ends = clock() + timedelta(hours=1)
    written = open_sessions(settings).write(b"h" * 32, ends)
    assert path.stat().st_mode & 0o777 == 0o600
    assert open_sessions(settings).read(written, clock()) == b"h" * 32
    assert open_sessions(settings).read(written, ends) is None
    told = settings.model_copy(update={"web_key": "x" * 32})
    assert open_sessions(told).read(written, clock()) is None
    path.chmod(0o640)
    with pytest.raises(UsageError, match="can be read by others"):
        open_sessions(settings)
    with pytest.raises(UsageError, match="shorter than 32"):
        open_sessions(settings.model_copy(update={"web_key": "short"}))
    shut = settings.model_copy(update={"home": Path("/proc/nowhere")})
    assert open_sessions(shut).read(open_sessions(shut).write(b"h" * 32, ends), clock()) is None, "a key of each process's own"


def test_a_token_ends_at_its_moment(door: TestClient, issue: Callable, clock: Callable) -> None:
    secret = issue(expires_at=clock.now + timedelta(hours=2))  # type: ignore[attr-defined]
    assert door.get("/p/shops", headers=bearer(secret)).status_code == 200
    assert "Max-Age=7200" in door.post("/login", data={"token": secret}).headers["set-cookie"]
    door.cookies.clear()
    clock.now += timedelta(hours=2)  # type: ignore[attr-defined]
    assert door.get("/p/shops", headers=bearer(secret)).status_code == 401


def test_the_ledger_keeps_the_hash_and_the_day_and_readers_see_no_token(
    door: TestClient, issue: Callable, owner: sa.Engine, role_url: Callable, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = issue()
    door.get("/p/shops", headers=bearer(secret))
    door.post("/login", data={"token": secret})
    with transaction(owner) as connection:
        kept = connection.execute(sa.text("SELECT to_jsonb(t)::text FROM overnight.token t")).scalar_one()
    assert secret not in kept + caplog.text
    for question in ("SELECT * FROM overnight.token", "UPDATE overnight.token SET name = 'x'", "DELETE FROM overnight.token"):
        with psycopg2.connect(role_url("reader")) as session, session.cursor() as cursor, pytest.raises(psycopg2.Error):
            cursor.execute(question)


@pytest.mark.parametrize("change", ["name = 'x'", "pipelines = '{two}'", "expires_at = NULL", "secret_hash = sha256('x')"])
def test_a_token_cannot_be_widened_by_its_owner(owner: sa.Engine, issue: Callable, change: str) -> None:
    issue("shops", expires_at=datetime(2024, 6, 1, tzinfo=UTC))
    with pytest.raises(Exception, match="can only be revoked"), transaction(owner) as connection:
        connection.execute(sa.text(f"UPDATE overnight.token SET {change}"))


def behind(settings: Settings, clock: Callable, *, peer: str, header: str | None = "X-User") -> TestClient:
    told = settings.model_copy(update={"web_proxies": "10.0.0.7, 192.168.4.0/24", "web_trust_header": header, "web_tokens": True})
    return TestClient(create_app(told, now=clock, live=False), follow_redirects=False, client=(peer, 4000))


def test_a_proxy_is_believed_by_its_address_and_nobody_else(settings: Settings, clock: Callable, issue: Callable) -> None:
    peers = {"10.0.0.7": 200, "192.168.4.9": 200, "10.0.0.8": 401, "127.0.0.1": 401, "::1": 401, "testclient": 401}
    for peer, status in peers.items():
        with behind(settings, clock, peer=peer) as client:
            said = {"X-User": "ann", "X-Forwarded-For": "10.0.0.7", "X-Real-IP": "10.0.0.7", "Forwarded": "for=10.0.0.7"}
            assert client.get("/api/v1/", headers=said).status_code == status, peer
    with behind(settings, clock, peer="10.0.0.7") as client:
        for named in ([], [("X-User", "")], [("X-User", " ")], [("X-User", "ann"), ("X-User", "root")], [("X-Users", "ann")]):
            assert client.get("/api/v1/", headers=named).status_code == 401, named
        assert client.get("/api/v1/", headers={"X-User": "ann", "Authorization": "Bearer x"}).status_code == 401


def test_over_https_the_cookie_is_secure_and_bound_to_its_host(settings: Settings, clock: Callable, issue: Callable) -> None:
    secret, https = issue(), {"X-Forwarded-Proto": "https"}
    with behind(settings, clock, peer="10.0.0.7", header=None) as client:
        cookie = client.post("/login", data={"token": secret}, headers=https).headers["set-cookie"]
        assert cookie.startswith("__Host-overnight=")
        assert "Secure" in cookie
        value = cookie.split(";")[0].partition("=")[2]
        client.cookies.clear()
        assert client.get("/api/v1/", headers={**https, "Cookie": f"overnight={value}"}).status_code == 401
        assert client.get("/api/v1/", headers={**https, "Cookie": f"__Host-overnight={value}"}).status_code == 200
        feed = client.get("/p/shops/feed.atom", headers={**https, **bearer(secret)})
        assert 'href="https://testserver/p/shops"' in feed.text


@pytest.mark.parametrize(("changed", "says"), [
    ({"web_trust_header": "X-User"}, "would believe everybody"),
    ({"web_trust_header": "X-User: a", "web_proxies": "10.0.0.1"}, "is no header's name"),
    ({"web_proxies": "10.0.0.1,nginx"}, "OVERNIGHT_WEB_PROXIES"),
])  # fmt: skip
def test_a_trust_that_cannot_be_meant_is_refused_at_the_start(settings: Settings, changed: dict, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        create_app(settings.model_copy(update=changed))


def test_other_addresses_are_not_listened_on_while_nobody_could_be_let_in(role_url: Callable, database: str, tmp_path) -> None:
    command = [sys.executable, "-m", "web", "--host", "0.0.0.0", "--port", "1"]
    environment = {"OVERNIGHT_READER_URL": role_url("reader"), "OVERNIGHT_DATABASE_URL": database, "PATH": ""}
    told = {**environment, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, env=told, cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 2
    assert "no token that would let anybody in" in done.stderr


def test_a_stream_is_of_the_token_s_pipelines_and_ends_with_it(
    door: TestClient, app: FastAPI, issue: Callable, owner: sa.Engine, ledger: Ledger
) -> None:
    from store.reads.pulse import Beat
    from web.access import Guest
    from web.events import _may_hear

    guest, runs = Guest("a", frozenset({"shops"})), set[int]()
    heard = [_may_hear(guest, beat, runs) for beat in (
        Beat(1, "run", {"pipeline": "two", "id": 5}), Beat(2, "stage_run", {"run": 5}),
        Beat(3, "run", {"pipeline": "shops", "id": 6}),
        Beat(4, "stage_run", {"run": 6}), Beat(5, "published", {"pipeline": "two"}), Beat(6, "token", {"id": 1}),
        Beat(7, "changed", {}),
    )]  # fmt: skip
    assert heard == [False, False, True, True, False, False, False]
    secret = issue()
    found = app.state.keys.find(hash_secret(secret))
    assert app.state.keys.still(found)
    revoke_all(owner)
    assert not app.state.keys.still(found)
