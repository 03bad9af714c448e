"""What scoring promises: who may score, one prediction for each row, nothing twice, and nothing foreign loaded."""

import pickle
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from deployments.catalogue import Definition
from domain.errors import EnvironmentRefused
from domain.words import StageState
from infra.settings import Settings
from tasks import artifacts
from tests.tasks.nightshift import Nightshift, shop_rows

THREE = ("2024-01-01", "2024-01-02", "2024-01-03")


@pytest.fixture
def shift(settings: Settings, writer: sa.Engine, owner: sa.Engine, shops: Definition) -> Nightshift:
    return Nightshift(settings, writer, owner)


def test_each_row_gets_one_prediction_with_its_probability(shift: Nightshift) -> None:
    shift.take_all(*THREE)
    lines = shift.query("SELECT shop, prediction, probability, model_version, hindsight FROM shops.latest ORDER BY shop")
    assert [line.shop for line in lines] == [row["shop"] for row in shop_rows(THREE[2])]
    assert all(line.prediction is (line.probability > 0.5) for line in lines)
    assert {(line.model_version, line.hindsight) for line in lines} == {(1, False)}


def test_equal_rows_in_another_batch_get_predictions_of_their_own_under_their_own_verdict(shift: Nightshift) -> None:
    shift.take_all(*THREE)
    before = shift.query("SELECT DISTINCT batch FROM shops.latest")[0].batch
    said = shift.take("2024-01-03")
    assert said["score"].state is StageState.DONE
    made = shift.query("SELECT batch, input_batch FROM reading.published WHERE kind = 'prediction' ORDER BY batch")[-1]
    assert made.batch > before
    assert made.input_batch == shift.query("SELECT max(batch) AS batch FROM reading.published WHERE kind = 'input'")[0].batch


def test_one_changed_row_makes_a_new_batch(shift: Nightshift) -> None:
    shift.take_all(*THREE)
    rows = shop_rows("2024-01-03")
    rows[0]["stock"] += 1
    assert shift.take("2024-01-03", rows=rows)["score"].state is StageState.DONE


def test_a_night_before_the_champion_learned_gets_no_predictions(shift: Nightshift) -> None:
    shift.take_all(*THREE)
    said = shift.take("2024-01-02")
    assert said["score"].state is StageState.SKIPPED
    assert (
        said["score"].reason
        == "no model yet: version 1 learned from nights until 2024-01-03 00:00, past this one's start (law 5)"
    )
    assert shift.query("SELECT prediction_batch FROM overnight.run ORDER BY id DESC LIMIT 1")[0].prediction_batch is None


def test_hindsight_marks_every_row_and_is_never_judged(shift: Nightshift) -> None:
    shift.take_all(*THREE)
    said = shift.take("2024-01-02", hindsight=True)
    assert said["score"].reason.endswith("in hindsight: it has learned from this night or later ones")
    marks = shift.query(
        "SELECT DISTINCT hindsight FROM shops.published WHERE interval_start = :s", s=shift.interval("2024-01-02").start
    )
    assert [mark.hindsight for mark in marks] == [True]
    assert said["observe"].state is StageState.SKIPPED
    assert len(shift.query("SELECT DISTINCT interval_start FROM overnight.quality")) == 1


def test_unseen_categories_are_scored_and_counted(shift: Nightshift) -> None:
    shift.take_all(*THREE)
    rows = [{**row, "region": "moon"} if number < 7 else row for number, row in enumerate(shop_rows("2024-01-04"))]
    said = shift.take("2024-01-04", rows=rows)
    assert said["score"].detail["unseen"] == {"region": 7}
    assert said["score"].rows_out == 120


def test_an_empty_night_is_scored_as_an_empty_batch(shift: Nightshift) -> None:
    shift.take_all(*THREE)
    said = shift.take("2024-01-04", rows=[])
    assert (said["score"].state, said["score"].rows_out) == (StageState.DONE, 0)


def test_keys_and_texts_come_back_as_they_were(shift: Nightshift) -> None:
    shift.take_all(*THREE)
    keys = ['a,b "c"', "two\nlines", "", "ünï", " ", "\\N", "NULL"]
    rows = [{**row, "shop": key, "region": key} for key, row in zip(keys, shop_rows("2024-01-04"), strict=False)]
    shift.take("2024-01-04", rows=rows)
    assert sorted(line.shop for line in shift.query("SELECT shop FROM shops.latest")) == sorted(keys)


def test_chunks_do_not_change_what_is_predicted(shift: Nightshift, monkeypatch: pytest.MonkeyPatch) -> None:
    import tasks.scoring

    shift.take_all(*THREE)
    whole = shift.query("SELECT shop, probability FROM shops.latest ORDER BY shop")
    real = tasks.scoring.copy_out
    monkeypatch.setattr(tasks.scoring, "copy_out", lambda *given: real(*given, block=512))
    rows = [*shop_rows("2024-01-03"), {**shop_rows("2024-01-03")[0], "shop": "extra"}]
    shift.take("2024-01-03", rows=rows)
    again = shift.query("SELECT shop, probability FROM shops.latest WHERE shop <> 'extra' ORDER BY shop")
    assert again == whole


def test_other_library_versions_are_refused_with_what_helps(shift: Nightshift, monkeypatch: pytest.MonkeyPatch) -> None:
    shift.take_all(*THREE)
    real = artifacts.libraries_here()
    monkeypatch.setattr(artifacts, "libraries_here", lambda: {**real, "scikit-learn": "0.0.1"})
    with pytest.raises(EnvironmentRefused) as refusal:
        shift.take("2024-01-04", stages=_only_score())
    assert f"was fitted under scikit-learn {real['scikit-learn']}, and this is scikit-learn 0.0.1" in str(refusal.value)
    assert refusal.value.hint == "overnight run shops --interval 2024-01-04 --retrain"
    assert refusal.value.exit_code == 4


def test_a_model_stored_by_another_release_is_refused(shift: Nightshift, monkeypatch: pytest.MonkeyPatch) -> None:
    shift.take_all(*THREE)
    monkeypatch.setattr(artifacts, "ENCODER_FORM", "99")
    with pytest.raises(EnvironmentRefused, match="was stored by another release of Overnight"):
        shift.take("2024-01-04", stages=_only_score())
    said = shift.take("2024-01-04", retrain=True)
    assert "is champion" in said["train"].reason
    assert said["score"].rows_out == 120


def _only_score() -> tuple[Any, ...]:
    from tasks.score import score

    return (score,)


def _tamper(shift: Nightshift, change: Callable[[bytes], bytes], *, honest_hash: bool) -> None:
    """Writes other bytes in an artifact's place, past every guard of the database."""
    with shift.owner.begin() as connection:
        connection.execute(sa.text("ALTER TABLE overnight.model DISABLE TRIGGER append_only, DROP CONSTRAINT model_check"))
        data = change(bytes(connection.execute(sa.text("SELECT artifact FROM overnight.model")).scalar_one()))
        connection.execute(sa.text("UPDATE overnight.model SET artifact = :data"), {"data": data})
        if honest_hash:
            connection.execute(sa.text("UPDATE overnight.model SET sha256 = encode(sha256(artifact), 'hex')"))


def _foreign(data: bytes) -> bytes:
    """An honest skops artifact of something that is no model."""
    from skops import io as skops

    return bytes(skops.dumps(ForeignModel()))


class ForeignModel:
    def __init__(self) -> None:
        self.classes_ = [False, True]


@pytest.mark.parametrize(
    ("change", "honest_hash", "sentence"),
    [
        (lambda data: data[:5000] + bytes([data[5000] ^ 1]) + data[5001:], False, "are not those that were recorded"),
        (lambda data: pickle.dumps({"a": "pickle"}), False, "are not those that were recorded"),
        (lambda data: pickle.dumps({"a": "pickle"}), True, "is no skops artifact, and nothing else is loaded"),
        (_foreign, True, "holds the type test_score.ForeignModel, which is not trusted"),
    ],
    ids=["one byte", "a pickle", "a pickle with its hash", "a foreign type with its hash"],
)
def test_a_tampered_artifact_is_refused(
    shift: Nightshift, change: Callable[[bytes], bytes], honest_hash: bool, sentence: str
) -> None:
    shift.take_all(*THREE)
    _tamper(shift, change, honest_hash=honest_hash)
    with pytest.raises(EnvironmentRefused, match=sentence):
        shift.take("2024-01-04", stages=_only_score())


def test_a_column_that_the_champion_needs_and_the_contract_lost_is_refused(shift: Nightshift) -> None:
    shift.take_all(*THREE)
    shift.rewrite("  region: {type: text}\n", "")
    shift.rewrite("categorical: [region], ", "")
    rows = [{name: value for name, value in row.items() if name != "region"} for row in shop_rows("2024-01-04")]
    with pytest.raises(EnvironmentRefused, match="needs the column 'region', which the contract no longer has"):
        shift.take("2024-01-04", rows=rows, stages=_only_score())


def test_another_hook_than_the_one_it_learned_with_is_refused(shift: Nightshift) -> None:
    hook = shift.settings.deployments / "shops" / "features.py"
    hook.write_text("def build(rows):\n    return rows\n")
    shift.rewrite("datetime: [opened]}", "datetime: [opened], hook: features.py:build}")
    shift.take_all(*THREE)
    hook.write_text("def build(rows):\n    return rows[['stock']]\n")
    with pytest.raises(EnvironmentRefused, match="was made with another features"):
        shift.take("2024-01-04", stages=_only_score())


def test_a_champion_that_answers_another_question_does_not_score(shift: Nightshift) -> None:
    shift.take_all(*THREE)
    shift.rewrite("left_over < 1", "left_over < 20")
    said = shift.take("2024-01-04", stages=_only_score())
    assert said["score"].reason == "no model yet for this question: version 1 was trained before the target changed"


def test_the_columns_known_only_afterwards_change_no_prediction(shift: Nightshift) -> None:
    shift.take_all(*THREE)
    rows = [{**row, "left_over": None} for row in shop_rows("2024-01-04")]
    shift.take("2024-01-04", rows=rows)
    blind = shift.query("SELECT shop, probability FROM shops.latest ORDER BY shop")
    shift.take("2024-01-04")
    assert shift.query("SELECT shop, probability FROM shops.latest ORDER BY shop") == blind


MANY = """
name: parcels
title: Which depot?
interval: {every: day, timezone: UTC, from: 2024-01-01}
source: {kind: csv, path: "x.csv"}
columns:
  parcel: {type: int, key: true}
  part: {type: date, key: true}
  weight: {type: decimal}
  fragile: {type: bool, null: true}
  depot: {type: text, null: true}
  hours: {type: float, null: true}
target: TARGET
features: {numeric: [weight, fragile], categorical: [fragile], datetime: [part]}
model: {min_intervals: 2, MODEL}
"""


def parcel_rows(day: str) -> list[dict[str, Any]]:
    import random

    chance = random.Random(day)
    rows = []
    for number in range(150):
        weight, fragile = chance.randint(1, 90), chance.choice([True, False, None])
        depot = "east" if weight > 60 else "west" if fragile else "north"
        hours = weight / 10 + chance.random() + (2 if fragile else 0)
        rows.append({"parcel": number, "part": day, "weight": weight, "fragile": fragile, "depot": depot, "hours": hours})
    rows[0]["depot"] = f"only on {day}"
    return rows


def parcels(shift: Nightshift, target: str, model: str = "metric: accuracy") -> Nightshift:
    shift.name, shift.make_rows = "parcels", parcel_rows
    shift.define(
        MANY.replace("TARGET", target).replace("MODEL", model).replace("numeric: [weight, fragile]", "numeric: [weight]")
    )
    return shift


def test_many_classes_are_predicted_as_text_with_their_probability(shift: Nightshift) -> None:
    said = parcels(shift, "{column: depot, task: classification}").take_all(*THREE)
    assert "is champion: accuracy 0.9" in said["train"].reason
    lines = shift.query("SELECT prediction, probability FROM parcels.latest")
    assert {"east", "west", "north"} <= {line.prediction for line in lines}
    assert all(0 <= line.probability <= 1 for line in lines)
    assert "accuracy 0.9" in said["observe"].reason


def test_numbers_are_predicted_without_a_probability(shift: Nightshift) -> None:
    said = parcels(shift, "{column: hours, task: regression}", "window: 30 days").take_all(*THREE)
    assert "is champion: rmse 0." in said["train"].reason
    (line,) = shift.query("SELECT avg(abs(prediction - hours)) AS mae, count(probability) AS told FROM parcels.latest")
    assert line.mae < 0.6
    assert line.told == 0
    assert "rmse 0." in said["observe"].reason
