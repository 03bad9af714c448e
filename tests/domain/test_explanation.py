"""`explain` says what a definition means, in the numbers of that definition."""

from pathlib import Path

import pytest

import deployments
from deployments.catalogue import load_definition
from domain.explanation import explain_pipeline, told_night

SHELF = Path(deployments.__file__).parent


def told(name: str) -> str:
    definition = load_definition(SHELF, name)
    chapters = explain_pipeline(definition.pipeline, [str(line.get("severity", "critical")) for line in definition.expectations])
    return "\n".join(f"{title}: {' '.join(sentences)}" for title, sentences in chapters)


def test_a_yes_no_question_is_told_with_its_rule_limits_and_times() -> None:
    text = told("flights")
    assert "predicts whether arr_delay > 15, from 6 columns" in text
    assert "ROC AUC on the newest answers reaches 0.55 and is better than guessing" in text
    assert "flight_id names a row, sched_dep says when it happens" in text
    assert "more than 2% of them hold the night" in text
    assert "readers expect the result by 07:00" in text


def test_a_number_is_told_with_an_error_that_is_to_be_small() -> None:
    text = told("departures")
    assert "predicts departed, a number," in text
    assert "MAE on the newest answers is at most" in text


@pytest.mark.parametrize(
    ("newest", "due", "champion", "expected"),
    [
        (None, "2024-01-01", None, "Nothing has been published yet. The next run takes 2024-01-01. There is no champion yet"),
        ("2024-01-01", None, "Version 2", "newest night that readers see is 2024-01-01. No night is due"),
    ],
)
def test_where_it_stands(newest: str | None, due: str | None, champion: str | None, expected: str) -> None:
    assert expected in " ".join(told_night(newest=newest, due=due, champion=champion))
