"""The examples are copied by strangers: each runs as it is, from its table to predictions that are worth something."""

import runpy
import shutil
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pytest
import sqlalchemy as sa

from deployments.catalogue import load_definition, pipeline_names
from domain.words import RunState
from infra.settings import Settings
from store.pipelines import register
from tasks.check import check
from tasks.night import take_night

EXAMPLES = Path(__file__).parents[1] / "examples"
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
# The realised figure, and what it must lie between; the dummies reach 0.10, and 65.
WORTH = {"digits": ("accuracy", 0.93, 1.0), "diabetes": ("mae", 0.0, 52.0)}


@pytest.fixture
def shelf(settings: Settings) -> Settings:
    """The examples as a user has them: copied, with the tables that their script writes."""
    shutil.copytree(EXAMPLES, settings.deployments)
    runpy.run_path(str(EXAMPLES / "data.py"), run_name="data")["write_examples"](settings.data_folder)
    return settings


def test_each_example_is_known_here() -> None:
    assert set(pipeline_names(EXAMPLES)) == set(WORTH)


@pytest.mark.parametrize("name", [pytest.param("digits", marks=pytest.mark.slow), "diabetes"])  # 64 columns: 20 s
def test_an_example_runs_as_it_is_and_beats_the_dummy(name: str, shelf: Settings, owner: sa.Engine) -> None:
    definition = load_definition(shelf.deployments, name)
    register(owner, definition.pipeline, expectations=list(definition.expectations))
    night = definition.pipeline.calendar.containing(NOON)
    assert check(definition, night, shelf).caught == 0
    report = take_night(definition, night, shelf, trigger="test")
    assert report.state is RunState.PUBLISHED, report.reason
    assert report.rows_rejected == 0
    assert report.rows_scored == report.rows_landed
    metric, least, most = WORTH[name]
    with owner.connect() as connection:
        found = connection.execute(sa.text("SELECT value, dummy FROM overnight.quality WHERE metric = :m"), {"m": metric}).one()
        asked = sa.text(f"SELECT count(*) FROM {name}.latest WHERE {definition.pipeline.target.column} IS NULL")
        assert connection.scalar(asked) == 97, "rows without an answer are predicted too"
        made_by = connection.scalar(sa.text("SELECT holder->>'overnight' FROM overnight.run"))
    assert least <= found.value <= most, found
    assert made_by == version("overnight"), "each batch leads to the release that made it"
    again = take_night(definition, night, shelf, trigger="test")
    assert again.state is RunState.SKIPPED
