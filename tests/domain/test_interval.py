"""Calendars: no interval is skipped, doubled or overlapped, also on the nights when the clocks change."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import UsageError
from domain.interval import Calendar, Interval

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"]
EVERY = ["15 minutes", "hour", "6 hours", "day", "2 days", "week", "month"]
calendars = st.builds(
    lambda every, zone: Calendar(every, ZoneInfo(zone), date(2013, 1, 1)), st.sampled_from(EVERY), st.sampled_from(ZONES)
)
moments = st.datetimes(datetime(2013, 1, 3), datetime(2015, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC))


@given(calendars, moments)
def test_each_moment_lies_in_exactly_one_interval(calendar: Calendar, moment: datetime) -> None:
    interval = calendar.containing(moment)
    assert moment in interval
    assert calendar.after(interval).start == interval.end
    assert moment not in calendar.after(interval)


@given(calendars, moments)
def test_the_newest_interval_that_is_over_ends_before_the_moment_and_the_next_one_does_not(
    calendar: Calendar, moment: datetime
) -> None:
    interval = calendar.before(moment)
    if interval is not None:
        assert interval.end <= moment < calendar.after(interval).end


@given(calendars, moments)
def test_a_label_names_its_interval(calendar: Calendar, moment: datetime) -> None:
    interval = calendar.containing(moment)
    assert calendar.named(calendar.label(interval)) == interval


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("America/New_York", "2013-03-10", 23),
        ("America/New_York", "2013-11-03", 25),
        ("Europe/Berlin", "2013-03-31", 23),
        ("Europe/Berlin", "2013-10-27", 25),
        ("Australia/Lord_Howe", "2013-04-07", 24.5),
        ("Europe/Berlin", "2013-07-01", 24),
    ],
)
def test_a_day_lasts_as_long_as_the_clock_on_the_wall_says(zone: str, day: str, hours: float) -> None:
    interval = Calendar("day", ZoneInfo(zone), date(2013, 1, 1)).named(day)
    assert interval.end - interval.start == timedelta(hours=hours)


def test_the_hour_that_comes_twice_is_two_intervals() -> None:
    calendar = Calendar("hour", ZoneInfo("America/New_York"), date(2013, 1, 1))
    first, last = calendar.named("2013-11-03T00:00"), calendar.named("2013-11-03T02:00")
    labels = [calendar.label(interval) for interval in calendar.between(first, last)]
    assert labels == ["2013-11-03T00:00-04:00", "2013-11-03T01:00-04:00", "2013-11-03T01:00-05:00", "2013-11-03T02:00-05:00"]


def test_nothing_lies_before_the_origin_or_after_the_end() -> None:
    calendar = Calendar("day", ZoneInfo("UTC"), date(2013, 1, 1), date(2013, 2, 1))
    assert calendar.before(datetime(2013, 1, 1, 12, tzinfo=UTC)) is None
    assert calendar.before(datetime(2030, 1, 1, tzinfo=UTC)) == calendar.named("2013-01-31")
    for outside in ("2012-12-31", "2013-02-01"):
        with pytest.raises(UsageError, match="outside the pipeline's calendar"):
            calendar.named(outside)


@pytest.mark.parametrize("text", ["yesterday", "2013-13-01", "20130-1-1", "", "2013-02-30", "\0"])
def test_a_name_that_is_no_interval_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="is not an interval; write it as 2013-01-01"):
        Calendar("day", ZoneInfo("UTC"), date(2013, 1, 1)).named(text)


@pytest.mark.parametrize("every", ["0 days", "fortnight", "day week", "1.5 hours", ""])
def test_a_length_that_is_none_is_refused(every: str) -> None:
    with pytest.raises(ValueError, match="is none of"):
        Calendar(every, ZoneInfo("UTC"), date(2013, 1, 1))


def test_an_interval_needs_zones_and_runs_forward() -> None:
    with pytest.raises(ValueError, match="time zone"):
        Interval(datetime(2013, 1, 1), datetime(2013, 1, 2))
    with pytest.raises(ValueError, match="ends after it starts"):
        Interval(datetime(2013, 1, 2, tzinfo=UTC), datetime(2013, 1, 1, tzinfo=UTC))
