"""Pages: whole, small, without scripts, and with nothing from another host."""

import re
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from bookkeeping import Ledger
from fastapi.testclient import TestClient

from deployments.catalogue import Definition
from store.pipelines import note_faults
from web.app import build_name

PAGES = [
    "/", "/p/shops", "/p/shops/2024-01-01", "/p/shops/2024-01-04", "/p/shops/models/1", "/p/shops/rows", "/p/shops/key/s000003",
    "/p/shops/2024-01-04/verdict", "/p/shops/2024-01-05/verdict", "/search?q=nothing", "/search", "/docs/answers",
    "/docs",
]  # fmt: skip


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_small_has_one_heading_and_loads_nothing_from_elsewhere(
    published: Ledger, client: TestClient, path: str
) -> None:
    page = client.get(path)
    assert page.status_code == 200
    assert len(page.content) < 60_000
    assert page.text.count("<h1>") == 1
    assert re.findall(r"<script[^>]*>[^<]*", page.text) == [f'<script src="/static/overnight.js?{build_name()}" defer>']
    assert client.get(f"/static/overnight.js?{build_name()}").headers["content-type"].startswith("text/javascript")
    assert " style=" not in page.text
    assert not re.search(r"""(?:src|href|action)=["'](?:https?:)?//""", page.text)
    assert page.text.count("<table") == page.text.count("<caption")
    assert "default-src 'none'" in page.headers["content-security-policy"]


@pytest.mark.parametrize("path", ["/p/shops", "/p/shops/2024-01-01", "/p/shops/rows"])
def test_pages_of_a_pipeline_that_never_ran_say_what_to_do_next(shops: Definition, client: TestClient, path: str) -> None:
    page = client.get(path)
    assert page.status_code == 200
    assert "nothing to read yet" in page.text or "no run was ever started" in page.text


def test_the_morning_page_without_pipelines_says_what_to_do_next(client: TestClient) -> None:
    assert "overnight demo" in client.get("/").text


def test_rejected_rows_are_shown_and_never_become_markup(published: Ledger, client: TestClient) -> None:
    page = client.get("/p/shops/2024-01-04").text
    assert "<b>north</b>" not in page
    assert "is no whole number" in page
    assert '<th scope="row">s&lt;b&gt;0</th><td data-l="column">region' in page  # its key, where a place was lost


def test_the_night_page_tells_stages_rules_examples_lineage_and_earlier_publications(
    published: Ledger, client: TestClient, ask: Callable
) -> None:
    published.publish("2024-01-04", model=1, salt="corrected", shift=0.01)
    answer = ask("/p/shops/2024-01-04")
    assert [stage["stage"] for stage in answer["stages"]] == ["ingest", "validate", "score", "publish"]
    assert [rule["state"] for rule in answer["verdict"]["rules"]] == ["passed", "failed", "passed"]
    assert answer["verdict"]["rules"][1]["examples"] == ["shop s004, region empty"]
    assert [one["kind"] for one in answer["publications"]] == ["prediction", "input"] * 2
    assert answer["publications"][0]["previous"] == answer["publications"][2]["batch"]
    assert answer["lineage"]["input"]["rows"] == answer["lineage"]["predictions"]["rows"] == 60
    assert answer["lineage"]["model"]["version"] == 1
    page = client.get("/p/shops/2024-01-04").text
    assert "3 of 60 rows have no region" in page


def test_quality_is_drawn_against_the_dummy(published: Ledger, client: TestClient, ask: Callable) -> None:
    assert [(q["metric"], q["value"], q["dummy"]) for q in ask("/p/shops")["quality"]] == [
        ("log_loss", 0.6, 0.69), ("roc_auc", 0.71, 0.5),
    ]  # fmt: skip
    assert "<title>2024-01-03: 0.710, dummy 0.500, model 1, 60 rows</title>" in client.get("/p/shops").text


def test_the_morning_page_counts_rows_against_the_usual(published: Ledger, ask: Callable) -> None:
    one = ask("/")["pipelines"][0]
    assert (one["night"]["rows"], one["usual_rows"], round(one["rows_change"], 3)) == (66, 60.0, 0.1)


def test_a_definition_that_broke_stands_on_the_morning_page_until_it_is_mended(
    published: Ledger, client: TestClient, owner: sa.Engine, ask: Callable
) -> None:
    before = client.get("/api/v1/")
    note_faults(owner, {"shops": "pipeline.yaml:6: unknown key 'colums'; did you mean 'columns'?"})
    now = client.get("/api/v1/", headers={"If-None-Match": before.headers["etag"]})
    assert now.status_code == 200
    (shops,) = now.json()["pipelines"]
    assert "unknown key 'colums'" in shops["fault"]
    page = client.get("/").text
    assert "its nights fail until that is mended: pipeline.yaml:6: unknown key" in page
    assert "overnight check shops" in page
    note_faults(owner, {"shops": None})
    assert ask("/")["pipelines"][0]["fault"] == ""


def test_the_night_that_promoted_says_so(ledger: Ledger, ask: Callable, clock: Callable) -> None:
    clock.now = datetime(2024, 1, 3, tzinfo=UTC)
    ledger.publish("2024-01-01")
    model = ledger.train("2024-01-02")
    ledger.publish("2024-01-02", model=model)
    one = ask("/")["pipelines"][0]
    assert (one["retrained"], one["promoted"]) == (1, 1)


def test_a_key_s_history_names_the_night_at_which_the_model_changed_and_those_that_answer_another_question(
    published: Ledger, ask: Callable, client: TestClient
) -> None:
    for day, asked in (("2024-01-05", "left_over < 20"), ("2024-01-06", "left_over < 1")):
        model = published.train(day, previous=1, target={"column": "left_over", "as": asked})
        published.publish(day, model=model)
    nights = ask("/p/shops/key/s000003")["nights"]
    assert [(one["night"], one["model_version"], one["changed_model"], one["former_question"]) for one in nights] == [
        ("2024-01-06", 3, True, ""), ("2024-01-05", 2, True, "left_over < 20"), ("2024-01-04", 1, False, ""),
        ("2024-01-03", 1, False, ""),
    ]  # fmt: skip
    page = client.get("/p/shops/key/s000003").text
    assert "answer what is asked no longer: <code>left_over &lt; 20</code>." in page
    assert page.count("<small>another question</small>") == 1


def test_while_nothing_runs_the_figures_are_those_that_readers_see(published: Ledger, ask: Callable, clock: Callable) -> None:
    clock.now = datetime(2024, 3, 1, tzinfo=UTC)
    one = ask("/")["pipelines"][0]
    assert (one["state"], one["late"]) == ("missing", True)
    assert (one["night"]["night"], one["night"]["predictions"]) == ("2024-01-04", 66)


def test_searching_a_key_leads_to_its_page(published: Ledger, client: TestClient) -> None:
    found = client.get("/p/shops", params={"key": "s000003"})
    assert (found.status_code, found.headers["location"]) == (303, "/p/shops/key/s000003")


def test_health_asks_nothing_and_readiness_asks_the_database(client: TestClient) -> None:
    assert client.get("/healthz").json()["status"] == "ok"
    assert client.get("/readyz").json()["status"] == "ready"


def test_every_operation_of_the_api_is_documented_on_our_own_page(client: TestClient) -> None:
    document, page = client.get("/openapi.json").json(), client.get("/docs").text
    assert {"/api/v1/", "/api/v1/p/{pipeline}/rows", "/healthz"} <= set(document["paths"])
    for path in document["paths"]:
        assert path in page


def test_head_answers_the_headers_without_the_body(published: Ledger, client: TestClient) -> None:
    head = client.head("/p/shops")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["overnight-trust"] == client.get("/p/shops").headers["overnight-trust"]


def test_a_page_without_rows_leads_to_why_and_to_rows_that_there_are(published: Ledger, client: TestClient) -> None:
    published.hold("2024-01-05")
    page = client.get("/p/shops/rows?night=2024-01-05").text
    assert 'href="/p/shops/2024-01-05">What happened to that night' in page
    assert 'href="/p/shops/rows">Rows of the newest published night' in page
    assert "repair the source, then overnight run shops --interval 2024-01-05" in page
    assert page.count("7.2 % of stock is empty, limit 2 %.") == 1, "what the trust line says is not said again below it"


def test_a_question_that_is_not_understood_leads_back_to_its_pipeline(published: Ledger, client: TestClient) -> None:
    assert 'href="/p/shops">Back to shops' in client.get("/p/shops/rows?stock=many").text
    assert "Back to shop<" not in client.get("/p/shop").text, "there is none to go back to"


def test_the_api_s_page_begins_with_what_readers_ask_and_shows_code_as_code(client: TestClient) -> None:
    page = client.get("/docs").text
    assert page.index("/api/v1/p/{pipeline}/rows") < page.index("GET /healthz")
    assert "<code>Overnight-Trust</code>" in page
    assert "`" not in page
    assert "/api/v1/p/flights/rows?sort=-probability&amp;columns=flight_id,probability&amp;limit=2" in page
