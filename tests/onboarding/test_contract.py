"""What a contract says of a column is what nights hold it to: its name, its unit, its own words for no value."""

from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from domain.spec.source import Column
from tasks.ingest.cells import blanked, check_column
from tasks.ingest.header import match_columns
from tasks.onboarding.kinds import kind_of


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["12.5 kg", "3 kg"], {"type": "float", "unit": "kg"}),
        (["$1,200", "$350"], {"type": "int", "unit": "$", "thousands": ","}),
        (["1.350,00 €", "99,50 €"], {"type": "float", "unit": "€", "decimal": ",", "thousands": "."}),
        (["45 %", "7 %"], {"type": "int", "unit": "%"}),
        (["007", "012"], {"type": "text"}),
        (["C001", "C002"], {"type": "text"}),
        (["31/12/2023", "1/2/2024"], {"type": "date", "format": "%d/%m/%Y"}),
        (["3/21/2024 7:30:00 PM", "12/1/2024 1:05:09 AM"], {"type": "timestamp", "format": "%m/%d/%Y %I:%M:%S %p"}),
        (["Yes", "No"], {"type": "bool"}),
        (["1.2.3", "1.2.4"], {"type": "text"}),
    ],
)
def test_how_cells_are_written_is_told_by_the_cells(cells: list[str], expected: dict[str, str]) -> None:
    assert kind_of(pa.array(cells * 10)).contract == expected


def test_far_off_numbers_that_come_again_and_again_mean_no_value() -> None:
    cells = [str(n) for n in range(60)]
    assert kind_of(pa.array([*cells, *["-999"] * 4])).contract == {"type": "int", "nulls": ["-999"], "null": True}
    assert kind_of(pa.array([*cells, "-999"])).contract == {"type": "int"}  # once may be true


def test_a_column_reads_its_own_unit_and_its_own_words_for_no_value() -> None:
    column = Column.model_validate({"type": "float", "unit": "kg", "nulls": [-999, "lost"], "null": True})
    cells = blanked(pa.array(["1.5 kg", "2kg", "-999", " lost ", "3 g"]), column)
    checked = check_column(cells, column, zone=ZoneInfo("UTC"))
    assert checked.values.to_pylist() == [1.5, 2.0, None, None, None]
    assert checked.bad.tolist() == [False, False, False, False, True]


def test_names_are_matched_by_what_the_source_calls_them() -> None:
    said = {
        "price": {"from": "Price (EUR)"},
        "second": {"from": 3},
        "place": {"from": ""},
        "line": {"from": "{line}", "type": "int"},
    }
    columns = {name: Column.model_validate({"type": "text", **column}) for name, column in said.items()}
    header = ["Price (EUR)", "a", "a", "", "price"]
    found = match_columns(header, columns, name="x.csv", new_columns="ignore")
    assert found[:4] == ("price", "a", "second", "place")
    assert found.count("price") == 1


def test_a_key_that_is_not_used_changes_no_fingerprint() -> None:
    plain = Column.model_validate({"type": "text"}).model_dump(mode="json")
    assert plain.keys() == {"type", "key", "time", "null", "allowed", "format"}
