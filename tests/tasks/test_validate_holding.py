"""What operators say about nights, and what limits on the predictions do: readers keep the last good batch and the reason."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from deployments.catalogue import Definition, load_definition
from domain.errors import UsageError
from domain.report import NightReport
from domain.words import Outcome, RunState, StageState
from infra.settings import Settings
from store.batches import newest_verdict
from store.engine import transaction
from tasks.holding import Said, hold, release, revalidate
from tasks.night import take_night
from tests.tasks.nightshift import Nightshift, shop_rows

DAYS = ("2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04")
ANA: dict[str, Any] = {"who": "ana", "holder": {"pid": 1}}


@pytest.fixture
def shift(settings: Settings, writer: sa.Engine, owner: sa.Engine, shops: Definition) -> Nightshift:
    return Nightshift(settings, writer, owner)


def limit(shift: Nightshift, limits: str) -> None:
    shift.rewrite("rejects:", f"publish: {{hold_if: {limits}}}\nrejects:")


def seen(shift: Nightshift, day: str) -> int | None:
    """The prediction batch that readers see for a day."""
    statement = "SELECT batch FROM reading.published WHERE pipeline = 'shops' AND kind = 'prediction' AND interval_start = :start"
    found = shift.query(statement, start=shift.interval(day).start)
    return found[0].batch if found else None


def test_each_published_night_says_how_it_differs_from_the_one_before(shift: Nightshift) -> None:
    shift.take_all(*DAYS[:3])
    rows = shop_rows(DAYS[3])[:-20]
    rows[0]["shop"] = "new one"
    diff = shift.take(DAYS[3], rows=rows)["publish"].detail["diff"]
    assert diff["against"] == "2024-01-03"
    assert (diff["rows"], diff["rows_before"], diff["common"], diff["added"], diff["gone"]) == (100, 120, 99, 1, 21)
    assert diff["flips"] > 0
    assert len(diff["moves"]) == 10
    first, last = diff["moves"][0], diff["moves"][-1]
    assert abs(first["after"] - first["before"]) >= abs(last["after"] - last["before"])
    assert sum(diff["before"]) == 120
    assert sum(diff["after"]) == 100
    assert diff["columns"]["price"]["before"]["null_share"] == pytest.approx(11 / 120, abs=1e-3)


def test_predictions_that_flip_past_the_limit_are_held_and_readers_keep_what_they_see(shift: Nightshift) -> None:
    shift.take_all(*DAYS[:3])
    limit(shift, "{flips: 1%}")
    report = shift.take(DAYS[3])["publish"]
    assert report.state is StageState.HELD
    assert "of the predictions changed since 2024-01-03" in report.reason
    assert report.reason.endswith("limit 1%")
    assert seen(shift, DAYS[3]) is None
    assert seen(shift, DAYS[2]) is not None


def test_a_night_with_far_fewer_rows_is_held(shift: Nightshift) -> None:
    shift.take_all(*DAYS[:3])
    limit(shift, "{rows_change: 60%}")
    report = shift.take(DAYS[3], rows=shop_rows(DAYS[3])[:30])["publish"]
    assert report.reason == "held: 75% fewer rows than 2024-01-03 (30 against 120), limit 60%"


def test_a_hold_marks_what_readers_see_though_a_newer_run_brought_other_rows(
    shift: Nightshift, shops: Definition, settings: Settings
) -> None:
    def verdicts() -> list[str]:
        return [line.verdict for line in shift.query("SELECT verdict FROM shops.latest GROUP BY 1")]

    shift.take_all(*DAYS)
    limit(shift, "{rows_change: 60%}")
    assert shift.take(DAYS[3], rows=shop_rows(DAYS[3])[:30])["publish"].state is StageState.HELD
    hold(shops, shift.interval(DAYS[3]), settings, why="prices of last year", **ANA)
    assert verdicts() == ["held"]
    release(shops, shift.interval(DAYS[3]), settings, why="they are right", **ANA)
    assert verdicts() == ["passed"]


def test_an_operator_holds_a_night_until_it_is_released(shift: Nightshift, shops: Definition, settings: Settings) -> None:
    shift.take_all(*DAYS[:3])
    said = hold(shops, shift.interval(DAYS[3]), settings, why="the source is being repaired", **ANA)
    assert (said.batch, said.published) == (None, False)
    report = shift.take(DAYS[3])["publish"]
    assert (report.state, report.reason) == (StageState.HELD, "held: by ana: the source is being repaired")
    assert seen(shift, DAYS[3]) is None
    release(shops, shift.interval(DAYS[3]), settings, why="repaired", **ANA)
    assert shift.take(DAYS[3])["publish"].state is StageState.DONE
    assert seen(shift, DAYS[3]) is not None
    assert [line.what for line in shift.query("SELECT what FROM overnight.action ORDER BY id")] == ["hold", "release"]


def test_holding_what_is_published_unpublishes_nothing_and_tells_readers(
    shift: Nightshift, shops: Definition, settings: Settings
) -> None:
    shift.take_all(*DAYS[:3])
    before = seen(shift, DAYS[2])
    said = hold(shops, shift.interval(DAYS[2]), settings, why="prices look wrong", **ANA)
    assert said.published
    assert seen(shift, DAYS[2]) == before
    line = shift.query("SELECT verdict, verdict_reason FROM reading.published WHERE batch = :batch", batch=before)[0]
    assert tuple(line) == ("held", "held: by ana: prices look wrong")


def test_a_night_from_file_to_readers_is_held_by_a_limit_and_published_once_it_is_released(
    shops: Definition, settings: Settings, write_day: Callable[..., Path]
) -> None:
    nights = [run(shops, settings, write_day, day) for day in DAYS[:3]]
    assert [night.state for night in nights] == [RunState.PUBLISHED] * 3
    path = shops.folder / "pipeline.yaml"
    path.write_text(path.read_text().replace("rejects:", "publish: {hold_if: {flips: 1%}}\nrejects:"))
    strict = load_definition(settings.deployments, "shops")
    held = run(strict, settings, write_day, DAYS[3])
    assert (held.state, held.exit_code) == (RunState.HELD, 3)
    assert "of the predictions changed since 2024-01-03" in held.reason
    said = release(strict, strict.pipeline.calendar.named(DAYS[3]), settings, why="the week has turned", **ANA)
    assert said.after.startswith("released by ana: the week has turned")
    after = run(strict, settings, write_day, DAYS[3])
    assert (after.state, after.batch) == (RunState.PUBLISHED, held.batch)


def test_a_night_that_rules_held_is_published_without_its_rejects_once_it_is_released(
    shops: Definition, settings: Settings, write_day: Callable[..., Path]
) -> None:
    held = run(shops, settings, write_day, DAYS[0], change=lambda lines: overstocked(lines, 12))
    assert (held.state, held.reason) == (RunState.HELD, "held: 20% of stock is outside 0 to 1,000, limit 10% (and 1 more)")
    release(shops, shops.pipeline.calendar.named(DAYS[0]), settings, why="a big delivery", **ANA)
    after = run(shops, settings, write_day, DAYS[0], change=lambda lines: overstocked(lines, 12))
    assert (after.state, after.rows_landed, after.rows_rejected) == (RunState.PUBLISHED, 48, 12)


def overstocked(lines: list[str], rows: int) -> list[str]:
    """The first rows with a stock that the suite does not allow."""
    cells = [line.split(",") for line in lines]
    for row in cells[1 : rows + 1]:
        row[3] = "5000"
    return [",".join(row) for row in cells]


def run(definition: Definition, settings: Settings, write_day: Callable[..., Path], day: str, **change: Any) -> NightReport:
    write_day(day, **change)
    return take_night(definition, definition.pipeline.calendar.named(day), settings, trigger="test")


def test_a_night_that_is_not_held_cannot_be_released(shift: Nightshift, shops: Definition, settings: Settings) -> None:
    shift.take_all(*DAYS[:3])
    with pytest.raises(UsageError, match="shops 2024-01-03: this night is not held: ok"):
        release(shops, shift.interval(DAYS[2]), settings, why="why not", **ANA)
    with pytest.raises(UsageError, match="nothing of this night was judged yet"):
        release(shops, shift.interval("2024-02-01"), settings, why="why not", **ANA)


def test_a_changed_suite_judges_what_is_published_and_unpublishes_nothing(
    shift: Nightshift, shops: Definition, settings: Settings
) -> None:
    shift.take_all(*DAYS[:3])
    before = [seen(shift, day) for day in DAYS[:3]]
    (shops.folder / "expectations.yaml").write_text("- {expect: column_values_to_not_be_null, column: price}")
    changed = load_definition(settings.deployments, "shops")
    said = revalidate(changed, settings, first=shift.interval(DAYS[1]), last=shift.interval(DAYS[2]), **ANA)
    assert [each.after for each in said] == ["held: 9.2% of price is null, and a sealed batch cannot set them aside"] * 2
    assert [seen(shift, day) for day in DAYS[:3]] == before
    assert verdict_of(shift, said[0]) is Outcome.HELD
    again = revalidate(changed, settings, first=shift.interval(DAYS[1]), last=shift.interval(DAYS[2]), **ANA)
    assert [each.before == each.after for each in again] == [True, True]


def verdict_of(shift: Nightshift, said: Said) -> Outcome | None:
    with transaction(shift.engine) as connection:
        verdict = newest_verdict(connection, said.batch or 0)
    return verdict[0] if verdict else None
