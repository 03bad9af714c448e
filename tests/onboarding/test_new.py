"""A table that nobody has seen becomes a pipeline that runs as it is: what is found in it, and that its first night passes."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from deployments.catalogue import load_definition
from domain.errors import UsageError
from domain.interval import Interval
from domain.words import Outcome
from infra.settings import Settings
from store.pipelines import register
from tasks.check import check
from tasks.onboarding.look import look_at_source
from tasks.onboarding.place import find_place
from tasks.onboarding.propose import Asked, Proposal, propose
from tasks.onboarding.report import sentences, to_json
from tasks.onboarding.table import read_table
from tasks.onboarding.write import write_pipeline
from tests.onboarding.corpus import TABLES, make
from tests.onboarding.made import Made

TODAY = date(2024, 6, 2)
NIGHT = Interval(datetime(2024, 6, 1, tzinfo=UTC), datetime(2024, 6, 2, tzinfo=UTC))


def proposed(made: Made, data: Path) -> Proposal:
    place = find_place(made.source, name=made.name, data=data)
    table = read_table(look_at_source(place, data=data, interval=NIGHT))
    return propose(table, place, Asked(made.name, made.target), today=TODAY)


@pytest.mark.parametrize("name", TABLES)
def test_what_is_in_a_table_is_found(name: str, tmp_path: Path) -> None:
    made = make(name, tmp_path / "tables")
    found = proposed(made, tmp_path / "data")
    assert (found.table.rows, found.goal.kind, found.key.columns, found.mode) == (made.rows, made.kind, made.key, made.mode)
    types = {column.name: column.type for column in found.table.columns}
    assert {column: types[column] for column in made.types} == made.types
    assert tuple(found.flagged("leak")) == (made.leaks or tuple(set(found.flagged("leak")) & set(made.unused)))
    assert [column for column in made.unused if found.roles[column].is_feature] == []
    assert made.says in " ".join(found.warnings)
    assert all(sentence for _, sentence in sentences(found))
    assert to_json(found, "here")["target"]["task"] == found.goal.task


@pytest.mark.parametrize("name", TABLES)
def test_the_first_night_passes_what_was_proposed(name: str, tmp_path: Path, settings: Settings, owner: sa.Engine) -> None:
    found = proposed(make(name, tmp_path / "tables"), settings.data_folder)
    write_pipeline(found, settings.deployments, timezone="UTC", force=False)
    definition = load_definition(settings.deployments, name)
    register(owner, definition.pipeline, expectations=list(definition.expectations))
    said = check(
        definition, definition.pipeline.calendar.containing(datetime.combine(found.days[0], datetime.min.time(), UTC)), settings
    )
    assert said.outcome is Outcome.PASSED, said.reason
    assert (said.unreadable, said.caught) == (0, 0)


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    found = proposed(make("small", tmp_path / "tables"), tmp_path / "data")
    folder = write_pipeline(found, tmp_path / "deployments", timezone="UTC", force=False)
    before = (folder / "pipeline.yaml").read_text()
    with pytest.raises(UsageError, match="is there already"):
        write_pipeline(found, tmp_path / "deployments", timezone="UTC", force=False)
    assert (folder / "pipeline.yaml").read_text() == before
    assert sorted(path.name for path in folder.iterdir()) == ["expectations.yaml", "pipeline.yaml"]


def test_a_column_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    made = make("small", tmp_path / "tables")
    place = find_place(made.source, name="small", data=tmp_path)
    table = read_table(look_at_source(place, data=tmp_path, interval=NIGHT))
    with pytest.raises(UsageError, match="there is no column 'colour'; the table has 'a', 'b', 'c', 'd'"):
        propose(table, place, Asked("small", "colour"), today=TODAY)
    with pytest.raises(UsageError, match="names none of them"):
        propose(table, place, Asked("small", "d", ("a",)), today=TODAY)
