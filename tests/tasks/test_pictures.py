"""What a verdict's pictures count, and that odd values draw nothing wrong and break nothing."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from deployments.catalogue import Definition
from domain.interval import Interval
from domain.words import BatchKind, BatchState
from store.batches import Batch
from tasks.pictures import SAMPLE, picture_columns

NIGHT = Interval(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC))
KINDS = {"a": "float", "b": "decimal", "c": "timestamp", "d": "text", "e": "bool", "f": "int"}


@pytest.fixture
def picture(shops: Definition, owner: sa.Engine) -> Callable[[str, int], dict[str, Any]]:
    """The pictures of a table that holds what a query selects."""

    def draw(query: str, rows: int) -> dict[str, Any]:
        with owner.begin() as connection:
            connection.execute(sa.text(f"CREATE TABLE overnight_shops.landed_77 AS {query}"))
        batch = Batch(77, "shops", BatchKind.INPUT, NIGHT, BatchState.LOADED, rows, 0, (), None, "", None, None, False)
        return picture_columns(owner, batch, KINDS)

    return draw


def test_every_row_is_in_a_picture_once(picture: Callable[[str, int], dict[str, Any]]) -> None:
    drawn = picture(
        "SELECT i::float8 AS a, nullif(i % 10, 0)::numeric AS b, '2024-01-01Z'::timestamptz + i * interval '1 minute' AS c, "
        "CASE WHEN i % 4 > 0 THEN 'often' ELSE 'v' || i END AS d, i % 2 = 0 AS e, 5::bigint AS f FROM generate_series(1, 1000) i",
        1000,
    )
    assert {name: one["kind"] for name, one in drawn.items()} == {
        "a": "number", "b": "number", "c": "moment", "d": "value", "e": "value", "f": "number",
    }  # fmt: skip
    for one in drawn.values():
        held = sum(one["counts"]) if "counts" in one else sum(n for _, n in one["values"]) + one["others"]
        assert held + one["empty"] == one["rows"] == 1000
    assert (drawn["a"]["low"], drawn["a"]["high"]) == (10, 990)
    assert drawn["a"]["counts"][0] == 9
    assert (drawn["d"]["values"][0], drawn["d"]["distinct"]) == (["often", 750], 251)
    assert drawn["b"]["empty"] == 100
    assert drawn["f"]["counts"] == [0, 1000, 0]


def test_values_that_are_no_figures_are_left_out_and_a_column_without_any_has_no_picture(
    picture: Callable[[str, int], dict[str, Any]],
) -> None:
    drawn = picture(
        "SELECT v AS a, v::numeric AS b, 'infinity'::timestamptz AS c, repeat('x', 500) AS d, NULL::bool AS e, NULL::bigint AS f "
        "FROM unnest('{NaN,Infinity,-Infinity,1,2}'::float8[]) v",
        5,
    )
    assert "c" not in drawn
    assert "f" not in drawn
    assert (drawn["a"]["empty"], sum(drawn["a"]["counts"])) == (3, 2)
    assert len(drawn["d"]["values"][0][0]) == 40
    assert drawn["e"]["values"] == []


def test_of_a_large_batch_a_part_is_looked_at(picture: Callable[[str, int], dict[str, Any]]) -> None:
    rows = 8 * SAMPLE
    drawn = picture(
        f"SELECT i::float8 AS a, i::numeric AS b, now() AS c, 'x' AS d, true AS e, i AS f FROM generate_series(1, {rows}) i", rows
    )
    assert SAMPLE / 3 < drawn["a"]["rows"] < 3 * SAMPLE
    assert drawn["a"]["of"] == rows
    assert len({one["rows"] for one in drawn.values()}) == 1


def test_a_table_that_cannot_be_read_costs_the_pictures_alone(shops: Definition, owner: sa.Engine) -> None:
    batch = Batch(78, "shops", BatchKind.INPUT, NIGHT, BatchState.LOADED, 9, 0, (), None, "", None, None, False)
    assert picture_columns(owner, batch, KINDS) == {}
    assert picture_columns(owner, replace(batch, rows=0), KINDS) == {}
