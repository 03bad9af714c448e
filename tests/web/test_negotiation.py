"""One address, several forms: a page, JSON, CSV, NDJSON, Parquet, by suffix or by what is accepted."""

import pytest
from bookkeeping import Ledger
from fastapi.testclient import TestClient

FILES = {"text/csv": "csv", "application/x-ndjson": "ndjson", "application/vnd.apache.parquet": "parquet"}
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8"


@pytest.mark.parametrize("path", ["/", "/p/shops", "/p/shops/rows?limit=3", "/p/shops/2024-01-04", "/p/shops/2024-01-04/verdict",
                                  "/p/shops/models/1", "/p/shops/key/s000003", "/p/shops/scoreboard"])  # fmt: skip
def test_a_page_s_address_answers_json_to_who_accepts_that_first_and_a_page_to_browsers(
    published: Ledger, client: TestClient, path: str
) -> None:
    said = client.get(f"/api/v1{path}")
    for accept in ("application/json", "application/json, text/plain, */*", "Application/JSON; q=0.9"):
        answer = client.get(path, headers={"Accept": accept})
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
        assert answer.json() == said.json()
        assert "accept" in answer.headers["vary"].lower()
    for accept in (BROWSER, "*/*", ""):
        assert client.get(path, headers={"Accept": accept}).headers["content-type"].startswith("text/html")


@pytest.mark.parametrize("start", ["/p/shops", "/api/v1/p/shops"])
@pytest.mark.parametrize("path", ["/rows", "/2024-01-04", "/latest"])
def test_rows_come_in_the_form_that_is_accepted_or_named_by_suffix(
    published: Ledger, client: TestClient, start: str, path: str
) -> None:
    for accept, suffix in FILES.items():
        accepted, named = client.get(start + path, headers={"Accept": accept}), client.get(f"{start}{path}.{suffix}")
        assert accepted.status_code == named.status_code == 200
        assert accepted.headers["content-type"].startswith(accept)
        assert accepted.headers["content-disposition"] == named.headers["content-disposition"]
    assert client.get(f"{start}{path}.json").json() == client.get(f"/api/v1/p/shops{path}").json()


def test_what_has_no_such_form_is_what_it_is(published: Ledger, client: TestClient) -> None:
    assert client.get("/p/shops/scoreboard", headers={"Accept": "text/csv"}).headers["content-type"].startswith("text/html")
    assert (
        client.get("/p/shops/feed.atom", headers={"Accept": "application/json"})
        .headers["content-type"]
        .startswith("application/atom+xml")
    )
    assert client.get("/p/shops/rows.csv", headers={"Accept": "application/json"}).headers["content-type"].startswith("text/csv")
    assert client.get("/p/shops/key/a.json").status_code == 404
    assert "a.json" in client.get("/p/shops/key/a.json").text
