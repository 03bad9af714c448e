"""Bad questions get a sentence and a 4xx, whatever they hold; a database that is away gets a 503."""

import socket
from pathlib import Path
from urllib.parse import quote

import pytest
from bookkeeping import Ledger
from fastapi.testclient import TestClient

from infra.settings import Settings
from web.__main__ import is_loopback, main
from web.app import create_app

VALUES = [
    "\x00", "a\x00b", "'", "';--", '"', "%", "%s", "%(a)s", "{}", "\\", "\\,", ",", ",,,,", "../../etc/passwd", "9" * 40, "-1",
    "9223372036854775807", "9223372036854775808", "-9223372036854775809", "1e999", "nan", "NaN", "inf", "1e-400", "0x10", "٣",
    "9999-12-31", "0001-01-01", "10000-01-01", "2024-02-30", "2024-13-01", "2024-01-01T99:99", "0001-01-01T00:00+23:59",
    "9999-12-31T23:59:59-23:59", "2024-W01-1", "true", "null", "\u202e", "\ud83d\ude00", "é" * 200, "x" * 10_000, "<script>",
    "\r\nX: y", " ", "latest", "*", "[]", "1,2", "💣", "\u0000", "\x7f", "e30", "WyJhIl0", "W10", "bnVsbA", "====", "_-_-",
    "W251bGxd", "1_000", "1" + "0" * 400, "1e1000000000",
]  # fmt: skip
PLACES = [
    "/p/{v}", "/p/shops/{v}", "/p/shops/models/{v}", "/p/shops/key/{v}", "/p/shops/rows?night={v}", "/p/shops/rows?sort={v}",
    "/p/shops/rows?columns={v}", "/p/shops/rows?after={v}", "/p/shops/rows?sort=price&after={v}", "/p/shops/rows?limit={v}",
    "/p/shops/rows?as_of={v}", "/p/shops/rows?{v}=1", "/p/shops/rows?shop={v}", "/p/shops/rows?stock={v}",
    "/p/shops/rows?price={v}",
    "/p/shops/rows?opened={v}", "/p/shops/rows?prediction={v}", "/p/shops/rows?price__null={v}", "/p/shops/rows?stock__{v}=1",
    "/p/shops/rows?where={v}&is={v}&value={v}", "/p/shops?key={v}",
    "/p/shops/{v}/verdict", "/search?q={v}", "/search?q=shops%20{v}&in={v}", "/p/shops/rows?region={v}&facets={v}",
]  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_hostile_values_never_break_anything(published: Ledger, client: TestClient, place: str) -> None:
    for value in VALUES:
        written = quote(value.encode("utf-8", "surrogatepass"), safe="")
        for start in ("", "/api/v1"):
            answer = client.get(start + place.replace("{v}", written))
            assert answer.status_code < 500, (place, value, answer.text[:500])
            if answer.status_code >= 400 and start and not place.startswith("/search"):
                assert answer.headers["content-type"] == "application/problem+json"
                assert answer.json()["detail"]


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/p/shop", "did you mean shops?"),
        ("/p/shops/yesterday", "is not an interval; write it as 2024-01-01"),
        ("/p/shops/2023-01-01", "lies outside the pipeline's calendar"),
        ("/p/shops/models/9", "has no model version 9"),
        ("/p/shops/key/nobody", "no published night of shops holds shop nobody"),
        ("/p/shops/rows?colour=red", "is no column of shops; it has shop"),
        ("/p/shops/rows?stock=many", "is no int, which column stock holds"),
        ("/p/shops/rows?after=x", "the cursor is none that a page of this question has given"),
    ],
)
def test_a_wrong_question_is_answered_with_the_sentence_that_helps(
    published: Ledger, client: TestClient, path: str, says: str
) -> None:
    problem = client.get(f"/api/v1{path}")
    assert 400 <= problem.status_code < 500
    assert says in problem.json()["detail"][:1].lower() + problem.json()["detail"][1:]
    page = client.get(path)
    assert page.status_code == problem.status_code
    assert "<h1>" in page.text
    assert "Traceback" not in page.text


def test_a_database_that_is_away_is_a_sentence_and_not_a_traceback(settings: Settings, tmp_path: Path) -> None:
    away = settings.model_copy(update={"reader_url": f"postgresql://nobody@/nowhere?host={tmp_path}"})
    with TestClient(create_app(away), raise_server_exceptions=False) as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 503
        page = client.get("/")
        assert page.status_code == 503
        assert "Postgres does not answer" in page.text
        assert page.headers["retry-after"] == "5"
        assert "content-security-policy" in page.headers


def test_a_database_that_was_never_migrated_says_what_helps(settings: Settings, server: object, database: str) -> None:
    import psycopg2

    connection = psycopg2.connect(database)
    connection.autocommit = True
    connection.cursor().execute("DROP SCHEMA reading CASCADE")
    connection.close()
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        answer = client.get("/api/v1/")
        assert answer.status_code == 503
        assert "overnight db migrate" in answer.json()["detail"]


@pytest.mark.parametrize(
    "name", ["evil.example", "localhost.evil.example", "", "[::2]", "127.0.0.1.nip.example", "a b", "xlocalhost"]
)
def test_another_host_s_name_is_not_answered_and_a_sentence_says_how_it_would_be(client: TestClient, name: str) -> None:
    answer = client.get("/api/v1/", headers={"Host": name})
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert answer.json()["detail"].startswith("This web does not go by the name " if name else "The question names no host.")
    assert "OVERNIGHT_WEB_HOSTS" in client.get("/", headers={"Host": name}).text
    assert client.get("/healthz", headers={"Host": name}).status_code == 200, "a probe asks by address"


@pytest.mark.parametrize("name", ["localhost", "LocalHost:8500", "127.0.0.1:8500", "[::1]", "[::1]:8500", "named.example:80"])
def test_it_is_answered_under_its_own_names(settings: Settings, name: str) -> None:
    told = settings.model_copy(update={"web_hosts": "Named.example"})
    with TestClient(create_app(told, live=False)) as client:
        assert client.get("/api/v1/", headers={"Host": name}).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_there_is_nothing_to_write_to(client: TestClient, method: str) -> None:
    assert client.request(method, "/p/shops").status_code == 405


@pytest.mark.parametrize(
    ("host", "here"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("10.0.0.5", False), ("db.example", False)],
)
def test_only_loopback_is_loopback(host: str, here: bool) -> None:
    assert is_loopback(host) is here


def test_an_address_that_others_reach_is_refused_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], settings: Settings
) -> None:
    monkeypatch.setattr("sys.argv", ["web", "--host", "0.0.0.0"])
    monkeypatch.setattr("web.__main__.load_settings", lambda: settings)
    assert main() == 2
    assert "no token that would let anybody in" in capsys.readouterr().err


def test_an_address_that_is_taken_is_refused_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], settings: Settings
) -> None:
    monkeypatch.setattr("web.__main__.load_settings", lambda: settings)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        monkeypatch.setattr("sys.argv", ["web", "--port", str(port)])
        assert main() == 2
    said = capsys.readouterr().err
    assert f"127.0.0.1:{port} cannot be listened on (Address already in use)" in said
    assert f"overnight web --port {port + 1}" in said
