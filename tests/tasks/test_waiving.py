"""A gap is told until it is filled or waived with a reason; what is waived is left out of plans unless it is named."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

sys.path.insert(0, str(Path(__file__).parents[1] / "web"))
from bookkeeping import Ledger

from deployments.catalogue import Definition
from domain.errors import UsageError
from domain.interval import Interval
from infra.settings import Settings
from store.engine import transaction
from store.listing import list_gaps
from tasks.planning import plan_range
from tasks.waiving import unwaive, waive
from web.app import create_app


@pytest.fixture
def nights(shops: Definition, writer: sa.Engine) -> Callable[[str, str], list[Interval]]:
    """The 3rd of January is missing: the nights around it are published."""
    ledger = Ledger(shops, writer)
    for day in ("2024-01-01", "2024-01-02"):
        ledger.publish(day)
    ledger.publish("2024-01-04", model=ledger.train("2024-01-04"))
    calendar = shops.pipeline.calendar
    return lambda first, last: list(calendar.between(calendar.named(first), calendar.named(last)))


def gaps(writer: sa.Engine) -> int:
    with transaction(writer) as connection:
        return len(list_gaps(connection, ["shops"]))


def planned(shops: Definition, settings: Settings, nights: list[Interval], mode: str = "missing") -> list[str]:
    found = plan_range(shops, nights, settings, mode=mode)  # type: ignore[arg-type]
    return [shops.pipeline.calendar.label(one.interval) for one in found]


def test_a_waived_night_is_no_gap_and_in_no_plan_until_the_word_is_taken_back(
    shops: Definition, settings: Settings, nights: Callable[[str, str], list[Interval]], writer: sa.Engine
) -> None:
    january = nights("2024-01-01", "2024-01-04")
    assert (gaps(writer), planned(shops, settings, january)) == (1, ["2024-01-03"])
    assert waive(shops, january, settings, who="ada", why="the shops were closed") == nights("2024-01-03", "2024-01-03")
    assert (gaps(writer), planned(shops, settings, january), planned(shops, settings, january, "failed")) == (0, [], [])
    assert planned(shops, settings, nights("2024-01-03", "2024-01-03"), "all") == ["2024-01-03"], "who names it gets it"
    unwaive(shops, january, settings, who="ada", why="the figures came after all")
    assert (gaps(writer), planned(shops, settings, january)) == (1, ["2024-01-03"])


def test_readers_are_told_who_left_a_night_out_and_why(
    shops: Definition, settings: Settings, nights: Callable[[str, str], list[Interval]]
) -> None:
    now = datetime(2024, 1, 5, 3, tzinfo=UTC)
    with TestClient(create_app(settings, now=lambda: now, live=False)) as client:
        assert "1 earlier night is not" in client.get("/api/v1/p/shops").json()["summary"]["trust"]["reason"]
        waive(shops, nights("2024-01-03", "2024-01-03"), settings, who="ada", why="the shops were closed")
        assert "missing" not in client.get("/api/v1/p/shops").json()["summary"]["trust"]["reason"]
        night = client.get("/api/v1/p/shops/2024-01-03").json()["night"]
        assert night["state"] == "waived"
        assert (night["why"], night["todo"]) == ("Left out on purpose, by ada: the shops were closed.", "")


def test_what_is_published_cannot_be_waived(
    shops: Definition, settings: Settings, nights: Callable[[str, str], list[Interval]]
) -> None:
    with pytest.raises(UsageError, match="every night is published, so there is nothing to waive"):
        waive(shops, nights("2024-01-01", "2024-01-02"), settings, who="ada", why="no reason")
    with pytest.raises(UsageError, match="a reason is needed"):
        waive(shops, nights("2024-01-03", "2024-01-03"), settings, who="ada", why=" ")
