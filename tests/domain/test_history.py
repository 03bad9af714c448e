"""Whether a night is as nights usually are: the sentence, and what is said while nothing is usual yet."""

import pytest

from domain.history import Judged, Usual, judge_number, judge_shares
from domain.nearness import suggest_nearness
from domain.suggestion import ColumnShape, NightShape

SUNDAYS = Usual(
    "the last 6 Sundays",
    figures={
        ("", "rows"): (800.0, 6),
        ("price", "mean"): (0.0, 6),
        ("price", "null_share"): (0.02, 6),
        ("new", "mean"): (1.0, 2),
    },
    shares={"origin": {"EWR": 0.4, "JFK": 0.35, "LGA": 0.25}},
    shared={"origin": 6},
)


@pytest.mark.parametrize(
    ("said", "figure", "place", "limits", "state", "sentence"),
    [
        ("the night has {} rows", 1000, ("", "rows"), {"within": 0.4}, "passed",
         "the night has 1,000 rows, usually 800 (the last 6 Sundays), limit 40% from that"),
        ("the night has {} rows", 400, ("", "rows"), {"within": 0.4}, "failed",
         "the night has 400 rows, usually 800 (the last 6 Sundays), limit 40% from that"),
        ("{} of price is empty", 0.2, ("price", "null_share"), {"within": 0.1, "points": True}, "failed",
         "20% of price is empty, usually 2% (the last 6 Sundays), limit 10 points from that"),
        ("the mean of price is {}", None, ("price", "mean"), {"within": 0.1}, "failed",
         "the mean of price is nothing, usually 0 (the last 6 Sundays)"),
        ("the mean of price is {}", 0.0, ("price", "mean"), {"within": 0.1}, "passed",
         "the mean of price is 0, usually 0 (the last 6 Sundays), limit 10% from that"),
        ("the mean of new is {}", 1.0, ("new", "mean"), {"within": 0.1}, "not judged",
         "not enough history yet: 2 of the last 6 Sundays are published, 3 are needed"),
        ("the mean of gone is {}", 1.0, ("gone", "mean"), {"within": 0.1}, "not judged",
         "not enough history yet: 0 of the last 6 Sundays are published, 3 are needed"),
    ],
)  # fmt: skip
def test_a_figure_is_compared_with_its_usual_value(
    said: str, figure: float | None, place: tuple[str, str], limits: dict[str, float], state: str, sentence: str
) -> None:
    judged = judge_number(said, figure, SUNDAYS, place, **limits)  # type: ignore[arg-type]
    assert (judged.state, judged.sentence) == (state, sentence)


def test_shares_that_moved_are_told_with_the_value_that_moved_most() -> None:
    judged = judge_shares("origin", {"EWR": 0.1, "JFK": 0.65, "LGA": 0.25}, SUNDAYS, within=0.1)
    assert judged == Judged(
        "failed",
        "30% of origin is another value than usual, most of all JFK with 65%, usually 35% (the last 6 Sundays), limit 10%",
        {"moved": 0.3, "most": "JFK", "nights": 6},
    )
    assert judge_shares("origin", {"EWR": 0.42, "JFK": 0.33, "LGA": 0.25}, SUNDAYS, within=0.1).state == "passed"
    assert judge_shares("origin", {"SWF": 1.0}, SUNDAYS, within=0.9).state == "failed", "a value never seen counts too"
    assert judge_shares("origin", None, SUNDAYS, within=0.5).state == "failed", "a column without values is another one"


def night(rows: int, kind: str, mean: float = 10.0, north: float = 0.5) -> NightShape:
    column = ColumnShape(1.0, rows, numbers=(0.0, 20.0, mean, 3.0))
    return NightShape(
        rows, {"stock": column, "region": ColumnShape(1.0, 2, shares={"north": north, "south": 1 - north})}, kind=kind
    )


def test_weeks_that_repeat_are_compared_by_weekday_and_others_by_the_nights_before() -> None:
    weekly = [night(100 if day % 7 else 500, kind=str(day % 7), mean=10 + day / 100) for day in range(28)]
    lines = [suggestion.line for suggestion in suggest_nearness(weekly)]
    assert {"expect": "row_count_to_be_near_history", "nights": 6, "within": "30%"} in lines
    assert {"expect": "column_mean_to_be_near_history", "column": "stock", "nights": 6, "within": "5%"} in lines
    assert {"expect": "column_shares_to_be_near_history", "column": "region", "nights": 6, "within": "5%"} in lines
    young = [night(100 + day, kind=str(day % 7)) for day in range(10)]
    assert suggest_nearness(young)[0].line == {
        "expect": "row_count_to_be_near_history", "nights": 6, "same_weekday": False, "within": "30%"
    }  # fmt: skip
    assert suggest_nearness(weekly[:6]) == [], "six nights tell nothing of how far nights are from each other"


def test_figures_that_jump_from_night_to_night_are_not_proposed() -> None:
    jumping = [night(10 ** (1 + day % 3), kind="0", mean=3.0 ** (day % 4)) for day in range(12)]
    assert [suggestion.line["expect"] for suggestion in suggest_nearness(jumping)] == ["column_shares_to_be_near_history"]
