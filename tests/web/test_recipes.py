"""The recipes of the how-to work as they are printed, on a pipeline of the tests' own."""

import re
from collections.abc import Callable
from pathlib import Path

import psycopg2
import pytest
from bookkeeping import Ledger

PAGE = (Path(__file__).parents[2] / "docs/how-to/read-predictions.md").read_text()


def recipe(after: str) -> str:
    """The code block that follows a heading, for shops instead of flights."""
    found = re.search(r"```\w+\n(.*?)```", PAGE[PAGE.index(after) :], re.DOTALL)
    assert found
    return found[1].replace("flights", "shops").replace("flight_id", "shop").replace('"carrier": "UA"', '"region": "north"')


def test_the_sql_recipe_reads_rows_with_their_trust(published: Ledger, role_url: Callable[[str], str]) -> None:
    with psycopg2.connect(role_url("reader")) as connection, connection.cursor() as cursor:
        cursor.execute(recipe("**psql**"))
        rows = cursor.fetchall()
    connection.close()
    assert len(rows) == 10
    assert {row[5] for row in rows} == {"passed with rejects"}


def test_the_pandas_recipe_reads_rows_with_their_trust(
    published: Ledger, role_url: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    exec(recipe("**pandas**"), {"URL": role_url("reader").replace("postgresql://", "postgresql+psycopg2://")})
    assert "passed with rejects" in capsys.readouterr().out


def test_the_http_recipe_stops_when_the_numbers_are_late(published: Ledger, served: int, clock: Callable) -> None:
    code = recipe("**Any language").replace("8500", str(served))
    exec(code, {})
    clock.now = clock.now.replace(month=2)  # type: ignore[attr-defined]
    with pytest.raises(SystemExit, match="Readers keep the night of 2024-01-04"):
        exec(code, {})
