"""The verdict in Prefect's UI says what the web's page says."""

from flows.artifacts import describe_verdict

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
