"""What realised quality promises: judged when answers arrive, restated when they change, and never by hindsight."""

import math

import numpy as np
import pytest
import sqlalchemy as sa

from deployments.catalogue import Definition
from domain.words import StageState
from infra.settings import Settings
from tests.tasks.nightshift import Nightshift, shop_rows

THREE = ("2024-01-01", "2024-01-02", "2024-01-03")


@pytest.fixture
def shift(settings: Settings, writer: sa.Engine, owner: sa.Engine, shops: Definition) -> Nightshift:
    return Nightshift(settings, writer, owner)


def quality(shift: Nightshift, day: str) -> dict[str, tuple[float, float, int]]:
    lines = shift.query("SELECT * FROM reading.quality WHERE interval_start = :start", start=shift.interval(day).start)
    return {line.metric: (line.value, line.dummy, line.rows) for line in lines}


def test_the_figures_are_scikit_learns_on_the_rows_that_readers_see(shift: Nightshift) -> None:
    from sklearn import metrics

    shift.take_all(*THREE)
    lines = shift.query("SELECT left_over < 1 AS answer, prediction, probability FROM shops.latest")
    answers, said, chance = (np.array(column) for column in zip(*lines, strict=True))
    found = {metric: value for metric, (value, _, _) in quality(shift, THREE[2]).items()}
    assert found == pytest.approx(
        {
            "roc_auc": metrics.roc_auc_score(answers, chance),
            "log_loss": metrics.log_loss(answers, chance),
            "accuracy": metrics.accuracy_score(answers, said),
            "f1": metrics.f1_score(answers, said),
            "brier": metrics.brier_score_loss(answers, chance),
        }
    )


def test_the_dummy_knows_the_training_windows_share_and_no_more(shift: Nightshift) -> None:
    shift.take_all(*THREE)
    share = sum(row["left_over"] < 1 for day in THREE[:2] for row in shop_rows(day)) / 240
    answers = [row["left_over"] < 1 for row in shop_rows(THREE[2])]
    expected = -sum(math.log(share if answer else 1 - share) for answer in answers) / len(answers)
    assert quality(shift, THREE[2])["log_loss"][1] == pytest.approx(expected)
    assert quality(shift, THREE[2])["roc_auc"][1] == 0.5


def test_answers_that_arrive_late_are_judged_when_they_arrive(shift: Nightshift) -> None:
    shift.take_all(*THREE[:2])
    open_rows = [{**row, "left_over": None} for row in shop_rows(THREE[2])]
    said = shift.take(THREE[2], rows=open_rows)
    assert said["observe"].reason.startswith("no answers have arrived yet for what is published")
    said = shift.take(THREE[2])
    assert said["observe"].reason.startswith("judged 120 answers of 2024-01-03: roc_auc")


def test_a_later_night_judges_an_earlier_one_that_nobody_judged(shift: Nightshift) -> None:
    from tasks.publish import publish
    from tasks.score import score
    from tasks.train import train

    shift.take_all(*THREE[:2])
    shift.take(THREE[2], stages=(train, score, publish))
    said = shift.take("2024-01-04")
    assert said["observe"].reason == "judged 240 answers of 2 nights"


def test_some_answers_are_enough_and_are_counted(shift: Nightshift) -> None:
    shift.take_all(*THREE[:2])
    rows = [{**row, "left_over": None} if number < 100 else row for number, row in enumerate(shop_rows(THREE[2]))]
    shift.take(THREE[2], rows=rows)
    assert {rows for _, _, rows in quality(shift, THREE[2]).values()} == {20}


def test_corrected_answers_restate_the_figure_and_the_old_one_is_kept(shift: Nightshift) -> None:
    shift.take_all(*THREE)
    before = quality(shift, THREE[2])["accuracy"][0]
    wrong = [{**row, "left_over": 0.0 if row["left_over"] >= 1 else 9.0} for row in shop_rows(THREE[2])]
    shift.take(THREE[2], rows=wrong)
    kept = [line.value for line in shift.query("SELECT value FROM overnight.quality WHERE metric = 'accuracy' ORDER BY id")]
    assert kept == [pytest.approx(before), pytest.approx(1 - before)]


def test_the_same_answers_are_judged_once(shift: Nightshift) -> None:
    shift.take_all(*THREE)
    lines = shift.query("SELECT count(*) AS n FROM overnight.quality")[0].n
    from tasks.observe import observe

    said = shift.take("2024-01-04", rows=[], stages=(observe,))
    assert (said["observe"].state, said["observe"].reason) == (StageState.SKIPPED, "nothing new to judge")
    assert shift.query("SELECT count(*) AS n FROM overnight.quality")[0].n == lines


def test_a_night_with_one_answer_only_records_what_can_be_computed(shift: Nightshift) -> None:
    shift.take_all(*THREE[:2])
    said = shift.take(THREE[2], rows=[{**row, "left_over": 7.0} for row in shop_rows(THREE[2])])
    assert said["observe"].reason.endswith("roc_auc cannot be computed, for all 120 answers are False")
    assert set(quality(shift, THREE[2])) == {"log_loss", "accuracy", "f1", "brier"}
