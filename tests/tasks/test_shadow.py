"""What a shadow promises: judged beside the champion on the same rows, and never shown to a reader."""

import pytest
import sqlalchemy as sa

from deployments.catalogue import Definition
from domain.errors import StageFailed
from infra.settings import Settings
from tests.tasks.nightshift import Nightshift, shop_rows

DAYS = tuple(f"2024-01-{day:02d}" for day in range(1, 6))


@pytest.fixture
def shift(settings: Settings, writer: sa.Engine, owner: sa.Engine, shops: Definition) -> Nightshift:
    shift = Nightshift(settings, writer, owner)
    shift.rewrite("min_intervals: 2", "min_intervals: 2, retrain: nightly, promote: {gain: 0.5}, shadow: true")
    return shift


def test_a_challenger_is_judged_on_the_same_rows_and_no_reader_sees_it(shift: Nightshift) -> None:
    shift.take_all(*DAYS[:4])
    assert shift.said["score"].reason.endswith("version 2 scored them too, unseen")
    shadow = shift.said["score"].detail["shadow"]["batch"]
    lines = {
        line.role: line
        for line in shift.query(
            "SELECT * FROM reading.scoreboard WHERE metric = 'roc_auc' AND interval_start = :s", s=shift.interval(DAYS[3]).start
        )
    }
    assert (lines["champion"].model_version, lines["challenger"].model_version) == (1, 2)
    assert lines["challenger"].batch == shadow
    assert lines["challenger"].rows == lines["champion"].rows == 120
    assert lines["challenger"].dummy == 0.5
    assert shift.query("SELECT count(*) FROM shops.history WHERE batch = :b", b=shadow)[0][0] == 0
    assert shift.query("SELECT count(*) FROM reading.quality WHERE batch = :b", b=shadow)[0][0] == 0
    with pytest.raises(StageFailed, match="publication_kind_check"):
        shift.query(
            "INSERT INTO overnight.publication (pipeline, kind, interval_start, interval_end, batch, who, why) "
            "SELECT pipeline, kind, interval_start, interval_end, id, '', '' FROM overnight.batch WHERE id = :b RETURNING id",
            b=shadow,
        )


def test_a_rerun_finds_its_shadow_again_and_corrected_answers_restate_it(shift: Nightshift) -> None:
    shift.take_all(*DAYS[:4])
    wrong = [{**row, "left_over": 0.0 if row["left_over"] >= 1 else 9.0} for row in shop_rows(DAYS[3])]
    before = shift.query("SELECT value FROM reading.scoreboard WHERE role = 'challenger' AND metric = 'accuracy'")
    shift.take(DAYS[3], rows=wrong)
    after = shift.query("SELECT value FROM reading.scoreboard WHERE role = 'challenger' AND metric = 'accuracy'")
    assert len(after) == len(before) == 1, "the newest shadow of the rows that readers see, and no other"
    assert after[0].value == pytest.approx(1 - before[0].value)


def test_nobody_scores_in_a_shadow_unless_asked(shift: Nightshift) -> None:
    shift.rewrite(", shadow: true", "")
    shift.take_all(*DAYS[:4])
    assert "shadow" not in shift.said["score"].detail
