"""One line for each request, which tells who asked what, and never by which secret."""

import json
import logging
import re
import subprocess
import sys
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from bookkeeping import Ledger
from fastapi.testclient import TestClient
from test_access import bearer, issue, log_in  # noqa: F401  # a fixture, and how tokens are shown

from infra.settings import Settings
from tests.patience import wait_for
from web.accesslog import JsonLines, shown_address
from web.app import create_app


@contextmanager
def web(settings: Settings, clock: Callable, **told: object) -> Iterator[TestClient]:
    app = create_app(settings.model_copy(update=told), now=clock, live=False, closed=True)
    with TestClient(app, follow_redirects=False, raise_server_exceptions=False) as client:
        yield client


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "overnight.access"]


def test_a_line_tells_who_asked_what_and_how_it_went_and_probes_leave_none(
    settings: Settings, clock: Callable, issue: Callable, caplog: pytest.LogCaptureFixture  # noqa: F811
) -> None:  # fmt: skip
    caplog.set_level(logging.INFO)
    with web(settings, clock) as client:
        answer = client.get("/api/v1/p/shops/rows?limit=3&sort=-price", headers=bearer(issue()))
        for path in ("/healthz", "/readyz"):
            client.get(path)
        client.head("/p/shops", headers={**bearer(issue()), "X-Request-ID": "theirs-7"})
        client.get("/p/shops", headers={"X-Request-ID": "two\tparts"})
    first, second, third = lines(caplog)
    told = rf"testclient GET /api/v1/p/shops/rows\?limit=3&sort=-price 200 \d+\.\d ms {len(answer.content)} bytes, request "
    assert re.fullmatch(told + re.escape(answer.headers["x-request-id"]) + ', "a test\'s"', first)
    assert re.search(r"HEAD /p/shops 200 .* 0 bytes, request theirs-7, ", second)
    assert re.search(r"GET /p/shops 401 .*, request [0-9a-f]+-[0-9a-f]+, 'nobody'", third)
    record = next(record for record in caplog.records if record.name == "overnight.access")
    said = json.loads(JsonLines().format(record))
    assert (said["who"], said["status"], said["path"]) == ("a test's", 200, "/api/v1/p/shops/rows?limit=3&sort=-price")


def test_no_token_no_session_and_no_password_is_ever_in_any_log(
    settings: Settings, clock: Callable, issue: Callable, caplog: pytest.LogCaptureFixture,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    for of_the_client in ("httpx", "httpx2"):
        caplog.set_level(logging.WARNING, logger=of_the_client)
    caplog.set_level(logging.DEBUG)
    secret = issue()
    password = "hunter2-is-mine"
    with web(settings, clock) as client:
        session = log_in(client, secret)
        shown = [bearer(secret), session, {"Authorization": "Basic " + b64encode(f"ann:{password}".encode()).decode()}]
        written = "".join(f"%{ord(letter):02x}" for letter in secret)
        for headers in [{}, *shown]:
            for path in (
                f"/api/v1/p/shops/rows?token={secret}", f"/?access_token={password}", f"/?Password={password}&a=b",
                f"/search?q={secret}", f"/search?q={written}", f"/p/{secret}", f"/p/shops/key/{written}?x", f"/?{secret}=1",
                f"/p/shops/rows?shop={secret}&sort={secret}", f"/?my%5fapi%2dkey={password}", f"/?q=%00{secret.upper()}",
                "/?" + quote(f"session={session['Cookie']}", safe="="),
            ):  # fmt: skip
                client.get(path, headers=headers)
        monkeypatch.setattr("web.search.read_key", lambda *_: 1 / 0)
        assert client.get(f"/search?q={secret}", headers=bearer(secret)).status_code == 500
        monkeypatch.setattr("web.edge.declared", lambda *_, **__: int(secret))
        broken = client.get(f"/p/{secret}", headers=bearer(secret))
    text = caplog.text + "\n".join(JsonLines().format(record) for record in caplog.records if record.name == "overnight.access")
    assert len(lines(caplog)) == 51
    assert "ZeroDivisionError" in text
    assert "invalid literal for int()" in text
    for hidden in (secret, secret.removeprefix("ovn_"), written, session["Cookie"].partition("=")[2], password):
        assert hidden.lower() not in text.lower(), hidden
    assert "ovn_***" in text
    assert (
        broken.json()["detail"] if "json" in broken.headers["content-type"] else "its log has the details, under" in broken.text
    )


@pytest.mark.parametrize(("path", "query", "shown"), [
    ("/p/a\r\n10.0.0.1 GET /", "", "/p/a%0D%0A10.0.0.1%20GET%20/"), ("/é\x1b[31m", "a=\x1b", "/%C3%A9%1B%5B31m?a=%1B"),
    ("/", "token", "/?token"), ("/", "a&b=&c==", "/?a&b=&c=%3D"),
    ("/", "price__ge=1,5&region=n%20w", "/?price__ge=1,5&region=n%20w"),
    ("/", "after=WyJz", "/?after=WyJz"), ("/", "x=" + "y" * 9000, "/?x=" + "y" * 1996),
])  # fmt: skip
def test_a_line_is_one_line_whatever_was_asked(path: str, query: str, shown: str) -> None:
    assert shown_address({"path": path, "query_string": query.encode("latin-1")}) == shown


def test_the_lines_go_to_standard_output_in_the_form_that_is_set(
    published: Ledger, database: str, role_url: Callable, tmp_path: Path, port: int
) -> None:
    told = {
        "OVERNIGHT_READER_URL": role_url("reader"), "OVERNIGHT_DATABASE_URL": database, "OVERNIGHT_WEB_LOG": "json", "PATH": "",
        "PYTHONPATH": str(Path(__file__).parents[2]), "PYTHONUNBUFFERED": "1",
    }  # fmt: skip
    command = [sys.executable, "-m", "web", "--port", str(port)]
    with subprocess.Popen(command, env=told, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        try:
            wait_for(lambda: _is_answered(f"http://127.0.0.1:{port}/p/shops?token=abc"))
            assert process.stdout is not None
            said = json.loads(process.stdout.readline())
        finally:
            process.terminate()
    assert (said["path"], said["status"], said["who"]) == ("/p/shops?token=***", 200, "everybody")


def _is_answered(address: str) -> bool:
    try:
        return bool(urllib.request.urlopen(address, timeout=60).read())
    except OSError:
        return False
