"""What pages and API say of a night's verdict, of how it differs from the night before, and of drift."""

import re
from collections.abc import Callable

import pytest
from bookkeeping import Ledger
from fastapi.testclient import TestClient

from domain.spec.running import HoldIf
from domain.words import Outcome, RunState, Stage, StageState
from store.runs import claim, finish_run
from web.answers import DriftFigure, RuleNight
from web.differences import read_limits
from web.pictures import distribution, drift, history
from web.rulewords import read_limit, rule_title


def test_the_verdict_says_of_each_rule_what_it_found_beside_its_limit_and_its_last_nights(
    published: Ledger, client: TestClient, ask: Callable
) -> None:
    answer = ask("/p/shops/2024-01-04/verdict")
    assert [rule["title"] for rule in answer["rules"]] == [
        "region is there", "stock is between 0 and 1\u202f000", "the mean of stock is between 10 and 90",
    ]  # fmt: skip
    failed = answer["rules"][0]
    assert (failed["failing"], failed["judged"], failed["share"], failed["limit"]) == (3, 60, 0.05, "2%")
    assert [one["night"] for one in failed["history"]] == ["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04"]
    assert failed["history"][-1] == {"night": "2024-01-04", "state": "failed", "value": 5.0, "low": None, "high": 2.0}
    mean = answer["rules"][2]
    assert (mean["observed"], mean["history"][0]["low"], mean["history"][0]["high"]) == (47.5, 10, 90)
    page = client.get("/p/shops/2024-01-04/verdict").text
    assert "3 of 60 rows have no region" in page
    assert "<td>s004</td>" in page
    assert "ea&lt;st" in page
    assert page.count("<svg") == 5
    assert "4 nights, newest 5 %, limit 2 %." in page


def test_a_night_that_was_held_shows_its_verdict_and_what_helps(published: Ledger, client: TestClient) -> None:
    published.hold("2024-01-05")
    page = client.get("/p/shops/2024-01-05/verdict").text
    assert "7.2 % of stock is empty, limit 2 %" in page
    assert "overnight" in re.findall(r'class="todo".*', page)[0]


def test_a_night_that_nothing_judged_says_so(published: Ledger, client: TestClient) -> None:
    page = client.get("/p/shops/2024-01-05/verdict").text
    assert "Validation has not judged this night." in page


def test_a_night_is_compared_with_the_last_published_one(published: Ledger, client: TestClient, ask: Callable) -> None:
    published.publish("2024-01-05", model=1, rows=40, shift=0.3)
    diff = ask("/p/shops/2024-01-05")["diff"]
    assert (diff["against"], diff["rows"], diff["rows_before"]) == ("2024-01-04", 40, 66)
    assert (diff["added"], diff["gone"], diff["common"], diff["flips"]) == (0, 26, 40, 0)
    assert sum(diff["before"]) == 66
    assert sum(diff["after"]) == 40
    assert diff["moves"][0]["after"] - diff["moves"][0]["before"] == pytest.approx(0.3)
    assert {one["column"] for one in diff["columns"]} == {"stock", "price", "region", "opened"}
    page = client.get("/p/shops/2024-01-05").text
    assert "No limit holds this pipeline" in page
    assert "0 new, 26 gone" in page
    assert ask("/p/shops/2024-01-03")["diff"] is None


def test_what_another_release_has_written_is_shown_as_far_as_it_can_be_read(published: Ledger, client: TestClient) -> None:
    odd = [
        {"expectation": "some_rule", "success": False},
        {"rule": "r", "picture": {"kind": "number"}, "limit": "2%"},
    ]
    with claim(published.writer, "shops", published.night("2024-01-05"), trigger="test", holder={"pid": 1}) as run:
        batch = published._land(run, rows=5, rejects=0, salt="odd")
        published._judge(run, batch, Outcome.HELD, "held: odd", odd)  # type: ignore[arg-type]
        published._stage(run, Stage.PUBLISH, state=StageState.HELD, detail={"diff": {"against": "2024-01-04", "rows": "many"}})
        finish_run(published.writer, run.id, state=RunState.HELD, reason="held: odd")
    for path in ("/p/shops/2024-01-05/verdict", "/p/shops/2024-01-05", "/p/shops"):
        assert client.get(path).status_code == 200, path
    assert "some rule" in client.get("/p/shops/2024-01-05/verdict").text


def test_limits_stand_beside_what_was_found(published: Ledger) -> None:
    pipeline = published.definition.pipeline
    limits = HoldIf(rows_change=0.2, flips=0.5)  # type: ignore[arg-type]
    limited = pipeline.model_copy(update={"publish": pipeline.publish.model_copy(update={"hold_if": limits})})
    found = read_limits(limited, {"rows": 40, "rows_before": 66, "flipped": None, "psi": 3.0})
    assert [(one.name, one.limit, one.passed) for one in found] == [
        ("rows_change", 0.2, False), ("flips", 0.5, True), ("psi", None, True),
    ]  # fmt: skip


def test_drift_stands_on_the_night_and_over_the_nights(published: Ledger, client: TestClient, ask: Callable) -> None:
    published.publish("2024-01-05", model=1, rows=300, shift=0.3)
    lines = ask("/p/shops/2024-01-05")["drift"]
    assert [(one["kind"], one["feature"]) for one in lines] == [
        ("prediction", "prediction"),
        ("feature", "price"),
        ("feature", "region"),
    ]
    assert "price: past 0.25" in client.get("/p/shops/2024-01-05").text.replace("prediction, ", "")
    answer = ask("/p/shops")
    assert [(one["night"], round(one["psi"], 2)) for one in answer["drift"] if one["feature"] == "price"] == [
        ("2024-01-03", 0.03), ("2024-01-04", 0.03), ("2024-01-05", 0.63),
    ]  # fmt: skip
    assert [(one["night"], one["shifted"]) for one in answer["nights"][-2:]] == [("2024-01-04", []), ("2024-01-05", ["price"])]
    assert answer["nights"][-3]["champion"] == 1
    assert answer["nights"][-3]["quality"] == 0.71
    assert answer["nights"][-1]["rows_change"] == 4.0
    page = client.get("/p/shops").text
    assert "rows +400" in page
    assert "★ v1" in page


@pytest.mark.parametrize(
    ("limit", "bounds"),
    [
        ("2%", (None, 2)), ("500 to 1,300", (500, 1300)), ("at least 0.3", (0.3, None)), ("at most -5", (None, -5)),
        ("-1.5e+3 to 2", (-1500, 2)), ("", (None, None)), ("2024-01-01 to 2024-01-02", (None, None)),
        ("1 to 2 to 3", (None, None)),
        (", to ,", (None, None)),
    ],
)  # fmt: skip
def test_a_limit_that_has_figures_can_be_drawn(limit: str, bounds: tuple[float | None, float | None]) -> None:
    assert read_limit(limit) == bounds


@pytest.mark.parametrize("result", [
    {}, {"rule": "a_rule"}, {"expectation": "column_values_to_be_between", "line": None},
    {"expectation": "x", "line": {"name": "own"}},
    {"expectation": "column_value_lengths_to_equal", "columns": ["a"], "line": {"expect": "y"}}, {"line": [], "columns": "ab"},
    {"expectation": "column_values_to_be_in_set", "columns": ["a{b}"], "line": {"value_set": ["{0}", 1, None, 2, 3, 4, 5, 6]}},
])  # fmt: skip
def test_a_rule_of_any_form_has_a_title(result: dict) -> None:
    assert rule_title(result)


def test_pictures_of_nothing_are_nothing_and_of_one_point_are_seen() -> None:
    assert distribution({}) == distribution({"kind": "number", "counts": [1, 2], "low": 0, "high": 1}) == ""
    assert distribution({"kind": "value", "values": []}) == ""
    assert 'role="img"' in distribution({"kind": "number", "counts": [0, 9, 0], "low": 5, "high": 5}, (5, None))
    assert 'role="img"' in distribution({"kind": "moment", "counts": [0, 9, 0], "low": -1e18, "high": 1e18})
    assert (
        history([], percent=True)
        == history([RuleNight(night="a", state="passed", value=None, low=1, high=2)], percent=False)
        == ""
    )
    one = history([RuleNight(night="a", state="failed", value=0.0, low=None, high=0.0)], percent=True)
    assert "nan" not in one.lower()
    far = DriftFigure(
        night="a", kind="feature", feature="f", psi=99, distance=1, missing=0, missing_then=0, rows=500, model_version=1
    )
    assert 'class="bad"' in drift([far], ["a"])
    assert 'class="bad"' not in drift([far.model_copy(update={"rows": 50})], ["a"])


@pytest.mark.parametrize(
    ("typed", "leads_to"),
    [
        ("shops", "/p/shops"), ("2024-01-04", "/p/shops/2024-01-04"), ("s000003", "/p/shops/key/s000003"),
        ("shops 2024-01-04", "/p/shops/2024-01-04"), ("shops s000003", "/p/shops/key/s000003"),
        (" s000003 ", "/p/shops/key/s000003"),
    ],
)  # fmt: skip
def test_whatever_has_a_name_is_found_by_it(published: Ledger, client: TestClient, typed: str, leads_to: str) -> None:
    found = client.get("/search", params={"q": typed})
    assert (found.status_code, found.headers.get("location")) == (303, leads_to)
    assert "Nothing is called" in client.get("/search", params={"q": typed + "x"}).text


def test_values_of_rows_are_counted_and_lead_to_their_rows(published: Ledger, client: TestClient, ask: Callable) -> None:
    facets = {one["column"]: one for one in ask("/p/shops/rows?facets=yes&stock__lt=20")["facets"]}
    rows = ask("/p/shops/rows?stock__lt=20&limit=1000")["rows"]
    for name, facet in facets.items():
        for value in facet["values"]:
            assert value["rows"] == sum(str(row[name]).lower() == value["value"] for row in rows)
    assert "facets" not in facets
    page = client.get("/p/shops/rows?stock__lt=20").text
    address = re.findall(r'<a href="([^"]*region=north[^"]*)">north</a> <span class="num">(\d+)', page)[0]
    assert len(ask(address[0].replace("&amp;", "&"))["rows"]) == int(address[1])


def test_a_permalink_keeps_its_rows_when_the_night_is_published_again(published: Ledger, client: TestClient) -> None:
    page = client.get("/p/shops/rows?region=north&limit=5").text
    address = re.findall(r'<a href="([^"]+)">Permalink', page)[0].replace("&amp;", "&")
    before = client.get(f"/api/v1{address}").json()
    published.publish("2024-01-04", model=1, rows=30, salt="again", shift=0.2)
    after = client.get(f"/api/v1{address}").json()
    assert (before["rows"], before["trust"]["batch"]) == (after["rows"], after["trust"]["batch"])
    assert len(after["rows"]) == 5
    assert client.get("/api/v1/p/shops/rows").json()["total"] == 30
