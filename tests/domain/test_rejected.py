"""How a row that a rule has set aside is found again in its source."""

from typing import Any

import pytest

from domain.rejected import read_key


@pytest.mark.parametrize(
    ("row", "key"),
    [
        ('{"dest": "a \\"flight_id\\" b", "flight_id": "AA1-JFK", "hour": 5}', {"flight_id": "AA1-JFK", "hour": 5}),
        ('{"hour": 5, "flight_id": "AA1 \\u00e9", "dest": "cut off he', {"flight_id": "AA1 é", "hour": 5}),
        ('{"hour": 5, "flight_id": "AA1-J', {}),
        ('{"hour": 5}', {}),
        ("AA1-JFK,5", {}),
        (None, {}),
    ],
)
def test_a_row_kept_as_json_has_its_whole_key_or_none(row: str | None, key: dict[str, Any]) -> None:
    assert read_key(row, ["flight_id", "hour"]) == key
