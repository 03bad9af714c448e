"""Prefect's own cron through both nights on which the clocks change: each night of the year is taken, and once."""

import asyncio
from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest

from domain.interval import Calendar

ZONES = ["America/New_York", "Europe/Berlin", "Australia/Lord_Howe"]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("cron", ["0 2 * * *", "30 2 * * *", "0 1 * * *", "30 1 * * *", "15 0 * * *", "59 23 * * *"])
def test_each_night_of_the_year_has_one_tick(zone: str, cron: str) -> None:
    from prefect.server.schemas.schedules import CronSchedule

    days = Calendar("day", ZoneInfo(zone), date(2023, 12, 1))
    schedule = CronSchedule(cron=cron, timezone=zone)
    start = datetime(2024, 1, 2, tzinfo=ZoneInfo(zone))
    ticks = asyncio.run(schedule.get_dates(n=366, start=start))
    nights = [days.before(tick) for tick in ticks]
    first = days.before(start)
    assert first is not None
    expected = list(days.between(first, days.named("2024-12-31")))[: len(nights)]
    assert nights == expected, [
        (tick, night) for tick, night, wanted in zip(ticks, nights, expected, strict=True) if night != wanted
    ][:3]
