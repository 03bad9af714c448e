"""Law 5: a model trained on data past an interval's start may not score it, unless asked for by name."""

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.errors import LeakRefused
from store.engine import transaction
from store.models import champion_for
from tests.laws.conftest import House


def test_the_database_refuses_predictions_from_a_model_that_saw_the_night(house: House) -> None:
    with house.run("2024-01-09") as run:
        house.seal(run, batch := house.load(run, 2))
        model = house.learn(run, batch)
    with house.run("2024-01-05") as run:
        house.seal(run, landed := house.load(run, 2))
        with pytest.raises(LeakRefused, match="past the start of the interval"):
            house.predict(run, landed, model)


def test_hindsight_is_allowed_by_name_and_marks_the_batch(house: House) -> None:
    with house.run("2024-01-09") as run:
        house.seal(run, batch := house.load(run, 2))
        model = house.learn(run, batch)
    with house.run("2024-01-05", hindsight=True) as run:
        house.seal(run, landed := house.load(run, 2))
        assert house.predict(run, landed, model).hindsight


@given(nights=st.lists(st.tuples(st.integers(2, 25), st.integers(2, 27)), min_size=1, max_size=6))
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_the_champion_of_a_night_is_the_newest_promotion_that_saw_nothing_past_it(
    house: House, nights: list[tuple[int, int]]
) -> None:
    """Whatever the order in which nights were trained, a night's champion is that of the latest night up to it."""
    for trained, asked in nights:
        with house.run(f"2024-02-{trained:02d}") as run:
            house.learn(run, house.load(run, 1))
        night = house.night(f"2024-02-{asked:02d}").start
        with transaction(house.writer) as connection:
            champion = champion_for(connection, "shops", night=night)
            all_nights = connection.scalars(sa.text("SELECT trained_for FROM overnight.model")).all()
        assert (champion and champion.trained_for) == max((n for n in all_nights if n <= night), default=None)
