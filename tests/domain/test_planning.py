"""Which nights are taken: schedules that start late, outages, and the two nights a year on which the clocks change."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.interval import Calendar
from domain.planning import STOPPED, Known, Mode, ModelMode, Policy, Tonight, plan_nights, plan_tonight
from domain.words import RunState

ZONES = ["America/New_York", "Europe/Berlin", "Australia/Lord_Howe"]  # the last one moves by half an hour
DONE = Known(RunState.PUBLISHED, published=True)


def calendar(zone: str = "Europe/Berlin", origin: date = date(2024, 1, 1)) -> Calendar:
    return Calendar("day", ZoneInfo(zone), origin)


def tick_of(day: date, zone: str, *, hour: int = 2) -> datetime:
    """When a cron of `0 <hour> * * *` fires on this day: Prefect moves a time that the clocks skip to the next one there is."""
    return datetime(day.year, day.month, day.day, hour, tzinfo=ZoneInfo(zone)).astimezone(UTC)


def plan(
    policy: Policy, *, tick: str, now: str, done: tuple[int, ...] = (), zone: str = "Europe/Berlin"
) -> tuple[list[str], bool]:
    """The labels of what is taken before the own night, and whether that one is taken."""
    days = calendar(zone)
    moment = datetime.fromisoformat(tick).replace(tzinfo=ZoneInfo(zone))
    known = {days.named(f"2024-01-{day:02d}").start: DONE for day in done}
    own = days.before(moment)
    assert own is not None
    tonight = plan_tonight(
        days, policy, own=own, tick=moment, now=datetime.fromisoformat(now).replace(tzinfo=ZoneInfo(zone)), known=known
    )
    return [days.label(night)[-2:] for night in tonight.missed], tonight.takes_own


@pytest.mark.parametrize("policy", ["none", "latest"])
@pytest.mark.parametrize("late", ["02:00", "05:00", "23:59"])
def test_a_run_that_starts_late_still_does_its_own_night(policy: Policy, late: str) -> None:
    assert plan(policy, tick="2024-01-05T02:00", now=f"2024-01-05T{late}") == ([], True)
    assert plan(policy, tick="2024-01-05T02:00", now="2024-01-06T01:59") == ([], True)


def test_after_nine_days_off_exactly_the_policy_happens() -> None:
    back = "2024-01-19T14:00"  # the ticks of the 10th to the 19th were missed, and Prefect starts those it had written
    done = tuple(range(1, 9))
    for tick in ("2024-01-10T02:00", "2024-01-11T02:00", "2024-01-12T02:00"):
        assert plan("none", tick=tick, now=back, done=done) == ([], False)
        assert plan("latest", tick=tick, now=back, done=done) == (["18"], False)
        assert plan("latest", tick=tick, now=back, done=(*done, 18)) == ([], False)
        assert plan("all", tick=tick, now=back, done=done) == ([str(day).zfill(2) for day in range(9, 19)], False)
        assert plan("all", tick=tick, now=back, done=tuple(range(1, 19))) == ([], False)


CHANGES = {  # of the clocks in 2024
    "America/New_York": (date(2024, 3, 10), date(2024, 11, 3)),
    "Europe/Berlin": (date(2024, 3, 31), date(2024, 10, 27)),
    "Australia/Lord_Howe": (date(2024, 4, 7), date(2024, 10, 6)),
}


@pytest.mark.parametrize(("zone", "change"), [(zone, day) for zone, days in CHANGES.items() for day in days])
@pytest.mark.parametrize("hour", [0, 2, 3])
def test_nine_days_off_over_a_change_of_the_clocks_are_nine_nights(zone: str, change: date, hour: int) -> None:
    days, day = calendar(zone), timedelta(days=1)
    missed = [days.named(str(change + n * day)) for n in range(-5, 4)]
    known = {night.start: DONE for night in days.between(days.first, days.named(str(change - 6 * day)))}
    back = tick_of(change + 4 * day, zone, hour=14)
    for late in (tick_of(change + n * day, zone, hour=hour) for n in (-4, -3, 0, 1)):
        own = days.before(late)
        assert own is not None
        taken = {
            policy: plan_tonight(days, policy, own=own, tick=late, now=back, known=known) for policy in ("none", "latest", "all")
        }
        assert (taken["none"].missed, taken["none"].takes_own) == ((), False)
        assert (taken["latest"].missed, taken["latest"].takes_own) == ((missed[-1],), False)
        assert (taken["all"].missed, taken["all"].takes_own) == (tuple(missed), False)
    caught_up = known | {night.start: DONE for night in missed}
    tick = tick_of(change + 5 * day, zone, hour=hour)
    tonight = plan_tonight(days, "all", own=days.named(str(change + 4 * day)), tick=tick, now=tick, known=caught_up)
    assert (tonight.missed, tonight.takes_own) == ((), True)


def test_all_takes_the_gaps_first_and_then_the_own_night() -> None:
    assert plan("all", tick="2024-01-06T02:00", now="2024-01-06T02:01", done=(1, 3)) == (["02", "04"], True)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("hour", [0, 1, 2, 3, 23])
def test_each_tick_of_a_year_has_its_own_night_and_none_is_left_out(zone: str, hour: int) -> None:
    days = calendar(zone)
    nights = [days.before(tick_of(date(2024, 1, 2) + timedelta(days=n), zone, hour=hour)) for n in range(366)]
    assert nights == list(days.between(days.named("2024-01-01"), days.named("2024-12-31")))


@pytest.mark.parametrize("zone", ZONES)
def test_no_run_of_a_year_is_taken_for_missed_when_it_starts_on_time(zone: str) -> None:
    days = calendar(zone)
    for n in range(366):
        tick = tick_of(date(2024, 1, 2) + timedelta(days=n), zone)
        own = days.before(tick)
        assert own is not None
        for late in (timedelta(0), timedelta(hours=3), timedelta(hours=21)):
            assert plan_tonight(days, "none", own=own, tick=tick, now=tick + late, known={}).takes_own, (tick, late)


@given(off=st.integers(1, 20), start=st.integers(0, 360), done=st.sets(st.integers(0, 380)), zone=st.sampled_from(ZONES))
def test_catching_up_leaves_no_gap_and_does_nothing_twice(off: int, start: int, done: set[int], zone: str) -> None:
    """Late runs start in any order; whichever is first takes all that is missing, the others find it done."""
    days = calendar(zone)
    all_nights = list(days.between(days.first, days.named("2025-03-31")))
    known: dict[datetime, Known] = {all_nights[n].start: DONE for n in done if n < start}
    ticks = [tick_of(all_nights[start + n].end.astimezone(ZoneInfo(zone)).date(), zone) for n in range(min(3, off))]
    now = tick_of(all_nights[start + off].end.astimezone(ZoneInfo(zone)).date(), zone) + timedelta(hours=1)
    taken = []
    for tick in reversed(ticks):
        own = days.before(tick)
        assert own is not None
        tonight: Tonight = plan_tonight(days, "all", own=own, tick=tick, now=now, known=known)
        for night in [*tonight.missed, *([own] if tonight.takes_own else [])]:
            assert night.start not in known, "done twice"
            known[night.start] = DONE
            taken.append(night)
    assert taken == sorted(taken)
    assert all(night.start in known for night in all_nights[: start + off + 1])


def test_held_waived_and_often_failed_nights_are_not_caught_up() -> None:
    days = calendar()
    known: Mapping[datetime, Known] = {
        days.named("2024-01-01").start: Known(RunState.HELD, "over the limit"),
        days.named("2024-01-02").start: Known(RunState.FAILED, "no file", runs=5),
        days.named("2024-01-03").start: Known(RunState.FAILED, "no file", runs=4),
        days.named("2024-01-04").start: Known(RunState.FAILED, "no file", waived="there was none"),
        days.named("2024-01-05").start: Known(RunState.CRASHED),
    }
    tick = datetime(2024, 1, 7, 2, tzinfo=ZoneInfo("Europe/Berlin"))
    own = days.before(tick)
    assert own is not None
    tonight = plan_tonight(days, "all", own=own, tick=tick, now=tick, known=known)
    assert [days.label(night) for night in tonight.missed] == ["2024-01-03", "2024-01-05"]


@pytest.mark.parametrize("model", ["as-due", "as-if"])
def test_a_waived_night_is_planned_only_by_name_and_again_like_any_other_once_it_is_published(model: ModelMode) -> None:
    (night,) = nights = [calendar().first]

    def why(mode: Mode, known: Known) -> list[str]:
        return [one.why for one in plan_nights(nights, mode, known={night.start: known}, model=model)]

    never, failed = Known(RunState.SKIPPED, runs=0, waived="closed"), Known(RunState.FAILED, "no file", waived="closed")
    for mode in ("missing", "failed", "changed"):
        assert why(mode, never) == why(mode, failed) == []
    assert why("all", never) == why("all", failed) == ["asked for"]
    assert why("changed", replace(failed, published=True, changed=("source",))) == ["failed: no file"]
    assert why("changed", replace(DONE, waived="closed", changed=("source",))) == ["source changed"]


def test_a_night_that_was_stopped_by_hand_is_missing_and_not_failed() -> None:
    (night,) = nights = [calendar().first]
    known = {night.start: Known(RunState.FAILED, STOPPED)}
    assert [one.why for one in plan_nights(nights, "missing", known=known)] == ["missing: its run was stopped by hand"]


def test_a_night_that_is_under_way_is_left_to_its_run() -> None:
    (night,) = nights = [calendar().first]
    for known in (Known(RunState.RUNNING), Known(RunState.RUNNING, published=True, changed=("source",))):
        assert plan_nights(nights, "changed", known={night.start: known}) == ()


def test_a_plan_names_the_reason_of_each_night() -> None:
    days = calendar()
    nights = list(days.between(days.first, days.named("2024-01-06")))
    known = {
        nights[1].start: DONE,
        nights[2].start: Known(RunState.FAILED, "no file matches"),
        nights[3].start: Known(RunState.HELD, "7 % null age, limit 2 %"),
        nights[4].start: Known(RunState.PUBLISHED, published=True, changed=("source", "suite")),
        nights[5].start: Known(RunState.CRASHED, "its process ended"),
    }
    reasons = {
        mode: {days.label(one.interval)[-2:]: one.why for one in plan_nights(nights, mode, known=known)}
        for mode in ("missing", "failed", "changed", "all")
    }
    assert reasons["missing"] == {"01": "missing: never run", "06": "missing: its run never finished"}
    assert reasons["failed"] == reasons["missing"] | {"03": "failed: no file matches", "04": "held: 7 % null age, limit 2 %"}
    assert reasons["changed"] == reasons["failed"] | {"05": "source and suite changed"}
    assert reasons["all"] == reasons["changed"] | {"02": "asked for"}
