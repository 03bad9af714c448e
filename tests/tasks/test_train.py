"""What training promises: when it happens, what it may see, what it measures, and who is champion afterwards."""

import pytest
import sqlalchemy as sa

from deployments.catalogue import Definition
from domain.words import StageState
from infra.settings import Settings
from tests.tasks.nightshift import Nightshift


@pytest.fixture
def shift(settings: Settings, writer: sa.Engine, owner: sa.Engine, shops: Definition) -> Nightshift:
    return Nightshift(settings, writer, owner)


def test_nothing_is_learned_before_enough_nights_are_published(shift: Nightshift) -> None:
    shift.take("2024-01-01")
    said = shift.take("2024-01-02")
    assert said["train"].state is StageState.SKIPPED
    assert said["train"].reason == "1 of 2 published nights to learn from"
    assert said["score"].state is StageState.SKIPPED
    assert said["score"].reason == "no model yet"


def test_the_first_model_is_measured_against_the_dummy_and_scores_its_own_night(shift: Nightshift) -> None:
    said = shift.take_all("2024-01-01", "2024-01-02", "2024-01-03")
    assert said["train"].detail["promoted"]
    assert said["score"].rows_out == 120
    assert said["publish"].state is StageState.DONE
    assert said["observe"].state is StageState.DONE
