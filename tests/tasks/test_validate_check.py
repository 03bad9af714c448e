"""`check` says what a night would be, and writes nothing."""

from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from deployments.catalogue import Definition
from domain.errors import DefinitionError, SourceError
from domain.words import Outcome
from infra.settings import Settings
from tasks.check import check

DAY = "2024-01-05"


def spoiled(lines: list[str]) -> list[str]:
    """One cell that is no number, one key twice, and one row that a rule catches."""
    cells = [line.split(",") for line in lines]
    cells[3][3] = "many"
    cells[5][0] = cells[4][0]
    cells[7][3] = "5000"
    return [",".join(line) for line in cells]


def test_a_night_is_read_and_judged_and_nothing_of_it_remains(
    shops: Definition, settings: Settings, write_day: Callable[..., Path], owner: sa.Engine
) -> None:
    write_day(DAY, rows=60, change=spoiled)
    everything = sa.text("SELECT (SELECT count(*) FROM overnight.batch) + (SELECT count(*) FROM overnight.run), "
                         "(SELECT count(*) FROM pg_class WHERE relpersistence <> 't')")  # fmt: skip
    with owner.connect() as connection:
        before = connection.execute(everything).one()
        said = check(shops, shops.pipeline.calendar.named(DAY), settings)
        connection.rollback()
        assert connection.execute(everything).one() == before
    assert (said.landed, said.unreadable, said.caught) == (57, 2, 1)
    assert (said.outcome, said.reason) == (Outcome.PASSED_WITH_REJECTS, "3 of 60 rows set aside (5%, limit 10%)")
    assert said.results[0].examples[0]["stock"] == 5000
    assert said.to_json()["rows"] == {"read": 60, "landed": 57, "unreadable": 2, "caught": 1}


def test_rules_about_the_whole_table_see_what_would_be_left(
    shops: Definition, settings: Settings, write_day: Callable[..., Path]
) -> None:
    (shops.folder / "expectations.yaml").write_text(
        "- {expect: column_values_to_match_regex, column: region, regex: '^[%a-z]+$'}\n"
        "- {expect: table_row_count_to_be_between, min_value: 60}\n"
    )
    from deployments.catalogue import load_definition

    definition = load_definition(settings.deployments, "shops")
    write_day(DAY, rows=60, change=lambda lines: [line.replace("north", "NORTH") if "s001" in line else line for line in lines])
    said = check(definition, definition.pipeline.calendar.named(DAY), settings)
    assert said.caught > 0
    assert said.reason == f"held: the night has {60 - said.caught} rows, limit at least 60"


def test_what_is_wrong_is_said_before_anything_is_read(shops: Definition, settings: Settings) -> None:
    with pytest.raises(SourceError):
        check(shops, shops.pipeline.calendar.named(DAY), settings)
    (shops.folder / "expectations.yaml").write_text("- {expect: column_values_to_not_be_null, column: regoin}")
    from deployments.catalogue import load_definition

    definition = load_definition(settings.deployments, "shops")
    with pytest.raises(DefinitionError, match="did you mean 'region'"):
        check(definition, definition.pipeline.calendar.named(DAY), settings)
