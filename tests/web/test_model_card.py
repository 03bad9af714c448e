"""A card shows how its model was right and wrong, for each kind of question, as a page and as files."""

from typing import Any

import numpy as np
import pytest
from bookkeeping import Ledger
from fastapi.testclient import TestClient

from domain.words import Task
from tasks.evidence import curves, interval, intervals
from tasks.predictions import Said

CHANCE = np.random.default_rng(5)
KINDS = ["wren", "robin", "firecrest"]


def yes_no() -> Said:
    values = CHANCE.uniform(size=400)
    return Said(CHANCE.uniform(size=400) < values**2, values, Task.CLASSIFICATION)


def number() -> Said:
    answers = CHANCE.normal(50, 20, size=400)
    return Said(np.append(answers, 5000.0), np.append(answers + CHANCE.normal(0, 5, size=400), 60.0), Task.REGRESSION)


def classes() -> Said:
    """Of 200 rows one is a firecrest, and it is taken for a robin."""
    actual = np.array(["wren"] * 120 + ["robin"] * 79 + ["firecrest"], dtype=object)
    said = np.array([0] * 110 + [1] * 10 + [1] * 79 + [1])
    return Said(actual, np.eye(3)[said] * 0.8 + 0.2 / 3, Task.CLASSIFICATION, KINDS)


def card_of(said: Said, metric: str) -> tuple[dict[str, Any], dict[str, Any]]:
    card = {
        "question": "What will it be?", "measured": {"metric": metric, "how": "On held-out nights.", "note": "there was none"},
        "intervals": intervals(said), "curves": curves(said), "seconds": 2.5, "threads": 1,
        "importance": [{"feature": "stock", "loss": 0.2, "spread": 0.01}, {"feature": "x | <b>", "loss": -0.01, "spread": 0.0}],
        "slices": [{"feature": "region", "value": "north", "rows": 40, metric: 0.5}],
        "data": {"nights": ["2024-01-01", "2024-01-02"], "batches": [1, 3], "rows": 90, "sampling": "every row"},
    }  # fmt: skip
    return card, {"held_out": said.figures(), "held_out_dummy": {metric: 0.25}, "challenger": said.figures()}


@pytest.mark.parametrize(
    ("said", "metric", "pictures", "words"),
    [
        (yes_no(), "roc_auc", 3, ["ROC curve. With 20 % of the false ones", "Calibration. Farthest off"]),
        (number(), "mae", 2, ["Residuals of 401 rows", "The largest misses:", "4\u202f940"]),
        (classes(), "accuracy", 0, ["91.7 %", "Confusion matrix", '<td class="num right of-4">110</td>', ">firecrest</th>"]),
    ],
    ids=["yes or no", "number", "classes"],
)  # fmt: skip
def test_a_card_is_drawn_for_each_kind_of_question(
    ledger: Ledger, client: TestClient, said: Said, metric: str, pictures: int, words: list[str]
) -> None:
    card, metrics = card_of(said, metric)
    ledger.publish("2024-01-01")
    ledger.train("2024-01-03", card=card, metrics=metrics, task=str(said.task))
    page = client.get("/p/shops/models/1")
    assert page.status_code == 200, page.text
    assert page.text.count('<svg class="plot"') == pictures
    assert page.text.count("<table") == page.text.count("<caption")
    assert [word for word in words if word not in page.text] == []
    assert "<b>" not in page.text
    assert "(others)" not in page.text  # nothing fell there


def test_a_card_is_a_file_in_markdown_and_json_with_its_trust_line(ledger: Ledger, client: TestClient) -> None:
    card, metrics = card_of(classes(), "accuracy")
    ledger.publish("2024-01-01")
    ledger.train("2024-01-03", card=card, metrics=metrics)
    text = client.get("/p/shops/models/1.md")
    assert text.headers["content-type"].startswith("text/markdown")
    assert 'filename="shops-model-1.md"' in text.headers["content-disposition"]
    assert "overnight-trust" in text.headers
    assert "| firecrest | 1 | 0 % | 0 | \N{EN DASH} |" in text.text
    assert "| wren | 110 | 10 | 0 |" in text.text
    assert "| x \\| &lt;b> | -0.0100 |" in text.text
    low, high = card["intervals"]["accuracy"]
    assert f"| accuracy | 0.9450 | {low:.4f} to {high:.4f} | 0.2500 |" in text.text
    document = client.get("/api/v1/p/shops/models/1.json").json()
    assert document == client.get("/api/v1/p/shops/models/1").json()
    assert document["card"]["curves"] == card["curves"]
    assert client.get("/p/shops/models/1.pdf").status_code == 422
    assert client.get("/p/shops/models/7.md").status_code == 404


@pytest.mark.parametrize("said", [yes_no(), number(), classes()], ids=["yes or no", "number", "classes"])
def test_the_fast_intervals_are_those_of_the_metrics_themselves(said: Said) -> None:
    found = intervals(said)
    assert set(said.figures()) - set(found) <= {"roc_auc", "f1"}
    for metric, span in found.items():
        assert span == pytest.approx(interval(said, metric), abs=2e-6), metric


def test_one_strange_row_does_not_squeeze_the_residuals_into_one_bin() -> None:
    drawn = curves(number())["residuals"]
    assert max(drawn["rows"]) < 200
    assert (sum(drawn["rows"]), drawn["beyond"][1], drawn["most"]) == (401, 2, 4940.0)


SEARCHED = {
    "chosen": {"max_depth": 3, "learning_rate": 0.1}, "stopped": None, "note": "",
    "rungs": [{"rows": 120, "candidates": 4}, {"rows": 360, "candidates": 1}],
    "tried": [{"params": {"max_depth": depth, "learning_rate": 0.1}, "rung": 1, "rows": 120, "roc_auc": 0.6 + depth / 100}
              for depth in (1, 2, 3, 4)]
    + [{"params": {"max_depth": 3, "learning_rate": 0.1}, "rung": 2, "rows": 360, "roc_auc": 0.66}],
    "twins": [{"chosen": {"max_depth": 2, "learning_rate": 0.1}, "stopped": None, "note": ""}],
}  # fmt: skip


def test_a_card_tells_what_was_searched_what_lies_later_and_how_little_it_is_worth(ledger: Ledger, client: TestClient) -> None:
    card, metrics = card_of(yes_no(), "roc_auc")
    card |= {"search": SEARCHED, "later_than_the_prediction": {
        "due": {"share": 0.98, "filled": 0.9, "comes_with_the_answer": False},
        "closed": {"share": 1.0, "filled": None, "comes_with_the_answer": False}}}  # fmt: skip
    metrics["held_out_dummy"] = {"roc_auc": metrics["held_out"]["roc_auc"] - 0.0001}
    card["intervals"]["roc_auc"] = [0.5, 0.99]
    ledger.publish("2024-01-01")
    ledger.train("2024-01-03", card=card, metrics=metrics)
    page, file = client.get("/p/shops/models/1").text, client.get("/p/shops/models/1.md").text
    answer = client.get("/p/shops/models/1.json").json()
    for words in (
        "It is not clearly better than the dummy, which looks at no feature: roc_auc 0.",
        "compared by roc_auc on rows that they had not learned from: 4 on 120 rows, then 1 on 360 rows.",
        "Chosen: max_depth 3, learning_rate 0.1.",
        "as a plan would be", "too few rows lack their answer to tell a plan from a leak",
    ):  # fmt: skip
        assert words in page, words
        assert words in file, words
    assert (answer["clearly_better"], answer["worth"][:27]) == (False, "It is not clearly better th")
    assert "| 2 | 360 | 3 | 0.1 | 0.6600 | chosen |" in file
    assert page.count("<td>chosen</td>") == 1
    assert "max_depth 2, learning_rate 0.1" in page, "what a twin chose"
    assert "search · " not in page, "nothing of it is left among the plain facts"
