"""Published rows: every row exactly once, in the order asked for, of one batch."""

from collections.abc import Callable

import pytest
from bookkeeping import Ledger
from fastapi.testclient import TestClient


def pages(client: TestClient, path: str) -> list[dict]:
    """Every row of every page, by following `next`."""
    rows: list[dict] = []
    while path:
        answer = client.get(path)
        assert answer.status_code == 200, answer.text
        rows += answer.json()["rows"]
        path = answer.json()["next"]
    return rows


@pytest.mark.parametrize("sort", ["", "shop", "-shop", "price", "-price", "region", "-prediction", "probability", "-opened"])
def test_following_next_visits_each_row_once_in_order_at_ties_and_empty_cells_too(
    published: Ledger, client: TestClient, sort: str
) -> None:
    rows = pages(client, f"/api/v1/p/shops/rows?limit=7&sort={sort}")
    assert len(rows) == len({row["shop"] for row in rows}) == 66
    column = sort.removeprefix("-") or "shop"
    values = [row[column] for row in rows if row[column] is not None]
    assert values == sorted(values, reverse=sort.startswith("-"))
    assert all(row[column] is None for row in rows[len(values) :])


@pytest.mark.parametrize(
    ("filters", "holds"),
    [
        ("region=north", lambda row: row["region"] == "north"),
        ("region__ne=north", lambda row: row["region"] != "north"),
        ("stock__gt=50", lambda row: row["stock"] > 50),
        ("stock__ge=10&stock__le=20", lambda row: 10 <= row["stock"] <= 20),
        ("price__null=true", lambda row: row["price"] is None),
        ("price__null=false", lambda row: row["price"] is not None),
        ("prediction=yes", lambda row: row["prediction"] is True),
        ("opened__lt=2024-01-04T00:30", lambda row: row["opened"] < "2024-01-03T23:30"),
    ],
)
def test_a_filter_keeps_what_it_says(published: Ledger, client: TestClient, filters: str, holds: Callable) -> None:
    every = pages(client, "/api/v1/p/shops/rows?limit=1000")
    kept = pages(client, f"/api/v1/p/shops/rows?limit=10&{filters}")
    assert kept == [row for row in every if holds(row)]
    assert 0 < len(kept) < len(every)


def test_columns_are_those_of_the_contract_and_no_others(published: Ledger, client: TestClient) -> None:
    answer = client.get("/api/v1/p/shops/rows?columns=shop,probability&limit=1").json()
    assert answer["columns"] == {"shop": "text", "probability": "float"}
    assert list(answer["rows"][0]) == ["shop", "probability"]
    refused = client.get("/api/v1/p/shops/rows?columns=shop,batch_id")
    assert refused.status_code == 400
    assert "no column of shops" in refused.json()["detail"]


def test_as_of_tells_what_readers_saw_then(published: Ledger, client: TestClient) -> None:
    before = client.get("/api/v1/p/shops/rows").json()
    moment = before["trust"]["published_at"]
    published.publish("2024-01-04", model=1, salt="corrected", shift=0.25)
    now = client.get("/api/v1/p/shops/rows").json()
    then = client.get("/api/v1/p/shops/rows", params={"as_of": moment}).json()
    assert now["rows"] != before["rows"]
    assert then["rows"] == before["rows"]
    assert then["trust"]["batch"] == before["trust"]["batch"]
    assert client.get("/api/v1/p/shops/rows", params={"as_of": "2020-01-01"}).json()["trust"]["batch"] is None
    ahead = client.get("/api/v1/p/shops/rows", params={"as_of": "2890-01-01"})
    assert (ahead.status_code, "nobody knows yet" in ahead.json()["detail"]) == (400, True)


def test_pages_of_one_walk_that_meet_a_publication_are_told_apart_by_their_batch(published: Ledger, client: TestClient) -> None:
    first = client.get("/api/v1/p/shops/rows?limit=30").json()
    published.publish("2024-01-04", model=1, salt="corrected", shift=0.25)
    second = client.get(first["next"]).json()
    assert first["trust"]["batch"] != second["trust"]["batch"]


def test_the_form_leads_to_a_permalink(published: Ledger, client: TestClient) -> None:
    asked = {"night": "latest", "where": "stock", "is": "gt", "value": "50", "region": "north", "sort": ""}
    answer = client.get("/p/shops/rows", params=asked)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/p/shops/rows?night=latest&region=north&stock__gt=50"
    assert "stock &gt; 50" in client.get(answer.headers["location"]).text


def test_a_night_that_holds_no_match_says_so(published: Ledger, client: TestClient) -> None:
    assert "No row of the 66 in this batch matches" in client.get("/p/shops/rows?region=west").text


def test_columns_stand_in_the_order_of_the_contract(published: Ledger, client: TestClient) -> None:
    columns = list(client.get("/api/v1/p/shops/rows?columns=*").json()["columns"])
    contract = list(published.definition.pipeline.columns)
    assert [name for name in columns if name in contract] == contract
