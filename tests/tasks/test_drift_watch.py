"""What is watched each night: the model's window against tonight, in Postgres, the effect before its causes."""

import pytest
import sqlalchemy as sa

from deployments.catalogue import Definition
from domain.words import StageState
from infra.settings import Settings
from store.drift import batch_drift
from store.engine import transaction
from tests.tasks.nightshift import Nightshift, Row, shop_rows

THREE = ("2024-01-01", "2024-01-02", "2024-01-03")


@pytest.fixture
def shift(settings: Settings, writer: sa.Engine, owner: sa.Engine, shops: Definition) -> Nightshift:
    shift = Nightshift(settings, writer, owner)
    shift.make_rows = lambda day: shop_rows(day, rows=400)
    return shift


def scarce(day: str) -> list[Row]:
    """A night on which all shops run low, and nobody writes prices."""
    return [{**row, "stock": row["stock"] // 8, "price": None} for row in shop_rows(day, rows=400)]


def test_a_night_like_the_window_has_drifted_nowhere(shift: Nightshift) -> None:
    shift.rewrite("min_intervals: 2", "min_intervals: 5")
    said = shift.take_all(*(f"2024-01-{day:02d}" for day in range(1, 7)))
    assert set(said["score"].detail["drift"]) == {"prediction", "stock", "price", "region", "opened minute"}
    assert max(said["score"].detail["drift"].values()) < 0.15
    assert "drifted" not in said["score"].reason


def test_a_shift_is_told_by_its_effect_first_and_kept_for_readers(shift: Nightshift) -> None:
    shift.take_all(*THREE)
    said = shift.take("2024-01-04", rows=scarce("2024-01-04"))
    assert "; its predictions have drifted (psi " in said["score"].reason
    assert "of its features stock most" in said["score"].reason
    lines = {
        line.feature: line
        for line in shift.query("SELECT * FROM reading.drift WHERE batch = :b", b=said["score"].detail["batch"])
    }
    assert lines["stock"].psi > 1 > lines["stock"].distance > 0.5
    assert (lines["price"].missing, round(lines["price"].missing_then, 2)) == (1.0, 0.09)
    assert lines["region"].psi < 0.05
    with transaction(shift.engine) as connection:
        assert batch_drift(connection, said["score"].detail["batch"])[0].kind == "prediction"


def test_drift_trains_early_where_the_pipeline_says_so(shift: Nightshift) -> None:
    shift.rewrite("min_intervals: 2", "min_intervals: 2, retrain: on drift")
    shift.take_all(*THREE, "2024-01-04")
    assert shift.said["train"].reason == "the newest model was trained 1 day before this night, due after 30"
    for day in ("2024-01-05", "2024-01-06"):
        shift.take(day, rows=scarce(day))
        assert shift.said["train"].state is StageState.SKIPPED, "one odd night is no new world"
    said = shift.take("2024-01-07")
    assert said["train"].state is StageState.DONE
    assert said["train"].reason.startswith("the predictions of version 1 have drifted 2 nights in a row (psi")


def test_predictions_that_move_while_no_feature_does_train_nothing(shift: Nightshift) -> None:
    shift.rewrite("min_intervals: 2", "min_intervals: 2, retrain: on drift, retrain_at_psi: 0.0001")
    for day in range(1, 8):
        shift.take(f"2024-01-{day:02d}")
    assert shift.said["train"].reason == "the newest model was trained 4 days before this night, due after 30"


def test_where_drift_decides_no_model_grows_older_than_a_month(shift: Nightshift) -> None:
    shift.rewrite("min_intervals: 2", "min_intervals: 2, retrain: on drift")
    shift.take_all(*THREE)
    said = shift.take("2024-02-02")
    assert said["train"].reason.startswith("the newest model was trained 30 days before this night; version 2 ")


def test_one_query_tells_who_was_champion(shift: Nightshift) -> None:
    shift.take_all(*THREE)
    for day, champion in zip(THREE, (None, None, 1), strict=True):
        start = shift.interval(day).start
        assert shift.query("SELECT reading.champion_on('shops', :start) AS version", start=start)[0].version == champion


def test_readers_may_ask_both(shift: Nightshift, reader: sa.Engine) -> None:
    shift.take_all(*THREE)
    with transaction(reader) as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM reading.drift")) == 5
        assert connection.scalar(sa.text("SELECT reading.champion_on('shops', now())")) == 1
