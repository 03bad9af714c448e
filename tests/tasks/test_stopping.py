"""A night that is stopped closes its line in the ledger at whatever statement the signal comes."""

import sqlalchemy as sa

from deployments.catalogue import Definition
from domain.report import StageReport
from domain.words import Stage, StageState
from infra.settings import Settings
from tasks.context import writer_engine
from tasks.night import take_night


def stop_at(engine: sa.Engine, number: int, event: str) -> object:
    seen = 0

    def stop(*_: object) -> None:
        nonlocal seen
        seen += 1
        if seen == number:
            raise KeyboardInterrupt

    sa.event.listen(engine, event, stop)
    return stop


def stage(stage: Stage, run_id: int, settings: Settings) -> StageReport:
    return StageReport(stage, StageState.HELD, "held: a test")


def test_a_signal_between_opening_a_run_and_its_first_stage_leaves_nothing_open(
    settings: Settings, shops: Definition, writer: sa.Engine
) -> None:
    engine, night = writer_engine(settings), shops.pipeline.calendar.named("2024-01-01")
    stopped = 0
    for event in ("after_cursor_execute", "commit"):
        for number in range(1, 12):
            stop = stop_at(engine, number, event)
            try:
                take_night(shops, night, settings, trigger="test", call=stage)
            except KeyboardInterrupt:
                stopped += 1
            finally:
                sa.event.remove(engine, event, stop)
                engine.dispose()  # the process that was stopped has no connections any more
            with writer.connect() as connection:
                open_runs = connection.scalar(sa.text("SELECT count(*) FROM overnight.run WHERE state = 'running'"))
            assert open_runs == 0, f"the run stays open after a signal at {event} {number}"
    assert stopped > 8
    assert take_night(shops, night, settings, trigger="test", call=stage).reason == "held: a test"
