"""Snapshots, late rows, contracts with more to say, rejects and replays, and what happens when something dies in between."""

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from deployments.catalogue import Definition, load_definition
from domain.errors import SourceError, UsageError
from domain.words import RunState, StageState
from store.batches import seal_batch
from store.engine import transaction
from store.pipelines import register
from store.runs import claim
from tasks.context import writer_engine
from tasks.ingest import stage
from tasks.ingest.late import late_nights
from tasks.ingest.take import Taken, take_source
from tasks.rejects import list_rejects, replay, write_rejects
from tests.patience import wait_for
from tests.tasks.ingesting import DAY, Shops, WriteDay, night
from tests.tasks.test_ingest import replacing

__all__ = ["night"]
NEXT = "2024-01-03"
WHOLE = '{kind: csv, path: "{data}/shops/all.csv", mode: snapshot}'


def definition_of(night: Shops) -> Definition:
    return load_definition(night.settings.deployments, "shops")


def ingest_and_seal(night: Shops, day: str) -> int:
    engine = writer_engine(night.settings)
    pipeline = definition_of(night).pipeline
    batch = int(night.ingest(day).detail["batch"])
    with (
        claim(engine, "shops", pipeline.calendar.named(day), trigger="test", holder={}) as run,
        transaction(engine) as connection,
    ):
        seal_batch(connection, batch, run=run.id)
    return batch


def test_a_snapshot_says_what_changed_since_the_last_one(night: Shops, write_day: WriteDay) -> None:
    night.source(WHOLE)
    head, *lines = write_day(DAY).read_text().splitlines()
    (night.folder / "all.csv").write_text("\n".join([head, *lines]) + "\n")
    before = ingest_and_seal(night, DAY)
    changed = [line.replace(",north,", ",south,") for line in lines[2:12]]
    moved = sum(line != old for line, old in zip(changed, lines[2:12], strict=True))
    (night.folder / "all.csv").write_text("\n".join([head, *changed, *lines[12:], "new,2024-01-03,north,1,2,3"]) + "\n")
    report = night.ingest(NEXT)
    assert report.detail["changes"] == {"since": before, "added": 1, "gone": 2, "changed": moved}
    assert f"1 row new, 2 gone, {moved} changed since batch {before}" in report.reason


def test_only_recent_nights_whose_source_changed_are_read_again(night: Shops, write_day: WriteDay) -> None:
    night.source('{kind: csv, path: "{data}/shops/{start:%Y-%m-%d}.csv", look_back: 3 days}')
    for day in ("2024-01-01", "2024-01-02", "2024-01-04", "2024-01-05"):
        write_day(day)
        night.ingest(day)
    write_day("2024-01-03")  # never read: not late but missed
    write_day("2024-01-01", rows=61)  # too old
    write_day("2024-01-04", rows=61)
    definition = definition_of(night)
    late = late_nights(definition, definition.pipeline.calendar.named("2024-01-05"), night.settings)
    assert [definition.pipeline.calendar.label(one) for one in late] == ["2024-01-04"]


def test_a_file_that_is_gone_is_no_late_news(night: Shops, write_day: WriteDay) -> None:
    night.source('{kind: csv, path: "{data}/shops/{start:%Y-%m-%d}.csv", look_back: 3 days}')
    path = write_day(DAY)
    night.ingest()
    path.unlink()
    definition = definition_of(night)
    assert late_nights(definition, definition.pipeline.calendar.named(NEXT), night.settings) == []


def test_values_outside_the_allowed_ones_are_rejects(night: Shops, write_day: WriteDay) -> None:
    night.contract(lambda text: text.replace("region: {type: text}", "region: {type: text, allowed: [north, south, east]}"))
    write_day(DAY, change=replacing(2, f"s001,{DAY},west,5,2.0,3"))
    [reject] = night.rejects(night.ingest())
    assert reject[1:] == (3, "region", "west", "allowed", "region: 'west' is none of north, south, east")


def test_dates_written_as_agreed_are_read_and_no_others(night: Shops, write_day: WriteDay) -> None:
    night.contract(lambda text: text.replace("opened: {type: timestamp,", "opened: {type: timestamp, format: '%d.%m.%Y %H:%M',"))
    rows = ["a,2.1.2024 07:30,north,1,,", "b,02.01.2024 7:30,north,1,,", "c,02.01.24 07:30,north,1,,", "d,2024-01-02,north,1,,",
            "e,30.02.2024 07:30,north,1,,"]  # fmt: skip
    write_day(DAY, rows=0, change=lambda lines: [lines[0], *rows])
    night.contract(lambda text: text.replace("at_most: 10%", "at_most: 90%"))
    report = night.ingest()
    assert [(shop, opened.hour, opened.day) for shop, opened in night.landed(report, "shop, opened")] == [
        ("a", 6, 2),
        ("b", 6, 2),
    ]
    assert [(line, rule) for _, line, _, _, rule, _ in night.rejects(report)] == [(4, "type"), (5, "type"), (6, "type")]


def test_new_columns_are_kept_when_the_contract_adds_them(night: Shops, write_day: WriteDay, owner: sa.Engine) -> None:
    night.contract(lambda text: text + "new_columns: add\n")
    register(owner, definition_of(night).pipeline, expectations=[])
    more = ["mood,say", 'fine,"a ""b"""', ",", "007,x"]
    write_day(DAY, rows=3, change=lambda lines: [f"{line},{new}" for line, new in zip(lines, more, strict=True)])
    report = night.ingest()
    assert night.landed(report, "more") == [({"mood": "fine", "say": 'a "b"'},), (None,), ({"mood": "007", "say": "x"},)]


def test_rejects_can_be_listed_and_written(night: Shops, write_day: WriteDay) -> None:
    write_day(DAY, change=replacing(3, f"s002,{DAY} 07:00:00,north,1.5,2.0,3"))
    night.ingest()
    definition, target = definition_of(night), io.BytesIO()
    interval = definition.pipeline.calendar.named(DAY)
    found = list_rejects(definition, interval, night.settings)
    assert (found.read, found.total, found.by_rule, found.lines[0]["line"]) == (60, 1, {"type": 1}, 4)
    assert write_rejects(definition, interval, night.settings, file=target) == 1
    assert (
        target.getvalue().decode().splitlines()[1].startswith(f"shops/{DAY}.csv,4,stock,1.5,type,stock: '1.5' is no whole number")
    )


def test_a_night_that_was_never_read_has_nothing_to_replay(night: Shops) -> None:
    definition = definition_of(night)
    with pytest.raises(UsageError, match="shops 2024-01-02 was never ingested"):
        replay(definition, definition.pipeline.calendar.named(DAY), night.settings)


def test_a_replay_after_the_source_was_mended_is_a_new_batch_whose_counts_add_up(night: Shops, write_day: WriteDay) -> None:
    write_day(DAY, change=lambda lines: [lines[0], *(line.replace(",north,", ",,") for line in lines[1:])])
    definition = definition_of(night)
    interval = definition.pipeline.calendar.named(DAY)
    held = night.ingest()
    assert held.state is StageState.HELD
    write_day(DAY)
    report = replay(definition, interval, night.settings)
    assert (report.state, report.rows_read, report.rows_landed, report.rows_rejected) == (RunState.PUBLISHED, 60, 60, 0)
    assert replay(definition, interval, night.settings).state is RunState.SKIPPED


def test_a_source_cut_short_while_it_is_read_leaves_nothing(
    night: Shops, write_day: WriteDay, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_day(DAY)
    whole = path.read_bytes()

    @contextmanager
    def cutting(*arguments: Any, **named: Any) -> Iterator[Taken]:
        with take_source(*arguments, **named) as taken:
            path.write_bytes(whole[:1500])
            yield taken

    monkeypatch.setattr(stage, "take_source", cutting)
    with pytest.raises(SourceError, match="changed while it was read"):
        night.ingest()
    assert night.leftovers() == []
    monkeypatch.undo()
    path.write_bytes(whole)
    assert night.ingest().rows_out == 60


COPYING = "SELECT 1 FROM pg_stat_progress_copy WHERE tuples_processed > 20000"


def test_a_kill_during_copy_leaves_nothing_and_the_next_run_completes(night: Shops, write_day: WriteDay) -> None:
    write_day(DAY, rows=400_000)
    settings, definition = night.settings, definition_of(night)
    environment = {
        **os.environ, "OVERNIGHT_HOME": str(settings.home), "OVERNIGHT_DEPLOYMENTS": str(settings.deployments),
        "OVERNIGHT_DATA": str(settings.data_folder), "OVERNIGHT_DATABASE_URL": night.database,
        "OVERNIGHT_WRITER_URL": str(settings.writer_url),
    }  # fmt: skip
    interval = definition.pipeline.calendar.named(DAY)
    with claim(writer_engine(settings), "shops", interval, trigger="test", holder={}) as run:
        command = [sys.executable, "-m", "tasks", "ingest", "--run", str(run.id)]
        process = subprocess.Popen(command, env=environment, cwd=Path(__file__).parents[2])
        wait_for(lambda: process.poll() is not None or night.rows(COPYING), every=0.005)
        assert process.poll() is None, "it ended before it could be killed"
        process.send_signal(signal.SIGKILL)
        process.wait()
    wait_for(lambda: not night.rows("SELECT 1 FROM pg_stat_progress_copy"))
    assert night.leftovers() == []
    assert night.rows("SELECT count(*) FROM overnight.batch") == [(0,)]
    assert night.ingest().rows_out == 400_000
