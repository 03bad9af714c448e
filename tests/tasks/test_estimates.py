"""What estimates promise: close to what comes true, marked as what they are, and out of the way once the answers are there."""

import numpy as np
import pytest
import sqlalchemy as sa

from deployments.catalogue import Definition
from domain.words import Task
from infra.settings import Settings
from tasks.confidence import write_confidence
from tasks.estimates import _numbers, _yes_no
from tasks.metrics import measure_numbers, measure_yes_no
from tasks.predictions import Said
from tests.tasks.nightshift import Nightshift, Row, shop_rows
from tests.tasks.test_ranges import HOUSES, house_rows

DAYS = tuple(f"2024-01-{day:02d}" for day in range(1, 6))


@pytest.fixture
def shift(settings: Settings, writer: sa.Engine, owner: sa.Engine, shops: Definition) -> Nightshift:
    return Nightshift(settings, writer, owner, make_rows=lambda day: shop_rows(day, rows=400))


def unanswered(rows: list[Row]) -> list[Row]:
    return [{**row, "left_over": None} for row in rows]


def chances(rows: int, seed: int, *, sharp: float = 1.0) -> Said:
    """A model that is too sure of itself by `sharp`."""
    chance = np.random.default_rng(seed)
    odds = chance.normal(size=rows) * 1.5 - 1
    answers = chance.random(rows) < 1 / (1 + np.exp(-odds))
    return Said(answers, 1 / (1 + np.exp(-odds * sharp)), Task.CLASSIFICATION)


@pytest.mark.parametrize("sharp", [1.0, 2.5])
def test_estimates_are_close_to_what_comes_true_even_of_a_model_that_is_too_sure(shops: Definition, sharp: float) -> None:
    confidence = write_confidence(shops.pipeline, chances(8000, 1, sharp=sharp))["confidence"]
    tonight = chances(3000, 2, sharp=sharp)
    bins = np.minimum((tonight.values * 1000).astype(int), 999)
    lines = [(b, (bins == b).sum(), tonight.values[bins == b].mean(), b >= 500) for b in np.unique(bins)]
    estimated, came = _yes_no(lines, confidence), measure_yes_no(tonight.answers, tonight.values)
    for metric, (value, low, high) in estimated.items():
        assert low < value < high
        assert value == pytest.approx(came[metric], abs=0.035), metric


def test_errors_are_expected_where_such_numbers_were_wrong_before(shops: Definition) -> None:
    chance = np.random.default_rng(1)

    def said(low: float, high: float, rows: int) -> Said:
        values = chance.uniform(low, high, rows)
        return Said(values + chance.normal(size=rows) * (1 + values / 10), values, Task.REGRESSION)

    confidence = write_confidence(shops.pipeline, said(0, 100, 8000))["confidence"]
    tonight = said(60, 100, 2000)
    place, rows = np.unique(np.searchsorted(confidence["edges"], tonight.values, side="right"), return_counts=True)
    estimated, came = _numbers(list(zip(place, rows, strict=True)), confidence), measure_numbers(tonight.answers, tonight.values)
    for metric, (_, low, high) in estimated.items():
        assert low < came[metric] < high


def test_a_night_without_answers_is_estimated_once_and_the_answers_take_its_place(shift: Nightshift) -> None:
    shift.take_all(*DAYS[:4])
    said = shift.take(DAYS[4], rows=unanswered(shop_rows(DAYS[4], rows=400)))
    assert f"until the answers of {DAYS[4]} come, roc_auc is estimated at 0.9" in said["observe"].reason
    lines = {line.metric: line for line in shift.query("SELECT * FROM reading.estimate WHERE NOT answered")}
    assert lines.keys() == {"roc_auc", "accuracy", "f1", "brier"}
    assert shift.query("SELECT count(*) FROM reading.quality WHERE batch = :b", b=lines["f1"].batch)[0][0] == 0

    said = shift.take(DAYS[4])
    assert f"judged 400 answers of {DAYS[4]}" in said["observe"].reason
    assert shift.query("SELECT count(*), bool_and(answered) FROM reading.estimate")[0] == (4, True)
    line = shift.query("SELECT * FROM reading.scoreboard WHERE metric = 'roc_auc' AND estimate IS NOT NULL")[0]
    assert (line.estimate, line.estimate_low) == (lines["roc_auc"].value, lines["roc_auc"].low)
    assert line.value == pytest.approx(line.estimate, abs=0.05)


def test_a_number_whose_error_is_not_known_yet_is_estimated_too(settings: Settings, writer: sa.Engine, owner: sa.Engine) -> None:
    shift = Nightshift(settings, writer, owner, name="houses", make_rows=house_rows)
    shift.define(HOUSES)
    shift.take_all(*DAYS[:4])
    said = shift.take(DAYS[4], rows=[{**row, "price": None} for row in house_rows(DAYS[4])])
    assert f"until the answers of {DAYS[4]} come, mae is estimated at" in said["observe"].reason
    assert {line.metric for line in shift.query("SELECT metric FROM reading.estimate")} == {"mae", "rmse"}
