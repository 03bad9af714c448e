"""Expectations proposed from published nights: plain lines that load, that the nights themselves pass, with what was seen."""

import pytest
import sqlalchemy as sa

from deployments.catalogue import Definition, load_definition
from infra.settings import Settings
from tasks.expectations.suite import read_suite
from tasks.holding import revalidate
from tasks.suggest import suggest
from tests.tasks.nightshift import Nightshift

DAYS = ("2024-01-01", "2024-01-02", "2024-01-03")


@pytest.fixture
def shift(settings: Settings, writer: sa.Engine, owner: sa.Engine, shops: Definition) -> Nightshift:
    return Nightshift(settings, writer, owner)


def test_the_lines_say_what_they_were_derived_from_and_the_nights_pass_them(
    shift: Nightshift, shops: Definition, settings: Settings
) -> None:
    shift.take_all(*DAYS)
    text = suggest(shops, settings)
    assert "# Proposed from 3 published nights, 2024-01-01 to 2024-01-03." in text
    assert "# Seen: 120 to 120 rows.\n- {expect: table_row_count_to_be_between, min_value: 84, max_value: 168}" in text
    assert "- {expect: column_values_to_be_in_set, column: region, value_set: [east, north, south]}" in text
    (shops.folder / "expectations.yaml").write_text(text)
    definition = load_definition(settings.deployments, "shops")
    assert len(read_suite(definition, shift.interval(DAYS[0]))) > 8
    said = revalidate(definition, settings, first=shift.interval(DAYS[0]), last=shift.interval(DAYS[2]), who="ana", holder={})
    assert [each.after.split(" rules")[0] for each in said] == [f"120 rows passed {text.count('expect:')}"] * 3


def test_nothing_published_suggests_nothing(shops: Definition, settings: Settings) -> None:
    assert suggest(shops, settings) == ""
