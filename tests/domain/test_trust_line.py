"""Lateness needs no scheduler: a calendar, what is published, and the clock."""

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

import pytest

from domain.interval import Calendar
from domain.trust import judge_freshness

DAYS = Calendar("day", ZoneInfo("UTC"), date(2024, 1, 1))


def _judge(newest: str | None, now: datetime, calendar: Calendar = DAYS) -> object:
    published = calendar.named(newest) if newest else None
    return judge_freshness(calendar=calendar, deadline=time(7), newest_published=published, now=now)


@pytest.mark.parametrize(
    ("newest", "now", "fresh", "late_since"),
    [
        (None, datetime(2024, 1, 1, 12, tzinfo=UTC), True, None),  # nothing is over yet
        (None, datetime(2024, 1, 2, 6, 59, tzinfo=UTC), True, None),  # over, but not due
        (None, datetime(2024, 1, 2, 7, tzinfo=UTC), False, datetime(2024, 1, 2, 7, tzinfo=UTC)),
        (None, datetime(2024, 2, 1, tzinfo=UTC), False, datetime(2024, 1, 2, 7, tzinfo=UTC)),
        ("2024-01-01", datetime(2024, 1, 3, 6, 59, tzinfo=UTC), True, None),
        ("2024-01-01", datetime(2024, 1, 3, 7, tzinfo=UTC), False, datetime(2024, 1, 3, 7, tzinfo=UTC)),
        ("2024-01-01", datetime(2024, 3, 1, tzinfo=UTC), False, datetime(2024, 1, 3, 7, tzinfo=UTC)),
        ("2024-01-02", datetime(2024, 1, 3, 7, tzinfo=UTC), True, None),
    ],
)
def test_late_from_the_first_deadline_that_passed_unmet(
    newest: str | None, now: datetime, fresh: bool, late_since: datetime | None
) -> None:
    found = _judge(newest, now)
    assert (found.fresh, found.late_since) == (fresh, late_since)


@pytest.mark.parametrize(
    ("waived", "due", "late_since", "left_out"),
    [
        ([], "2024-01-05", datetime(2024, 1, 4, 7, tzinfo=UTC), 0),
        (["2024-01-03"], "2024-01-05", datetime(2024, 1, 5, 7, tzinfo=UTC), 1),
        (["2024-01-03", "2024-01-04"], "2024-01-05", datetime(2024, 1, 6, 7, tzinfo=UTC), 2),
        (["2024-01-05"], "2024-01-04", datetime(2024, 1, 4, 7, tzinfo=UTC), 1),
        (["2024-01-03", "2024-01-04", "2024-01-05"], "2024-01-02", None, 3),
        (["2024-01-01"], "2024-01-05", datetime(2024, 1, 4, 7, tzinfo=UTC), 0),
    ],
)
def test_nobody_waits_for_a_waived_night(waived: list[str], due: str, late_since: datetime | None, left_out: int) -> None:
    found = judge_freshness(
        calendar=DAYS, deadline=time(7), newest_published=DAYS.named("2024-01-02"), now=datetime(2024, 1, 6, 8, tzinfo=UTC),
        waived=[DAYS.named(night).start for night in waived],
    )  # fmt: skip
    assert (found.due, found.late_since, found.left_out) == (DAYS.named(due), late_since, left_out)
    assert (found.missed is None) == found.fresh == (late_since is None)


def test_a_pipeline_that_has_ended_and_is_complete_is_never_late() -> None:
    ended = Calendar("day", ZoneInfo("UTC"), date(2024, 1, 1), date(2024, 2, 1))
    assert _judge("2024-01-31", datetime(2030, 1, 1, tzinfo=UTC), ended).fresh


def test_the_deadline_is_on_the_pipelines_own_clock() -> None:
    tokyo = Calendar("day", ZoneInfo("Asia/Tokyo"), date(2024, 1, 1))
    assert _judge(None, datetime(2024, 1, 1, 21, 59, tzinfo=UTC), tokyo).fresh
    assert not _judge(None, datetime(2024, 1, 1, 22, 0, tzinfo=UTC), tokyo).fresh
