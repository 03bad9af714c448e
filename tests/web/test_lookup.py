"""One prediction by its key: one statement, what the route says too, and never of a batch that is not the pointer's."""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import islice, permutations
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import psycopg2
import pytest
from bookkeeping import Ledger
from fastapi import FastAPI
from fastapi.testclient import TestClient
from test_live import without_name

from domain.trust import TrustLine
from infra.settings import Settings
from store.reads.express import PREPARED_AT_ONCE, Express, _numbered, _Session
from store.reads.rows import Page
from tests.patience import wait_for
from web.app import create_app
from web.keeping import Kept
from web.lookup import put_rows
from web.morning import trust_of
from web.schemas import RowsAnswer

ROWS = "/api/v1/p/shops/rows"
WORDS = [
    "shop=s000003", "shop__eq=s000007", "shop=s000003&columns=*", "shop=s000003&columns=price,stock", "shop=s000003&limit=1",
    "shop=s000003&sort=-price", "shop=s000003&region=south", "shop=s000003&region=nowhere", "shop=s000003&stock__ge=1",
    "shop=s000003&price__null=true", "shop=nobody", "shop=", "shop=s000003&shop=s000004", "shop=s000003&limit=0",
    "shop=s000003&columns=none", "shop=s000003&none=1", "shop=s000003&stock=many", "shop=%00", "shop=s000003&night=2024-01-03",
    "shop=s000003&as_of=2024-01-05", "shop=s000003&facets=yes", "shop=s000003&after=WyJzMDAwMDAzIl0", "shop=%25s%27%3B--",
    "shop=%F0%9F%98%80", "shop=%ff", "shop__ge=s000003&limit=2", "",
]  # fmt: skip


class Asked:
    """How many statements went through the event loop's sessions, and how many through the pool's."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def take(self) -> dict[str, int]:
        taken, self.counts = dict(self.counts), Counter()
        return taken


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    asked, execute, ask = Asked(), psycopg.Connection.execute, _Session.ask

    def counted(self: Any, query: Any, *rest: Any, **named: Any) -> Any:
        if self.info.get_parameters().get("application_name") != "overnight pulse":
            asked.counts["pool"] += 1
        return execute(self, query, *rest, **named)

    async def counted_ask(self: Any, *rest: Any) -> Any:
        asked.counts["loop"] += 1
        return await ask(self, *rest)

    monkeypatch.setattr(psycopg.Connection, "execute", counted)
    monkeypatch.setattr(_Session, "ask", counted_ask)
    return asked


@pytest.fixture
def live(settings: Settings, clock: Callable, published: Ledger) -> Iterator[TestClient]:
    """A web that listens, whose sessions for look-ups are open, and which knows how the pipeline stands."""
    app = create_app(settings, now=clock)
    with TestClient(app, raise_server_exceptions=False) as client:
        wait_for(lambda: app.state.pulse.connected and len(app.state.express._living) == 4)
        client.get("/api/v1/p/shops")
        yield client


def state_of(client: TestClient) -> Any:
    assert isinstance(client.app, FastAPI)
    return client.app.state


@pytest.mark.parametrize("words", WORDS)
def test_a_look_up_says_what_the_route_says(live: TestClient, client: TestClient, words: str) -> None:
    quick, slow = live.get(f"{ROWS}?{words}"), client.get(f"{ROWS}?{words}")
    assert (quick.status_code, quick.text) == (slow.status_code, slow.text)
    assert without_name(quick.headers) == without_name(slow.headers)


ODD: dict[str, Any] = {
    "rows": [], '"rows":[]': '"rows":[]', "text": 'a\n"b"\\ é😀\x7f', "numeric": Decimal("1.10"), "day": date(2024, 2, 29),
    "floats": [0.1, 1e300, float("nan"), float("inf"), 420.0, -0.0], "json": {"a": [1, {"b": None}]}, "int": 2**63 - 1,
    "moment": datetime(2024, 3, 31, 1, tzinfo=ZoneInfo("Europe/Berlin")), "utc": datetime(2024, 1, 1, 0, 0, 0, 379, tzinfo=UTC),
    "nothing": None, "yes": True,
}  # fmt: skip


def test_rows_that_are_put_in_are_written_as_the_whole_answer_writes_them() -> None:
    line = TrustLine('"rows":[]', None, None, None, None, False, None, None, '"rows":[]')

    def answer(*rows: dict[str, Any]) -> bytes:
        columns = dict.fromkeys(ODD, "text")
        body = RowsAnswer(
            pipeline='"rows":[]', night='"rows":[]', columns=columns, total=1, rows=list(rows), next=None, trust=trust_of(line)
        )
        return body.model_dump_json().encode()

    blank = Kept(1, datetime(2024, 1, 6, tzinfo=UTC), "tag", (), answer())
    assert put_rows(blank, Page([ODD], None)).body == answer(ODD)


def test_a_look_up_is_one_statement_and_no_thread_s(live: TestClient, asked: Asked) -> None:
    for number in range(1, 9):
        assert live.get(f"{ROWS}?shop=s{number:06}").json()["rows"][0]["shop"] == f"s{number:06}"
    assert asked.take() == {"loop": 8}


def test_an_unchanged_look_up_asks_nothing_even_of_a_web_that_never_gave_it(
    live: TestClient, client: TestClient, asked: Asked
) -> None:
    tag = client.get(f"{ROWS}?shop=s000003").headers["etag"]
    asked.take()
    for path in (f"{ROWS}?shop=s000003", f"{ROWS}?limit=2", f"{ROWS}?night=2024-01-03"):
        assert live.get(path, headers={"If-None-Match": tag}).status_code == 304
    assert asked.take() == {}


def test_a_pointer_that_moved_unheard_is_seen_by_the_statement_itself(
    live: TestClient, published: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = live.get(f"{ROWS}?shop=s000003").json()
    monkeypatch.setattr(state_of(live).pulse, "_beat", lambda *_: None)
    newest = published.publish("2024-01-04", model=1, salt="corrected", rows=50, shift=0.25)
    after = live.get(f"{ROWS}?shop=s000004").json()
    assert (before["trust"]["batch"], after["trust"]["batch"], after["total"]) == (newest - 2, newest, 50)


def test_a_running_night_is_left_to_the_route(live: TestClient, published: Ledger, asked: Asked) -> None:
    published.abandon("2024-01-05")
    wait_for(lambda: "is gone" in live.get(f"{ROWS}?shop=s000003").json()["trust"]["reason"])
    asked.take()
    live.get(f"{ROWS}?shop=s000004")
    assert "loop" not in asked.take()


def test_look_ups_survive_the_end_of_their_sessions_and_get_new_ones(live: TestClient, asked: Asked, database: str) -> None:
    express: Express = state_of(live).express
    former = set(express._living)
    connection = psycopg2.connect(database)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'overnight web'")
    connection.close()
    for number in range(1, 9):
        assert live.get(f"{ROWS}?shop=s{number:06}").status_code == 200
    wait_for(lambda: len(express._living) == 4 and not former & express._living)
    asked.take()
    assert live.get(f"{ROWS}?shop=s000020").status_code == 200
    assert asked.take() == {"loop": 1}


def test_more_shapes_than_a_session_remembers_are_all_answered(live: TestClient, asked: Asked) -> None:
    shapes = list(islice(permutations(["prediction", "probability", "region", "stock", "price"], 4), PREPARED_AT_ONCE + 4))
    for _ in range(2):
        for columns in shapes:
            answer = live.get(f"{ROWS}?shop=s000003&columns={','.join(columns)}&stock__ge={len(asked.counts)}")
            assert list(answer.json()["rows"][0]) == list(columns)
        shapes.reverse()
    assert "pool" not in asked.take()


def test_a_statement_s_places_are_numbered() -> None:
    assert _numbered("SELECT %s::bigint, 'a' WHERE b = %s LIMIT %s") == b"SELECT $1::bigint, 'a' WHERE b = $2 LIMIT $3"
