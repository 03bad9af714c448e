"""The scoreboard tells a realised figure from an estimate, and who was champion when."""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from bookkeeping import Ledger
from fastapi.testclient import TestClient

from store.engine import transaction

ESTIMATE = """
INSERT INTO overnight.estimate (pipeline, interval_start, batch, model, metric, value, low, high, rows, run)
SELECT pipeline, interval_start, id, model, 'roc_auc', 0.66, 0.61, 0.72, rows, run FROM overnight.batch
WHERE kind = 'prediction' ORDER BY id DESC LIMIT 1
"""


def test_an_estimate_is_marked_and_never_stands_where_a_realised_figure_would(
    published: Ledger, client: TestClient, ask: Callable[[str], Any], writer: sa.Engine
) -> None:
    with transaction(writer) as connection:
        connection.execute(sa.text(ESTIMATE))
    scores = {score["night"]: score for score in ask("/p/shops/scoreboard")["scores"]}
    assert (scores["2024-01-03"]["value"], scores["2024-01-03"]["estimate"]) == (0.71, None)
    assert (scores["2024-01-04"]["value"], scores["2024-01-04"]["estimate"]) == (None, 0.66)
    page = client.get("/p/shops/scoreboard")
    assert page.status_code == 200
    assert "estimated 0.6600" in page.text
    assert ask("/")["pipelines"][0]["estimate"]["value"] == 0.66
    assert ask("/")["pipelines"][0]["quality"]["value"] == 0.71  # of the night before
    assert "an estimate, 0.610 to 0.720, until the answers of Thu 4 Jan 2024 come" in client.get("/").text
    assert "It is no realised figure." in client.get("/p/shops").text
    published.judge_quality("2024-01-04", batch=scores["2024-01-04"]["batch"], model=1, value=0.7)
    assert ask("/p/shops")["summary"]["estimate"] is None  # the answers have come
    assert page.text.count("<h1>") == page.text.count("<caption") == 1


def test_who_was_champion_on_a_night_is_one_address(published: Ledger, ask: Callable[[str], Any]) -> None:
    assert ask("/p/shops/champion?night=2024-01-02")["version"] is None
    assert ask("/p/shops/champion?night=2024-01-04")["version"] == 1
