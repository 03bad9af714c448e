"""When to train, on what to judge and whom to promote, as tables of cases."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.interval import Calendar, Interval
from domain.promotion import count_held_out, decide_promotion, decide_training, tell_dummy, tell_realised

NIGHT = datetime(2024, 2, 1, tzinfo=UTC)
WEEK = timedelta(days=7)


@pytest.mark.parametrize(
    ("given", "due", "why"),
    [
        ({"nights": 2}, False, "2 of 3 published nights to learn from"),
        ({"nights": 2, "asked": True}, False, "2 of 3 published nights to learn from"),
        ({}, True, "there is no model yet"),
        ({"ago": 6}, False, "the newest model was trained 6 days before this night, due after 7"),
        ({"ago": 7}, True, "the newest model was trained 7 days before this night"),
        ({"ago": 0}, False, "the newest model was trained 0 days before this night, due after 7"),
        ({"ago": 0, "after": timedelta(0)}, False, "the newest model was trained 0 days before this night, due after 0"),
        ({"ago": 1, "after": timedelta(0)}, True, "the newest model was trained 1 day before this night"),
        ({"ago": 900, "after": None}, False, "no training is due by age, and nothing else asks for it"),
        ({"ago": 900, "after": None, "asked": True}, True, "training was asked for"),
        ({"ago": 1, "changed": "the target changed"}, True, "the newest model was trained before the target changed"),
    ],
)
def test_training_is_due_when_there_is_no_model_or_it_is_old_or_asked_for(given: dict[str, Any], due: bool, why: str) -> None:
    last = NIGHT - timedelta(days=given["ago"]) if "ago" in given else None
    decision = decide_training(
        night=NIGHT, last_trained_for=last, retrain_after=given.get("after", WEEK), nights=given.get("nights", 3), needed=3,
        asked=given.get("asked", False), changed=given.get("changed", ""),
    )  # fmt: skip
    assert (decision.yes, decision.why) == (due, why)


def nights(count: int, *, zone: str = "UTC", first: str = "2024-01-01", every: str = "day") -> list[Interval]:
    from datetime import date
    from zoneinfo import ZoneInfo

    calendar = Calendar(every, ZoneInfo(zone), date.fromisoformat(first))
    found = [calendar.named(first)]
    while len(found) < count:
        found.append(calendar.after(found[-1]))
    return found


@pytest.mark.parametrize(
    ("count", "days", "held_out"),
    [(2, 7, 1), (3, 7, 1), (5, 7, 1), (6, 7, 2), (9, 2, 2), (60, 7, 7), (60, 0, 1), (1, 7, 1)],
)
def test_the_newest_nights_are_held_out_but_never_more_than_a_third(count: int, days: int, held_out: int) -> None:
    assert count_held_out(nights(count), holdout=timedelta(days=days)) == held_out


@pytest.mark.parametrize("first", ["2024-03-05", "2024-10-02"])
def test_a_change_of_clocks_adds_and_drops_no_held_out_night(first: str) -> None:
    assert count_held_out(nights(29, zone="Europe/Berlin", first=first), holdout=WEEK) == 7


@pytest.mark.parametrize(
    ("figures", "promoted", "why"),
    [
        ({"challenger": 0.7}, True, "there was no champion"),
        ({"challenger": 0.5}, False, "no better than the dummy"),
        ({"challenger": 0.49}, False, "no better than the dummy"),
        ({"challenger": 0.54, "at_least": 0.55}, False, "below the limit 0.55"),
        ({"challenger": 0.55, "at_least": 0.55}, True, "there was no champion"),
        ({"challenger": 0.7, "champion": 0.7}, True, "gain +0.0000, asked +0"),
        ({"challenger": 0.69, "champion": 0.7}, False, "gain -0.0100"),
        ({"challenger": 0.705, "champion": 0.7, "gain": 0.01}, False, "gain +0.0050, asked +0.01"),
        ({"challenger": 0.69, "champion": 0.7, "gain": -0.02}, True, "asked -0.02"),
        ({"challenger": 0.72, "champion": 0.7, "relative": 0.05}, False, "asked +0.035"),
        ({"challenger": 0.74, "champion": 0.7, "relative": 0.05}, True, "asked +0.035"),
        ({"challenger": 0.71, "champion": 0.7, "interval": (-0.01, 0.03)}, True, "(95% between -0.0100 and +0.0300)"),
        ({"challenger": 0.71, "champion": 0.7, "interval": (-0.01, 0.03), "certain": True}, False, "-0.0100"),
        ({"challenger": 0.73, "champion": 0.7, "interval": (0.01, 0.05), "certain": True}, True, "+0.0100"),
        ({"challenger": None}, False, "cannot be computed"),
        ({"metric": "rmse", "challenger": 2.0, "dummy": 3.0}, True, "there was no champion"),
        ({"metric": "rmse", "challenger": 3.5, "dummy": 3.0}, False, "no better than the dummy"),
        ({"metric": "rmse", "challenger": 2.0, "dummy": 3.0, "at_least": 1.5}, False, "above the limit 1.5"),
        ({"metric": "rmse", "challenger": 2.0, "dummy": 3.0, "champion": 2.5, "gain": 0.4}, True, "gain +0.5000"),
    ],
)
def test_a_challenger_must_beat_the_dummy_the_limit_and_the_champion(figures: dict[str, Any], promoted: bool, why: str) -> None:
    decision = decide_promotion(**{"metric": "roc_auc", "dummy": 0.5, "champion": None, **figures})
    assert decision.yes is promoted
    assert why in decision.why


@pytest.mark.parametrize(
    ("figures", "clearly", "says"),
    [
        ({"own": 0.49, "dummy": 0.5}, False, "It is no better than the dummy, which looks at no feature: roc_auc 0.4900 against"),
        ({"own": 0.52, "dummy": 0.5, "interval": (0.49, 0.55)}, False, "It is not clearly better than the dummy"),
        ({"own": 0.52, "dummy": 0.5, "interval": (0.51, 0.53)}, True, "It is clearly better than the dummy"),
        ({"own": 0.52, "dummy": 0.5}, False, "but nobody can say how surely"),
        ({"own": 2.0, "dummy": 2.5, "interval": (1.8, 2.6), "metric": "rmse"}, False, "It is not clearly better"),
        ({"own": 2.0, "dummy": 2.5, "interval": (1.8, 2.2), "metric": "rmse"}, True, "It is clearly better"),
        ({"own": None, "dummy": 0.5}, False, "cannot be computed on its held-out rows"),
    ],
)
def test_a_model_is_called_better_than_the_dummy_only_where_it_clearly_is(
    figures: dict[str, Any], clearly: bool, says: str
) -> None:
    found, words = tell_dummy(figures.pop("metric", "roc_auc"), figures.pop("own"), **figures)
    assert (found, says in words) == (clearly, True), words


def test_nights_that_the_dummy_won_are_told() -> None:
    assert tell_realised([], "roc_auc") == (True, "")
    assert tell_realised([(0.7, 0.5)], "roc_auc")[0]
    assert tell_realised([(0.7, 0.5), (0.5, 0.5), (0.6, 0.5)], "roc_auc") == (
        True, "On 1 of the 3 nights whose answers have arrived it was no better than the dummy."
    )  # fmt: skip
    assert not tell_realised([(3.0, 2.0), (1.0, 2.0)], "mae")[0]


def test_a_champion_that_was_not_asked_is_not_said_to_be_missing() -> None:
    why = "the champion, version 3, learned from every held-out row, so it was not compared"
    decision = decide_promotion(metric="roc_auc", challenger=0.7, champion=None, dummy=0.5, uncompared=why)
    assert decision.yes
    assert decision.why == f"roc_auc 0.7000 against the dummy's 0.5000; {why}"
