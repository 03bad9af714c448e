"""What ranges promise: they hold as many answers as they say, wide where errors are large, and never a made-up one."""

import numpy as np
import pytest
import sqlalchemy as sa

from domain.errors import DefinitionError
from domain.words import Task
from infra.settings import Settings
from store.reads.rows import column_types
from tasks.predictions import Said
from tasks.ranges import fit_ranges, rows_needed
from tests.tasks.nightshift import Nightshift, Row

HOUSES = """
name: houses
title: What will this house sell for?
interval: {every: day, timezone: Europe/Berlin, from: 2024-01-01}
source: {kind: csv, path: "{data}/houses.csv"}
columns:
  house: {type: text, key: true}
  area: {type: float}
  district: {type: text}
  price: {type: float, null: true}
target: {column: price, task: regression}
features: {numeric: [area], categorical: [district]}
model: {min_intervals: 2, holdout: 1 day, params: {max_iter: 30}, metric: mae}
"""
DAYS = tuple(f"2024-01-{day:02d}" for day in range(1, 6))


def house_rows(day: str, rows: int = 400) -> list[Row]:
    """Prices whose error grows with the area."""
    chance = np.random.default_rng(int(day[-2:]))
    area, noise = chance.uniform(20, 200, rows), chance.normal(size=rows)
    return [
        {"house": f"h{i:04d}", "area": float(a), "district": "nsew"[i % 4], "price": float(3 * a + 20 * (i % 4) + e * a / 5)}
        for i, (a, e) in enumerate(zip(area, noise, strict=True))
    ]


@pytest.fixture
def shift(settings: Settings, writer: sa.Engine, owner: sa.Engine) -> Nightshift:
    shift = Nightshift(settings, writer, owner, name="houses", make_rows=house_rows)
    shift.define(HOUSES)
    return shift


def said(rows: int, seed: int) -> Said:
    chance = np.random.default_rng(seed)
    values = chance.uniform(0, 100, rows)
    return Said(values + chance.normal(size=rows) * (1 + values / 10), values, Task.REGRESSION)


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9, 0.99])
def test_ranges_hold_as_many_new_answers_as_they_say(coverage: float) -> None:
    ranges = fit_ranges(said(4000, 1), coverage=coverage)
    assert ranges is not None
    assert ranges.share_inside(said(20000, 2)) == pytest.approx(coverage, abs=0.02)
    assert ranges.checked == pytest.approx(coverage, abs=0.03)


def test_ranges_are_wide_where_errors_are_large() -> None:
    ranges = fit_ranges(said(4000, 1), coverage=0.9)
    assert ranges is not None
    lower, upper = ranges.around(np.array([5.0, 95.0]))
    assert (upper - lower)[1] > 4 * (upper - lower)[0]


@pytest.mark.parametrize(("coverage", "needed"), [(0.9, 19), (0.99, 199), (0.5, 3)])
def test_too_few_rows_promise_nothing(coverage: float, needed: int) -> None:
    assert rows_needed(coverage) == needed
    assert fit_ranges(said(needed - 1, 1), coverage=coverage) is None
    assert fit_ranges(said(needed, 1), coverage=coverage) is not None


def test_a_pipeline_that_asks_for_ranges_shows_them_and_how_often_they_held(shift: Nightshift) -> None:
    shift.rewrite("metric: mae", "metric: mae, coverage: 90%")
    shift.define((shift.settings.deployments / "houses" / "pipeline.yaml").read_text())
    shift.take_all(*DAYS)
    rows = shift.query("SELECT price, prediction, lower, upper FROM houses.latest")
    assert len(rows) == 400
    assert all(row.lower < row.upper for row in rows)
    lines = shift.query("SELECT interval_start, value, dummy FROM reading.quality WHERE metric = 'coverage' ORDER BY 1")
    assert lines[-1].value == pytest.approx(sum(row.lower <= row.price <= row.upper for row in rows) / 400)
    assert 0.84 < lines[-1].value < 0.96
    assert lines[-1].dummy is None
    assert {"lower", "upper"} <= column_types(shift.definition.pipeline).keys()
    card = shift.query("SELECT card FROM reading.model ORDER BY version DESC LIMIT 1")[0].card
    assert card["ranges"]["held_on_the_later_half"] > 0.8


def test_ranges_asked_for_later_come_with_the_next_model_and_old_batches_stay(shift: Nightshift) -> None:
    shift.take_all(*DAYS[:3])
    before = shift.query("SELECT content_hash FROM reading.batch WHERE state = 'sealed' ORDER BY id")
    shift.rewrite("metric: mae", "metric: mae, coverage: 80%")
    shift.rewrite("  district: {type: text}", "  district: {type: text}\n  rooms: {type: int, null: true}")
    shift.define((shift.settings.deployments / "houses" / "pipeline.yaml").read_text())
    shift.make_rows = lambda day: [{**row, "rooms": 3} for row in house_rows(day)]
    shift.take(DAYS[3])
    assert shift.query("SELECT count(*) FILTER (WHERE lower IS NULL), count(*), sum(rooms) FROM houses.published")[0] == (
        400,
        800,
        1200,
    )
    assert shift.query("SELECT content_hash FROM reading.batch WHERE state = 'sealed' ORDER BY id")[: len(before)] == before
    shift.rewrite(", coverage: 80%", "")
    shift.define((shift.settings.deployments / "houses" / "pipeline.yaml").read_text())
    assert len(shift.query("SELECT * FROM houses.as_of(now())")) == 800


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("task: regression", "as: 'price > 9', task: classification"),
        ("  area:", "  lower: {type: float, null: true}\n  area:"),
    ],
)
def test_ranges_where_there_can_be_none_are_refused_in_a_sentence(shift: Nightshift, old: str, new: str) -> None:
    shift.rewrite("metric: mae", "coverage: 90%")
    shift.rewrite(old, new)
    with pytest.raises(DefinitionError, match=r"model\.coverage"):
        _ = shift.definition
