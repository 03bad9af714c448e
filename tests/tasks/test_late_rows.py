"""Late rows: nights whose source has other content now are taken again before tonight's, and no others."""

from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from cli.taking import take_nights
from deployments.catalogue import Definition, load_definition
from domain.report import NightReport
from domain.words import RunState
from infra.settings import Settings
from tasks.late import nights_with_late_rows, take_late_nights

Write = Callable[..., Path]


@pytest.fixture
def late_shops(settings: Settings, shops: Definition) -> Definition:
    path = settings.deployments / "shops" / "pipeline.yaml"
    path.write_text(path.read_text().replace('.csv"}', '.csv", look_back: 3 days}'))
    return load_definition(settings.deployments, "shops")


def run(definition: Definition, settings: Settings, day: str) -> list[NightReport]:
    night = definition.pipeline.calendar.named(day)
    return list(take_nights(definition, [night], settings, trigger="command", direct=True))


def test_late_rows_are_taken_in_before_tonight_and_named_in_its_outcome(
    settings: Settings, late_shops: Definition, write_day: Write, writer: sa.Engine
) -> None:
    for day in ("2024-01-01", "2024-01-02", "2024-01-03"):
        write_day(day)
        (report,) = run(late_shops, settings, day)
        assert report.state is RunState.PUBLISHED
    write_day("2024-01-02", rows=61)
    write_day("2024-01-04")
    corrected, tonight = run(late_shops, settings, "2024-01-04")
    assert (late_shops.pipeline.calendar.label(corrected.interval), corrected.rows_landed) == ("2024-01-02", 61)
    assert tonight.reason.endswith("; late rows: 2024-01-02 published again")
    with writer.connect() as connection:
        triggers = connection.execute(sa.text("SELECT interval_start, trigger FROM overnight.run ORDER BY id DESC LIMIT 2")).all()
    assert [line.trigger for line in triggers] == ["command", "late rows"]
    (again,) = run(late_shops, settings, "2024-01-04")
    assert again.state is RunState.SKIPPED


def test_a_retake_that_broke_off_is_taken_up_again_and_one_that_was_held_is_not(
    settings: Settings, late_shops: Definition, write_day: Write
) -> None:
    for day in ("2024-01-01", "2024-01-02"):
        write_day(day)
        run(late_shops, settings, day)
    tonight = late_shops.pipeline.calendar.named("2024-01-02")
    write_day("2024-01-01", rows=61)

    def broken(*_: object) -> None:
        raise RuntimeError("broken")

    (failed,) = take_late_nights(late_shops, tonight, settings, call=broken)  # type: ignore[arg-type]
    assert failed.state is RunState.FAILED
    (again,) = take_late_nights(late_shops, tonight, settings)
    assert again.state is RunState.PUBLISHED
    write_day("2024-01-01", change=lambda lines: [lines[0], *[line.replace(",", ";") for line in lines[1:30]], *lines[30:]])
    (held,) = take_late_nights(late_shops, tonight, settings)
    assert held.state is RunState.HELD
    assert nights_with_late_rows(late_shops, tonight, settings) == []
