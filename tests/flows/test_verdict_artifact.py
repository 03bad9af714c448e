"""What a night leaves in Prefect's UI: the verdict as the web's page has it, and never at the night's expense."""

from pathlib import Path
from threading import Event

import pytest

from deployments.catalogue import load_definition
from domain.report import StageReport
from domain.words import Stage, StageState
from flows.artifacts import Showing, describe_verdict
from infra.settings import Settings

PASSED = {
    "rule": "column_mean_to_be_between(stock)", "says": "the mean of stock is 10 to 90", "state": "passed",
    "severity": "critical",
    "observed": 47.5, "limit": "10 to 90", "sentence": "the mean of stock is 47.5, limit 10 to 90", "examples": [],
}  # fmt: skip
FAILED = {
    "rule": "column_values_to_not_be_null(region)", "says": "region is filled | always", "state": "failed",
    "severity": "critical",
    "limit": "2%", "unexpected_count": 1234, "unexpected_percent": 5.5, "judged_count": 22436,
    "sentence": "5.5% of region is null",
    "examples": [{"shop": f"s{number}<b>", "region": None} for number in range(30)],
}  # fmt: skip


def test_rules_stand_with_their_figures_the_failing_first_and_with_their_rows() -> None:
    text = describe_verdict(
        {"outcome": "held", "reason": "held: 5.5%", "results": [PASSED, FAILED, "odd"]}, label="shops 2024-01-04"
    )
    lines = text.splitlines()
    assert "| rule | result | severity | measured | limit | failing | of | share | name |" in lines
    assert lines.index(
        f"| region is filled \\| always | failed | critical |  | 2% | 1,234 | 22,436 | 5.5% | {FAILED['rule']} |"
    ) < lines.index(f"| the mean of stock is 10 to 90 | passed | critical | 47.5 | 10 to 90 |  |  |  | {PASSED['rule']} |")
    assert text.count("&lt;b>") == 20
    assert "<b>" not in text


def test_a_night_that_is_interrupted_does_not_wait_for_a_server_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, answers, made = Event(), Event(), list[int]()

    def ask_the_server(_: Showing, run_id: int, __: StageReport) -> None:
        asked.set()
        answers.wait(60)
        made.append(run_id)

    def begin() -> Showing:
        flights = load_definition(Path(__file__).parents[2] / "deployments", "flights")
        return Showing(flights, flights.pipeline.calendar.first, Settings())

    def validate(showing: Showing, run_id: int) -> None:
        showing.after(lambda stage, _, __: StageReport(stage, StageState.DONE))(Stage.VALIDATE, run_id, Settings())

    def interrupt(showing: Showing) -> None:
        with showing:
            validate(showing, 1)
            validate(showing, 2)
            asked.wait(60)
            raise KeyboardInterrupt

    monkeypatch.setattr(Showing, "_show_verdict", ask_the_server)
    interrupted = begin()
    with pytest.raises(KeyboardInterrupt):
        interrupt(interrupted)
    assert made == [], "what is under way is left alone"
    answers.set()
    interrupted._beside.join()
    assert made == [1], "what was still to come is given up"
    with begin() as showing:
        validate(showing, 3)
    assert made == [1, 3], "a night that ends waits for what it shows"
