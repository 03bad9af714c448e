"""Law 4: a rerun replaces and never duplicates; the same again is said to be the same and changes nothing."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from deployments.catalogue import Definition, load_definition
from domain.errors import EXIT_DONE, EXIT_HELD, EXIT_REFUSED, EXIT_SOURCE
from domain.report import NightReport
from domain.words import RunState
from infra.settings import Settings
from store.engine import transaction
from tasks.context import writer_engine
from tasks.night import take_night
from tasks.planning import plan_range
from tests.conftest import SHOPS

DAYS = ["2024-01-01", "2024-01-02", "2024-01-03"]
Take = Callable[..., NightReport]


@pytest.fixture
def take(settings: Settings, shops: Definition, write_day: Callable[..., Path]) -> Iterator[Take]:
    """Takes a night of shops, after three of them have been taken."""

    def one(day: str, **asked: str) -> NightReport:
        definition = load_definition(settings.deployments, "shops")
        return take_night(definition, definition.pipeline.calendar.named(day), settings, trigger="test", holder=asked)

    for day in DAYS:
        write_day(day)
        assert one(day).state is RunState.PUBLISHED
    yield one
    writer_engine(settings).dispose()


def _published(reader: sa.Engine) -> list[tuple[object, ...]]:
    with transaction(reader) as connection:
        lines = connection.execute(sa.text("SELECT batch, shop, prediction, probability FROM shops.published ORDER BY 1, 2"))
        return [tuple(line) for line in lines]


def _batches(owner: sa.Engine) -> int:
    with transaction(owner) as connection:
        return int(connection.scalar(sa.text("SELECT count(*) FROM overnight.batch")) or 0)


def test_the_same_again_is_skipped_with_the_reason_and_changes_nothing(take: Take, owner: sa.Engine, reader: sa.Engine) -> None:
    before = _published(reader), _batches(owner)
    report = take("2024-01-03")
    assert (report.state, report.exit_code) == (RunState.SKIPPED, EXIT_DONE)
    assert report.reason.startswith("nothing to do: same input, contract, code and model as batch")
    assert (_published(reader), _batches(owner)) == before


def test_an_edited_row_gives_a_new_batch_and_the_old_one_stays_listed(
    take: Take, owner: sa.Engine, reader: sa.Engine, write_day: Callable[..., Path]
) -> None:
    old = _published(reader)
    write_day("2024-01-03", change=lambda lines: [*lines[:-1], lines[-1].replace("s059", "s777")])
    report = take("2024-01-03")
    new = _published(reader)
    assert report.state is RunState.PUBLISHED
    assert {line[1] for line in new} - {line[1] for line in old} == {"s777"}
    assert len(new) == len(old)
    assert report.batch not in {line[0] for line in old}
    with transaction(reader) as connection:
        listed = connection.scalars(sa.text("SELECT batch FROM reading.publication WHERE kind = 'prediction' ORDER BY id")).all()
    assert listed[-2:] == [old[-1][0], report.batch]


def test_rows_gone_from_the_source_are_gone_from_the_new_batch(
    take: Take, reader: sa.Engine, write_day: Callable[..., Path]
) -> None:
    write_day("2024-01-03", rows=40)
    report = take("2024-01-03")
    assert report.rows_scored == 40
    assert len(_published(reader)) == 40


def test_a_changed_contract_is_a_changed_night(
    take: Take, settings: Settings, owner: sa.Engine, shops: Definition, write_day: Callable[..., Path]
) -> None:
    path = settings.deployments / "shops" / "pipeline.yaml"
    path.write_text(SHOPS.replace("price: {type: float", "price: {type: float, key: false"))
    assert take("2024-01-03").state is RunState.SKIPPED, "spelling a default out changes nothing"
    path.write_text(SHOPS.replace("at_most: 10%", "at_most: 9%"))
    assert take("2024-01-03").state is RunState.PUBLISHED


def test_a_changed_suite_is_a_changed_night(take: Take, settings: Settings) -> None:
    path = settings.deployments / "shops" / "expectations.yaml"
    path.write_text(path.read_text() + "- {expect: column_values_to_not_be_null, column: stock}\n")
    assert take("2024-01-03").state is RunState.PUBLISHED


def test_a_missing_file_fails_with_its_own_code_and_readers_keep_the_last_good_batch(
    take: Take, settings: Settings, reader: sa.Engine
) -> None:
    before = _published(reader)
    (settings.data_folder / "shops" / "2024-01-03.csv").unlink()
    report = take("2024-01-03")
    assert (report.state, report.exit_code) == (RunState.FAILED, EXIT_SOURCE)
    assert "2024-01-03.csv" in report.reason
    assert _published(reader) == before


def test_a_rerun_that_finds_nothing_to_do_settles_what_an_earlier_one_left_open(
    take: Take, settings: Settings, shops: Definition, reader: sa.Engine
) -> None:
    def stands() -> str:
        with transaction(reader) as connection:
            return str(connection.scalar(sa.text("SELECT state FROM reading.night ORDER BY interval_start DESC LIMIT 1")))

    night = shops.pipeline.calendar.named("2024-01-03")
    file = settings.data_folder / "shops" / "2024-01-03.csv"
    away = file.rename(file.with_suffix(".away"))
    assert (take("2024-01-03").state, stands()) == (RunState.FAILED, "failed")
    assert (take("2024-01-03", from_stage="observe").state, stands()) == (RunState.SKIPPED, "failed")
    assert [one.interval for one in plan_range(shops, [night], settings, mode="failed")] == [night]
    away.rename(file)
    assert (take("2024-01-03").state, stands()) == (RunState.SKIPPED, "skipped")
    assert plan_range(shops, [night], settings, mode="failed") == ()


def test_a_held_night_leaves_the_last_good_batch(take: Take, reader: sa.Engine, write_day: Callable[..., Path]) -> None:
    before = _published(reader)
    write_day("2024-01-03", change=lambda lines: [lines[0], *(line.replace(",", ",x", 3) for line in lines[1:])])
    report = take("2024-01-03")
    assert (report.state, report.exit_code) == (RunState.HELD, EXIT_HELD)
    assert report.rows_read == report.rows_landed + report.rows_rejected == 60
    assert _published(reader) == before
    assert take("2024-01-03").state is RunState.HELD, "held again, with the same reason, and not an error"


def _said(report: NightReport) -> dict[str, tuple[str, str]]:
    return {str(one.stage): (str(one.state), one.reason) for one in report.stages}


def test_a_rerun_says_what_changed(take: Take, settings: Settings, write_day: Callable[..., Path]) -> None:
    write_day("2024-01-03", rows=30)
    said = _said(take("2024-01-03"))
    assert said["ingest"] == ("done", "taken in anew, for the source changed since batch 3")
    assert said["score"][1].endswith("; batch 4 was made of other rows")
    suite = settings.deployments / "shops" / "expectations.yaml"
    suite.write_text("- {expect: column_values_to_not_be_null, column: region}\n")
    assert "suite changed" in _said(take("2024-01-03"))["ingest"][1]


def test_a_rerun_that_is_forced_makes_the_same_again_under_new_numbers(take: Take, owner: sa.Engine, reader: sa.Engine) -> None:
    before, hashes = _published(reader), _hashes(owner)
    forced = take("2024-01-03", from_stage="ingest")
    assert forced.state is RunState.PUBLISHED
    assert {stage: state for stage, (state, _) in _said(forced).items()} == {
        "ingest": "done", "validate": "done", "train": "reused", "score": "done", "publish": "done", "observe": "done",
    }  # fmt: skip
    assert [line[1:] for line in _published(reader)] == [line[1:] for line in before]
    assert _published(reader)[-1][0] != before[-1][0]
    assert _hashes(owner) == hashes, "the same rows have the same content"


def test_a_rerun_that_begins_at_scoring_asks_neither_source_nor_training(
    take: Take, settings: Settings, owner: sa.Engine, reader: sa.Engine
) -> None:
    (settings.data_folder / "shops" / "2024-01-03.csv").unlink()
    report = take("2024-01-03", from_stage="score")
    said, batch = _said(report), report.batch
    assert [said[stage][0] for stage in ("ingest", "validate", "train", "score", "publish")] == [
        "reused", "reused", "skipped", "done", "done"
    ]  # fmt: skip
    assert "whatever the source holds now" in said["ingest"][1]
    assert "asked for anew beside batch" in said["score"][1]
    published = take("2024-01-03", from_stage="publish")
    assert (published.state, published.batch, _batches(owner)) == (RunState.SKIPPED, batch, int(batch or 0))
    observed = take("2024-01-03", from_stage="observe")
    assert observed.state is RunState.SKIPPED
    assert observed.reason == "readers keep what they see, for the run was to begin at observe"


def test_a_night_that_was_never_taken_cannot_begin_in_its_middle(take: Take, write_day: Callable[..., Path]) -> None:
    write_day("2024-01-04")
    report = take("2024-01-04", from_stage="score")
    assert (report.state, report.exit_code) == (RunState.FAILED, EXIT_REFUSED)
    assert "no rows of this night are kept, so it cannot begin at score" in report.reason
    assert "overnight run shops --interval 2024-01-04" in report.reason


def _hashes(owner: sa.Engine) -> set[tuple[object, ...]]:
    with transaction(owner) as connection:
        return {
            tuple(one) for one in connection.execute(sa.text("SELECT interval_start, kind, content_hash FROM overnight.batch"))
        }
