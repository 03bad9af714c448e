"""Law 3: counts add up; sealing refuses a ledger line that the tables do not bear out."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.errors import StageFailed
from tests.laws.conftest import House


@given(rows=st.integers(0, 40), counted=st.integers(0, 40))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_a_batch_is_sealed_exactly_when_its_figures_are_true(house: House, rows: int, counted: int) -> None:
    with house.run("2024-01-05") as run:
        batch = house.load(run, rows, counted=counted)
        if rows == counted:
            assert len(house.seal(run, batch)) == 32
        else:
            with pytest.raises(StageFailed, match=f"says {counted} rows landed, the table holds {rows}"):
                house.seal(run, batch)


def test_predictions_that_are_fewer_than_the_rows_are_refused(house: House) -> None:
    with house.run("2024-01-01") as run:
        house.seal(run, batch := house.load(run, 5))
    with house.run("2024-01-02") as run:
        model = house.learn(run, batch)
        house.seal(run, landed := house.load(run, 5))
        with pytest.raises(StageFailed, match="4 predictions for 5 rows"):
            house.predict(run, landed, model, rows=4)
