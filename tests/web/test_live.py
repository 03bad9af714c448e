"""What is kept is never used once something has changed; who listens hears of it within a second."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime

import httpx
import psycopg2
import pytest
from bookkeeping import Ledger
from fastapi import FastAPI
from fastapi.testclient import TestClient

from infra.settings import Settings
from store.runs import claim
from tests.patience import PATIENCE, quickest, wait_for
from web.app import create_app
from web.keeping import Kept, Shelf


@pytest.fixture
def live(settings: Settings, clock: Callable, published: Ledger) -> Iterator[TestClient]:
    """A web that listens and keeps answers, and whose sessions are all open: one that opens has asked Postgres something too."""
    app = create_app(settings, now=clock)
    with TestClient(app, follow_redirects=False) as client:
        wait_for(lambda: app.state.pulse.connected and len(app.state.express._living) == 4)
        app.state.edge.reader._pool.wait(PATIENCE)
        yield client


def without_name(headers: Mapping[str, str]) -> dict[str, str]:
    """All but the name of the request, which is another one each time."""
    return {name: value for name, value in headers.items() if name != "x-request-id"}


def last_asked(database: str, name: str = "overnight web") -> datetime:
    """When any of the sessions of that name last did anything, by Postgres's own clock."""
    connection = psycopg2.connect(database)
    with connection.cursor() as cursor:
        cursor.execute("SELECT max(state_change) FROM pg_stat_activity WHERE application_name = %s", [name])
        line = cursor.fetchone()
    connection.close()
    assert line is not None
    return line[0]


@pytest.mark.parametrize("path", ["/", "/p/shops", "/api/v1/p/shops/rows", "/p/shops/2024-01-04", "/api/v1/p/shops/key/s000003"])
def test_a_kept_answer_is_the_same_and_asks_the_database_nothing(live: TestClient, database: str, path: str) -> None:
    first = live.get(path)
    before = last_asked(database)
    again = live.get(path)
    unchanged = live.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert last_asked(database) == before
    assert (again.status_code, again.content) == (200, first.content)
    assert without_name(again.headers) == without_name(first.headers)
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert unchanged.headers["overnight-trust"] == first.headers["overnight-trust"]


def test_an_export_asked_for_twice_is_the_export_both_times(live: TestClient) -> None:
    first = live.get("/p/shops/rows.csv")
    assert first.text.count("\n") == 67
    assert live.get("/p/shops/rows.csv").text == first.text


def test_a_publication_is_seen_within_a_second_whatever_was_kept(live: TestClient, published: Ledger) -> None:
    before = live.get("/api/v1/p/shops/rows").json()

    def correct() -> Callable[[], bool]:
        newest = published.publish("2024-01-04", model=1, salt="corrected", shift=0.25)
        return lambda: live.get("/api/v1/p/shops/rows").json()["trust"]["batch"] == newest

    assert quickest(correct, enough=1) < 1
    assert live.get("/api/v1/p/shops/rows").json()["rows"] != before["rows"]


def test_a_held_night_is_told_within_a_second(live: TestClient, published: Ledger) -> None:
    assert "held" not in live.get("/").text
    reasons = (f"{number} % of stock is empty" for number in range(7, 100))

    def hold() -> Callable[[], bool]:
        published.hold("2024-01-05", reason := next(reasons))
        return lambda: f"The night of 2024-01-05 is held: {reason}" in live.get("/").text

    assert quickest(hold, enough=1) < 1


def test_a_deadline_ends_what_was_kept(live: TestClient, clock: Callable) -> None:
    assert live.get("/api/v1/p/shops").json()["trust"]["fresh"]
    clock.now = datetime(2024, 1, 6, 6, 0, tzinfo=UTC)
    assert live.get("/api/v1/p/shops").json()["trust"]["late_since"] == "2024-01-06T07:00:00+01:00"


def test_while_nobody_can_listen_nothing_that_was_kept_is_used(live: TestClient, published: Ledger, database: str) -> None:
    live.get("/api/v1/p/shops/rows")
    pulse = app_of(live).state.pulse
    heard = pulse.version
    connection = psycopg2.connect(database)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'overnight pulse'")
    connection.close()
    newest = published.publish("2024-01-04", model=1, salt="corrected", shift=0.25)
    wait_for(lambda: pulse.version > heard)
    assert live.get("/api/v1/p/shops/rows").json()["trust"]["batch"] == newest


def tell(database: str, payload: str) -> None:
    connection = psycopg2.connect(database)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify('overnight', %s)", [payload])
    connection.close()


@pytest.mark.parametrize("night", ["2024-01-04", "latest"])
def test_rows_and_their_trust_line_are_of_one_batch_before_a_publication_is_heard(
    live: TestClient, published: Ledger, monkeypatch: pytest.MonkeyPatch, night: str
) -> None:
    assert live.get("/api/v1/p/shops").json()["trust"]["batch"] is not None
    monkeypatch.setattr(app_of(live).state.pulse, "_beat", lambda *_: None)
    newest = published.publish("2024-01-04", model=1, salt="corrected", rows=50, shift=0.25)
    answer = live.get(f"/api/v1/p/shops/rows?night={night}").json()
    assert (answer["trust"]["batch"], answer["total"]) == (newest, 50)


def test_the_session_that_listens_asks_something_too(live: TestClient, database: str) -> None:
    first, pulse = last_asked(database, "overnight pulse"), app_of(live).state.pulse
    wait_for(lambda: last_asked(database, "overnight pulse") > first)
    heard = pulse.version
    for number in range(300):  # some of them while it asks
        tell(database, json.dumps({"event": "changed", "number": number}))
    wait_for(lambda: pulse.version == heard + 300)


def test_nothing_that_is_said_ends_the_listening(live: TestClient, published: Ledger, database: str) -> None:
    tell(database, "[1]")
    tell(database, "[" * 7000)  # too deep for the parser
    newest = published.publish("2024-01-04", model=1, salt="corrected", shift=0.25)
    wait_for(lambda: live.get("/api/v1/p/shops/rows").json()["trust"]["batch"] == newest)
    pulse = app_of(live).state.pulse
    wait_for(lambda: pulse.connected)
    heard = pulse.version
    tell(database, "{}")
    wait_for(lambda: pulse.version == heard + 1)


def app_of(client: TestClient) -> FastAPI:
    app = client.app
    assert isinstance(app, FastAPI)
    return app


@pytest.mark.parametrize("day", ["2024-01-02", "2024-01-04", "2024-01-05"])
def test_a_process_that_dies_tells_nobody_and_is_seen_all_the_same(live: TestClient, published: Ledger, day: str) -> None:
    path = f"/api/v1/p/shops/{day}"
    with suppress(InterruptedError), claim(published.writer, "shops", published.night(day), trigger="test", holder={"pid": 1}):
        wait_for(lambda: live.get(path).json()["attempts"][0]["state"] == "running")
        assert "stopped" not in live.get(path).json()["night"]["why"]
        assert "etag" not in live.get(path).headers
        raise InterruptedError  # which leaves the run open, as a SIGKILL does
    said = live.get(path).json()["night"]
    assert "is gone and left the night unfinished" in said["why"] or "A newer run stopped without a word" in said["why"]


def test_events_tell_of_runs_stages_and_publications(served: int, published: Ledger) -> None:
    names: list[str] = []
    with httpx.stream("GET", f"http://127.0.0.1:{served}/events", timeout=60) as stream:
        lines = stream.iter_lines()
        assert next(lines) == "retry: 2000"
        published.publish("2024-01-05", model=1)
        for line in lines:
            if line.startswith("event: "):
                names.append(line.removeprefix("event: "))
            if line.startswith("data: ") and json.loads(line[6:]).get("kind") == "prediction":
                break
    assert {"run", "stage_run", "verdict", "published"} <= set(names)


def test_what_is_kept_stays_within_its_bytes_however_many_small_answers_there_are() -> None:
    def address(number: int) -> tuple[str, str, bytes]:
        return "*", "/p/shops/rows", str(number).encode()

    shelf, now = Shelf(most_bytes=100_000), datetime(2024, 1, 5, tzinfo=UTC)
    for number in range(1000):
        kept = Kept(1, datetime(2024, 1, 6, tzinfo=UTC), "tag", (), b"x")
        shelf.put(address(number), kept)
    held = [number for number in range(1000) if shelf.get(address(number), version=1, now=now)]
    assert held == list(range(1000 - len(held), 1000))
    assert 40 < len(held) < 50


def test_while_a_night_is_taken_no_answer_has_a_tag(live: TestClient, published: Ledger) -> None:
    assert "etag" in live.get("/p/shops/latest").headers
    with claim(published.writer, "shops", published.night("2024-01-05"), trigger="test", holder={"pid": 1}):
        wait_for(lambda: live.get("/api/v1/p/shops/2024-01-05").json()["night"]["state"] == "running")
        for path in ("/p/shops/latest", "/api/v1/p/shops/rows", "/api/v1/p/shops/rows?shop=s000003"):
            assert "etag" not in live.get(path).headers
