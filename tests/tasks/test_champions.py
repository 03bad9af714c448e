"""What operators may do to champions, and that the journal answers who was champion when."""

import pytest
import sqlalchemy as sa

from deployments.catalogue import Definition
from domain.errors import LeakRefused, UsageError
from domain.words import StageState
from infra.settings import Settings
from tasks.champions import champion_on, journal, promote, rollback
from tests.tasks.nightshift import Nightshift

DAYS = [f"2024-01-{day:02d}" for day in range(1, 8)]


@pytest.fixture
def shift(settings: Settings, writer: sa.Engine, owner: sa.Engine, shops: Definition) -> Nightshift:
    """Seven nights: version 1 is champion from the third on, version 2 from the sixth."""
    shift = Nightshift(settings, writer, owner)
    shift.rewrite("min_intervals: 2", "min_intervals: 2, promote: {gain: -1}")
    for day in DAYS:
        shift.take(day, retrain=day in ("2024-01-03", "2024-01-06"))
    return shift


def champion(shift: Nightshift, day: str) -> int | None:
    found = champion_on(shift.engine, shift.definition.pipeline, shift.interval(day))
    return found.version if found else None


def scored_by(shift: Nightshift) -> dict[str, int]:
    lines = shift.query("SELECT DISTINCT interval_start, model_version FROM shops.published ORDER BY 1")
    return {f"{line.interval_start:%d}": line.model_version for line in lines}


def test_the_journal_answers_who_was_champion_on_any_night(shift: Nightshift) -> None:
    assert [champion(shift, day) for day in DAYS] == [None, None, 1, 1, 1, 2, 2]


def test_a_rollback_holds_from_where_the_bad_champion_began_and_lists_the_nights_it_scored(shift: Nightshift) -> None:
    moved = rollback(shift.engine, shift.definition.pipeline, who="ada", why="it flips")
    assert (moved.champion.version, moved.previous and moved.previous.version) == (1, 2)
    assert [champion(shift, day) for day in DAYS] == [None, None, 1, 1, 1, 1, 1]
    assert [shift.definition.pipeline.calendar.label(night) for night in moved.to_rescore] == DAYS[5:]
    newest = journal(shift.engine, shift.definition.pipeline)[0]
    assert (newest.who, newest.why, newest.version) == ("ada", "it flips", 1)


def test_the_nights_of_a_rollback_are_scored_again_by_running_them(shift: Nightshift) -> None:
    moved = rollback(shift.engine, shift.definition.pipeline, who="ada", why="it flips")
    for night in moved.to_rescore:
        said = shift.take(shift.definition.pipeline.calendar.label(night))
        assert said["score"].state is StageState.DONE
    assert set(scored_by(shift).values()) == {1}


def test_there_is_nothing_before_the_first_champion(shift: Nightshift) -> None:
    rollback(shift.engine, shift.definition.pipeline, who="ada", why="")
    with pytest.raises(UsageError, match="version 1 is the first champion"):
        rollback(shift.engine, shift.definition.pipeline, who="ada", why="")


def test_a_promotion_holds_from_the_first_night_that_is_not_published(shift: Nightshift) -> None:
    promote(shift.engine, shift.definition.pipeline, 1, who="ada", why="steadier")
    assert [champion(shift, day) for day in (*DAYS[5:], "2024-01-08")] == [2, 2, 1]
    assert shift.query("SELECT what, who FROM overnight.action")[0] == ("promote", "ada")


def test_no_version_may_be_promoted_for_a_night_that_it_learned_from(shift: Nightshift) -> None:
    with pytest.raises(LeakRefused) as refusal:
        promote(shift.engine, shift.definition.pipeline, 2, who="ada", why="", night=shift.interval("2024-01-05"))
    assert refusal.value.hint == "overnight promote shops 2 --from 2024-01-06"
    assert champion(shift, "2024-01-05") == 1


def test_a_version_that_is_not_there_or_is_champion_already_is_a_sentence(shift: Nightshift) -> None:
    with pytest.raises(UsageError, match="there is no version 9"):
        promote(shift.engine, shift.definition.pipeline, 9, who="ada", why="")
    with pytest.raises(UsageError, match="version 2 is champion for that night already"):
        promote(shift.engine, shift.definition.pipeline, 2, who="ada", why="")
