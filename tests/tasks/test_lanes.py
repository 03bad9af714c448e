"""Nights side by side come out as they do one by one, end cleanly when stopped, and survive the death of a lane."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
import sqlalchemy as sa

from deployments.catalogue import Definition
from domain.errors import DatabaseUnavailable, LockHeld, Refused
from domain.report import NightReport
from domain.words import RunState, Stage, StageState
from infra.prefect_home import settings_environment
from infra.settings import Settings
from tasks import lane, lanes
from tasks.lanes import take_side_by_side
from tasks.night import take_night
from tests.patience import PATIENCE, wait_for

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


def start(
    definition: Definition, settings: Settings, may_begin: Callable[[], bool] = lambda: True
) -> Generator[NightReport, None, None]:
    nights = [definition.pipeline.calendar.named(day) for day in DAYS]
    return take_side_by_side(definition, nights, settings, lanes=3, trigger="backfill", may_begin=may_begin)


def trains(report: NightReport) -> bool:
    return any(one.stage is Stage.TRAIN and one.state is StageState.DONE for one in report.stages)


def test_three_lanes_give_way_first_and_then_what_one_gives(
    settings: Settings, weekly: Definition, writer: sa.Engine, owner: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun_before: list[int] = []

    def may_begin() -> bool:
        begun_before.append(open_runs(writer))
        return len(begun_before) > 6

    monkeypatch.setattr(lanes, "LOOK_EVERY", 0.1)
    taken = list(start(weekly, settings, may_begin))
    assert begun_before[:7] == [0] * 7
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


def test_when_the_one_who_leads_is_killed_every_night_under_way_is_closed_in_plain_words(
    settings: Settings, weekly: Definition, writer: sa.Engine
) -> None:
    line = [sys.executable, "-m", "cli.main", "backfill", "shops", "--to", DAYS[-1], "--parallel", "3", "--direct"]
    leader = subprocess.Popen(line, env=os.environ | settings_environment(settings), stderr=subprocess.PIPE, text=True)
    wait_for(lambda: open_runs(writer))
    leader.kill()
    _, said = leader.communicate(timeout=PATIENCE)  # the lanes say what they have to say where it did, so this waits for them
    assert (open_runs(writer), said.strip()) == (0, "")
    with writer.connect() as connection:
        states = connection.execute(sa.text("SELECT DISTINCT state, reason FROM overnight.run WHERE state <> 'published'")).all()
    assert [tuple(line) for line in states] == [("failed", "stopped by hand")]


def test_a_night_that_a_dead_process_still_seems_to_hold_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "PATIENCE", (0.0,) * 2)
    answers: list[Exception | str] = [LockHeld("run 1 holds it"), DatabaseUnavailable("gone for a moment"), "taken"]

    def take() -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert lane._take_over(take) == "taken"  # type: ignore[arg-type, comparison-overlap]
    answers += [Refused("not now")]
    with pytest.raises(Refused):
        lane._take_over(take)  # type: ignore[arg-type]


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
