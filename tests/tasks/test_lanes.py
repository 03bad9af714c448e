"""Nights side by side come out as they do one by one, end cleanly when stopped, and survive the death of a lane."""

import os
import signal
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
import sqlalchemy as sa

from deployments.catalogue import Definition
from domain.report import NightReport
from domain.words import RunState, Stage, StageState
from infra.settings import Settings
from tasks.lanes import take_side_by_side
from tasks.night import take_night

pytestmark = pytest.mark.slow  # each lane is a process that imports everything
Write = Callable[..., Path]
DAYS = [f"2024-01-{day:02d}" for day in range(1, 13)]
SEEN = """
SELECT p.kind, p.interval_start, p.content_hash, p.rows, p.rejected, m.version FROM reading.published p
LEFT JOIN reading.batch b ON b.id = p.batch LEFT JOIN reading.model m ON m.id = b.model ORDER BY 1, 2
"""

OVERLAP = "SELECT count(*) FROM overnight.run a JOIN overnight.run b ON a.id < b.id AND b.started_at < a.ended_at"


def seen(engine: sa.Engine) -> list[tuple[object, ...]]:
    with engine.connect() as connection:
        return [tuple(line) for line in connection.execute(sa.text(SEEN))]


def open_runs(engine: sa.Engine) -> int:
    with engine.connect() as connection:
        return int(connection.scalar(sa.text("SELECT count(*) FROM overnight.run WHERE state = 'running'")) or 0)


@pytest.fixture
def weekly(settings: Settings, shops: Definition, write_day: Write) -> Definition:
    """Twelve nights, of which two train."""
    for day in DAYS:
        write_day(day)
    return shops


def start(definition: Definition, settings: Settings, lanes: int = 3) -> Generator[NightReport, None, None]:
    nights = [definition.pipeline.calendar.named(day) for day in DAYS]
    return take_side_by_side(definition, nights, settings, lanes=lanes, trigger="backfill")


def trains(report: NightReport) -> bool:
    return any(one.stage is Stage.TRAIN and one.state is StageState.DONE for one in report.stages)


def test_three_lanes_give_what_one_gives(settings: Settings, weekly: Definition, writer: sa.Engine, owner: sa.Engine) -> None:
    taken = list(start(weekly, settings))
    assert {report.state for report in taken} == {RunState.PUBLISHED}, [report.reason for report in taken]
    assert sum(map(trains, taken)) == 2
    side_by_side = seen(writer)
    with owner.begin() as connection:
        overlap = connection.scalar(sa.text(OVERLAP))
    assert overlap, "no two nights were under way at once"
    for day in DAYS:
        again = take_night(weekly, weekly.pipeline.calendar.named(day), settings, trigger="test")
        assert again.state is RunState.SKIPPED, f"{day}: one by one gives something else: {again.reason}"
    assert seen(writer) == side_by_side


def test_a_lane_that_is_killed_is_replaced_and_its_night_taken_again(
    settings: Settings, weekly: Definition, writer: sa.Engine
) -> None:
    taking = start(weekly, settings)
    reports = [next(taking)]
    with writer.connect() as connection:
        pid = connection.scalar(sa.text("SELECT holder->>'pid' FROM overnight.run WHERE state = 'running' LIMIT 1"))
    os.kill(int(pid), signal.SIGKILL)
    reports += list(taking)
    assert sorted(report.interval.start for report in reports) == [weekly.pipeline.calendar.named(day).start for day in DAYS]
    assert {report.state for report in reports} <= {RunState.PUBLISHED, RunState.SKIPPED}
    assert open_runs(writer) == 0


def test_a_backfill_that_is_stopped_leaves_no_run_open_and_no_lock_held(
    settings: Settings, weekly: Definition, writer: sa.Engine
) -> None:
    taking = start(weekly, settings)
    next(taking)
    taking.close()
    assert open_runs(writer) == 0
    with writer.connect() as connection:
        reasons = connection.scalars(sa.text("SELECT reason FROM overnight.run WHERE state = 'failed'")).all()
    assert set(reasons) <= {"stopped by hand"}
    night = weekly.pipeline.calendar.named(DAYS[1])
    assert take_night(weekly, night, settings, trigger="test").state in (RunState.PUBLISHED, RunState.SKIPPED)
