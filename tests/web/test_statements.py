"""How often a page asks the database, and that nothing it asks reads through a big table."""

import re
from dataclasses import replace
from typing import Any

import psycopg
import psycopg2
import pytest
import sqlalchemy as sa
from bookkeeping import Ledger
from fastapi.testclient import TestClient

from cli.listing import read_standings
from deployments.catalogue import Definition
from store.listing import list_pipelines
from store.pipelines import register

MOST = {
    "/": 13, "/p/shops": 20, "/p/shops/2024-01-04": 23, "/p/shops/2024-01-04/verdict": 11, "/p/shops/rows": 9,
    "/p/shops/rows?region=north&sort=-price": 9, "/p/shops/key/s000003": 12, "/p/shops/models/1": 12, "/search?q=s000003": 8,
    "/api/v1/p/shops/rows": 8,
}  # fmt: skip
# What named questions are asked with: ends of types, cursors before and behind all rows, names that are none
HOSTILE = [
    "/p/shops/rows", "/p/shops/rows?limit=1000", "/p/shops/rows?sort=-shop", "/p/shops/key/s000003", "/p/shops/key/%27%3B--",
    "/p/shops/key/%25", "/p/shops/key/" + "z" * 400, "/search?q=s000003", "/search?q=%25", "/p/shops/2024-01-04",
    "/p/shops/2024-01-04/verdict", "/p/shops/rows?shop=s000003", "/p/shops/rows?shop__gt=s029990", "/p/shops/rows?shop__lt=%20",
    "/api/v1/p/shops/rows?shop__ge=zzzz&sort=-shop&facets=yes", "/p/shops/rows?as_of=9000-01-01", "/p/shops", "/",
    "/p/shops/rows?after=WyJzMDI5OTkwIl0", "/p/shops/rows?after=WyIiXQ", "/p/shops/rows?sort=-shop&after=WyJ6enp6Il0",
]  # fmt: skip


class Heard:
    """Every statement that the pages' sessions ran, as text with its values written in."""

    def __init__(self) -> None:
        self.statements: list[str] = []

    def take(self) -> list[str]:
        taken, self.statements = self.statements, []
        return [one for one in taken if one.lstrip().upper().startswith(("SELECT", "WITH"))]


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Heard:
    heard, run = Heard(), psycopg.Connection.execute

    def execute(self: Any, query: Any, params: Any = None, **rest: Any) -> Any:
        heard.statements.append(psycopg.ClientCursor(self).mogrify(query, params))
        return run(self, query, params, **rest)

    monkeypatch.setattr(psycopg.Connection, "execute", execute)
    return heard


def test_a_page_asks_as_often_whatever_it_shows(published: Ledger, client: TestClient, heard: Heard) -> None:
    counts = {}
    for path in MOST:
        heard.take()
        assert client.get(path).status_code in (200, 303)
        counts[path] = len(heard.take())
    assert {path: count for path, count in counts.items() if count > MOST[path]} == {}
    for number in range(5, 15):
        published.publish(f"2024-01-{number:02}", model=1)
    for path in ("/", "/p/shops", "/p/shops/2024-01-04", "/p/shops/2024-01-04/verdict", "/p/shops/rows"):
        heard.take()
        client.get(path)
        assert len(heard.take()) == counts[path], path


def test_all_pipelines_are_asked_about_at_once(
    shops: Definition, owner: sa.Engine, writer: sa.Engine, reader: sa.Engine, client: TestClient, heard: Heard
) -> None:
    """The morning page and `overnight status` over four pipelines and over ten: some late, some held, some whose run has died."""
    counts = []
    for first, last in ((0, 3), (3, 9)):
        for number in range(first, last):
            join_the_house(shops, owner, writer, number=number)
        heard.take()
        assert client.get("/").status_code == 200
        told, asked = len(heard.take()), list[str]()
        sa.event.listen(reader, "before_cursor_execute", lambda *seen, asked=asked: asked.append(seen[2]))
        with reader.connect() as connection:
            standings = read_standings(connection, list_pipelines(connection))
        assert len(standings) == last + 1
        counts.append((told, len(asked)))
    (page, command), more = counts
    assert more == (page, command)
    assert page <= 21
    assert command <= 5


def join_the_house(shops: Definition, owner: sa.Engine, writer: sa.Engine, *, number: int) -> None:
    definition = replace(shops, pipeline=shops.pipeline.model_copy(update={"name": f"shops_{number}"}))
    register(owner, definition.pipeline, expectations=[])
    ledger = Ledger(definition, writer)
    ledger.publish("2024-01-03", model=ledger.train("2024-01-02"))
    if number % 3 == 0:
        ledger.hold("2024-01-04")
    elif number % 3 == 1:
        ledger.abandon("2024-01-04")


@pytest.fixture
def big(ledger: Ledger, database: str) -> Ledger:
    """Three nights, the newest of them of sixty thousand rows."""
    ledger.publish("2024-01-01")
    model = ledger.train("2024-01-02")
    ledger.publish("2024-01-03", model=model)
    ledger.publish("2024-01-04", model=model, rows=60_000)
    connection = psycopg2.connect(database)
    connection.autocommit = True
    connection.cursor().execute("ANALYZE")
    connection.close()
    return ledger


def test_no_named_question_reads_through_a_big_table(big: Ledger, client: TestClient, heard: Heard, database: str) -> None:
    connection = psycopg2.connect(database)
    connection.autocommit = True
    cursor = connection.cursor()
    cursor.execute("SET ROLE overnight_reader; SET search_path = pg_catalog; SET jit = off")
    cursor.execute("SELECT id FROM reading.batch WHERE rows > 50000")
    large = {f"{table}_{number}" for (number,) in cursor.fetchall() for table in ("landed", "predictions")}
    found = []
    for path in HOSTILE:
        heard.take()
        assert client.get(path).status_code < 500
        for statement in heard.take():
            cursor.execute(b"EXPLAIN " + statement.encode())
            plan = "\n".join(line for (line,) in cursor.fetchall())
            scanned = set(re.findall(r"Seq Scan on (\w+)", plan)) & large
            if scanned:
                found.append((path, statement, plan))
    connection.close()
    assert found == []


def test_values_of_a_big_night_are_not_counted_and_the_page_says_so(big: Ledger, client: TestClient) -> None:
    page = client.get("/p/shops/rows").text
    assert 'aria-label="Narrow down"' not in page
    assert "Values are counted on nights of at most 50\u202f000 rows; this one has 60\u202f000." in page
    assert client.get("/api/v1/p/shops/rows?facets=yes").json()["facets"] == []
    small = client.get("/api/v1/p/shops/rows?facets=yes&night=2024-01-03&region=north").json()
    assert small["facets"][1] == {"column": "region", "values": [{"value": "north", "rows": 20}], "others": 0}
