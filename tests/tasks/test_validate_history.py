"""Rules that compare a night with the last published nights of its weekday: from kept figures, and never silently."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from deployments.catalogue import Definition, load_definition
from domain.errors import DefinitionError
from domain.words import RunState
from infra.settings import Settings
from tasks.check import check
from tasks.expectations.suite import read_suite
from tasks.night import take_night

SUITE = """
- {expect: row_count_to_be_near_history, nights: 6, same_weekday: true, within: 40%}
- {expect: column_values_to_be_between, column: stock, min_value: 0, max_value: 1000}
- {expect: column_shares_to_be_near_history, column: region, within: 30%}
- {expect: column_mean_to_be_near_history, column: stock, within: 50%, severity: warning}
"""
MONDAYS = ("2024-01-01", "2024-01-08", "2024-01-15", "2024-01-22")


@pytest.fixture
def mondays(shops: Definition, settings: Settings) -> Definition:
    (shops.folder / "expectations.yaml").write_text(SUITE)
    return load_definition(settings.deployments, "shops")


def results_of(engine: sa.Engine, batch: int | None) -> list[dict[str, Any]]:
    with engine.connect() as connection:
        found = connection.scalar(sa.text("SELECT results FROM overnight.verdict WHERE batch = :batch"), {"batch": batch})
    assert isinstance(found, list)
    return found


def test_a_night_is_compared_with_its_weekday_once_there_are_three_and_the_others_do_not_count(
    mondays: Definition, settings: Settings, owner: sa.Engine, write_day: Callable[..., Path]
) -> None:
    def take(day: str, rows: int = 60) -> Any:
        write_day(day, rows=rows)
        return take_night(mondays, mondays.pipeline.calendar.named(day), settings, trigger="test")

    first = take(MONDAYS[0])
    assert first.state is RunState.PUBLISHED
    validated = next(stage for stage in first.stages if stage.stage == "validate")
    assert validated.reason == "60 rows passed 1 rule, 3 not judged yet"
    told = results_of(owner, first.batch)
    assert [line["state"] for line in told] == ["not judged", "passed", "not judged", "not judged"]
    assert told[0]["sentence"] == "not enough history yet: 0 of the last 6 Mondays are published, 3 are needed"
    assert told[0]["says"] == (
        "the night has about as many rows as the last 6 nights of the same weekday, within 40%"
    )  # fmt: skip
    take(MONDAYS[1])
    take("2024-01-09", rows=9)  # a Tuesday, which is no Monday's business
    take(MONDAYS[2])
    held = take(MONDAYS[3], rows=20)
    assert held.state is RunState.HELD
    assert held.reason == "held: the night has 20 rows, usually 60 (the last 6 Mondays), limit 40% from that"
    write_day(MONDAYS[3])
    assert check(mondays, mondays.pipeline.calendar.named(MONDAYS[3]), settings).reason == "60 rows passed 4 rules"
    assert take(MONDAYS[3]).state is RunState.PUBLISHED
    again = take_night(mondays, mondays.pipeline.calendar.named(MONDAYS[0]), settings, trigger="test")
    assert again.state is RunState.SKIPPED, "nights that came later are no history of an earlier one"


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{expect: row_count_to_be_near_histry, within: 40%}", "did you mean 'row_count_to_be_near_history'?"),
        ("{expect: row_count_to_be_near_history}", "needs 'within', how far the night may be from the usual"),
        ("{expect: row_count_to_be_near_history, within: far}", "within: 'far' is no share between 0 and 1"),
        ("{expect: row_count_to_be_near_history, within: 40%, nights: 2}", "nights: 2 is no number of nights, 3 at least"),
        (
            "{expect: row_count_to_be_near_history, within: 40%, weekday: true}",
            "takes no 'weekday'; did you mean 'same_weekday'?",
        ),
        ("{expect: column_mean_to_be_near_history, column: region, within: 40%}", "cannot judge 'region', which is text"),
        ("{expect: column_mean_to_be_near_history, within: 40%}", "needs 'column'"),
    ],
)
def test_a_wrong_line_is_refused_with_its_place(shops: Definition, settings: Settings, line: str, complaint: str) -> None:
    (shops.folder / "expectations.yaml").write_text(f"- {line}\n")
    definition = load_definition(settings.deployments, "shops")
    with pytest.raises(DefinitionError, match=r"expectations.yaml:1") as refused:
        read_suite(definition, definition.pipeline.calendar.named(MONDAYS[0]))
    assert complaint in str(refused.value)
