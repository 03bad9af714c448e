"""What findings mean for a batch, as a table of cases."""

import pytest

from domain.verdict import RuleResult, Tally, decide_outcome, percent
from domain.words import Outcome, Severity


def said(state: str, severity: Severity = Severity.CRITICAL, sentence: str = "7.2% of age is null, limit 2%") -> RuleResult:
    return RuleResult("r", "e", ("age",), severity, "row", state, sentence)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("results", "tally", "outcome", "reason"),
    [
        ([said("passed")], Tally(100, 0, 0), Outcome.PASSED, "100 rows passed 1 rule"),
        ([said("rejects")], Tally(99, 0, 1), Outcome.PASSED_WITH_REJECTS, "1 of 100 rows set aside (1%, limit 2%)"),
        ([said("failed")], Tally(93, 0, 7), Outcome.HELD, "held: 7.2% of age is null, limit 2% (and 1 more)"),
        ([said("error", sentence="r could not be judged: no")], Tally(9, 0, 0), Outcome.HELD, "held: r could not be judged: no"),
        ([said("failed", Severity.WARNING)], Tally(100, 0, 0), Outcome.PASSED,
         "100 rows passed 1 rule; 1 warning: 7.2% of age is null, limit 2%"),
        ([said("error", Severity.INFO, "r could not be judged: no")], Tally(1, 0, 0), Outcome.PASSED,
         "1 row passed 1 rule; 1 warning: r could not be judged: no"),
        ([], Tally(0, 0, 0), Outcome.HELD, "held: the night has no rows"),
        ([], Tally(0, 3, 1), Outcome.HELD,
         "held: none of 4 rows is left: 3 unreadable, 1 caught by rules (and 1 more)"),
        ([], Tally(98, 2, 0), Outcome.PASSED_WITH_REJECTS, "2 of 100 rows set aside (2%, limit 2%)"),
        ([], Tally(97, 2, 1), Outcome.HELD, "held: 3% of rows were set aside (2 by ingest, 1 by rules), limit 2%"),
    ],
)  # fmt: skip
def test_the_outcome_and_its_sentence(results: list[RuleResult], tally: Tally, outcome: Outcome, reason: str) -> None:
    assert decide_outcome(results, tally, at_most=0.02) == (outcome, reason)


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.072, "7.2%"), (0.02, "2%"), (1.0, "100%"), (0.0, "0%"), (0.00004, "under 0.01%"), (0.99996, "over 99.99%"),
     (0.0005, "0.05%"), (0.995, "99.5%")],
)  # fmt: skip
def test_a_share_is_never_rounded_to_nothing_or_to_everything(share: float, text: str) -> None:
    assert percent(share) == text


def test_a_result_tells_the_page_all_it_shows() -> None:
    document = said("rejects").to_json()
    assert document["column"] == "age"
    assert document["success"] is True
    assert document["severity"] == "critical"
