"""What whoever operates the web relies on: metrics that alert, plans that use indexes, a pool that survives a restart."""

import base64
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg2
import pytest
from bookkeeping import Ledger
from fastapi.testclient import TestClient

from infra.settings import Settings
from store.reads.connection import Connection, Reader, Row
from store.reads.rows import Filter, Question, compose
from web.app import open_reader


def test_metrics_tell_how_each_pipeline_stands(published: Ledger, client: TestClient, clock: Callable) -> None:
    clock.now = datetime(2024, 1, 6, 7, 0, tzinfo=UTC)
    client.get("/p/shops/rows")
    client.get("/p/shops/nonsense")
    text = client.get("/metrics").text
    for line in (
        'overnight_late{pipeline="shops"} 1',
        'overnight_late_seconds{pipeline="shops"} 3600',
        'overnight_published_rows{pipeline="shops"} 66',
        'overnight_night_state{pipeline="shops",state="missing"} 1',
        'overnight_web_answers_total{route="/p/{pipeline}/rows",status="200"} 1',
        'overnight_web_answers_total{route="/p/{pipeline}/{interval}",status="404"} 1',
        "overnight_database_up 1",
    ):
        assert line in text.splitlines()


def test_a_pool_whose_sessions_were_ended_answers_the_next_question(published: Ledger, client: TestClient, database: str) -> None:
    assert client.get("/p/shops").status_code == 200
    connection = psycopg2.connect(database)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'overnight web'")
    connection.close()
    assert client.get("/p/shops").status_code == 200


@pytest.fixture
def reader(settings: Settings, published: Ledger) -> Iterator[Reader]:
    reader = open_reader(settings)
    reader.open()
    yield reader
    reader.close()


def test_a_page_far_down_reads_no_more_rows_than_the_first(ledger: Ledger, reader: Reader) -> None:
    ledger.publish("2024-01-05", model=1, rows=30_000)
    after = base64.urlsafe_b64encode(b'["s029000"]').decode().rstrip("=")
    first, deep = Question(("shop", "region"), limit=100), Question(("shop", "region"), limit=100, after=after)
    visited = [count_visited(reader, ledger, question) for question in (first, deep)]
    assert 200 <= visited[0] < 500
    assert visited[1] <= 2 * visited[0]


def count_visited(reader: Reader, ledger: Ledger, question: Question) -> int:
    """How many rows Postgres took out of tables and indexes for one page of the newest night."""

    def visited(node: dict[str, Any]) -> int:
        below = sum(visited(one) for one in node.get("Plans", []))
        return below + (0 if "Plans" in node else int(node["Actual Rows"] * node["Actual Loops"]))

    newest = b"SELECT batch, input_batch FROM reading.published WHERE kind = 'prediction' ORDER BY interval_start DESC LIMIT 1"
    seen = reader.ask(lambda c: c.execute(newest).fetchone())
    assert seen is not None
    statement, parameters = compose(ledger.definition.pipeline, question, batch=seen["batch"], input_batch=seen["input_batch"])
    explain = b"EXPLAIN (ANALYZE, FORMAT json) " + statement.encode()
    (line,) = reader.ask(lambda c: c.execute(explain, parameters).fetchall())
    return visited(line["QUERY PLAN"][0]["Plan"])


QUESTIONS = [
    Question(("shop", "probability")),
    Question(("shop", "probability"), after="WyJzMDAwMDAzIl0"),
    Question(("shop",), (Filter("shop", "eq", "s000003"),)),
    Question(("shop",), (Filter("shop", "eq", "'; DROP TABLE x"),)),
    Question(("shop",), descending=True, sort="shop"),
]


@pytest.mark.parametrize("question", QUESTIONS)
def test_pages_by_key_are_read_through_the_key_s_index_of_two_tables_alone(
    ledger: Ledger, reader: Reader, question: Question
) -> None:
    for number in range(5, 12):
        ledger.publish(f"2024-01-{number:02d}", model=1, rows=3000)
    pipeline = ledger.definition.pipeline
    newest = b"SELECT max(batch) AS batch, max(input_batch) AS input FROM reading.published"
    seen = reader.ask(lambda c: c.execute(newest).fetchone())
    assert seen is not None
    statement, parameters = compose(pipeline, question, batch=seen["batch"], input_batch=seen["input"])
    text = explain(reader, statement, parameters)
    tables = set(re.findall(r" on ((?:landed|predictions)_\d+)", text))
    assert tables == {f"predictions_{seen['batch']}", f"landed_{seen['input']}"}, text
    assert "Seq Scan on predictions" not in text, text
    assert "Seq Scan on landed" not in text, text
    large = explain(reader, statement, parameters, before=b"SET enable_seqscan = off")  # as of a ledger of many nights
    assert "Seq Scan" not in large, large


def explain(reader: Reader, statement: str, parameters: list[Any], *, before: bytes = b"RESET enable_seqscan") -> str:
    """The plan, in one session that is left as it was."""

    def ask(connection: Connection) -> list[Row]:
        connection.execute(before)
        plan = connection.execute(b"EXPLAIN " + statement.encode(), parameters).fetchall()
        connection.execute(b"RESET enable_seqscan")
        return plan

    return "\n".join(line["QUERY PLAN"] for line in reader.ask(ask))
