"""What a file is found to be, by day, is what it is held to at night."""

from pathlib import Path

import pytest

from domain.errors import SourceError
from domain.spec.source import Column, Source
from tasks.ingest.sniff import sniff_csv


def written(folder: Path, text: str, *, encoding: str = "utf-8") -> Path:
    path = folder / "day.csv"
    path.write_bytes(text.encode(encoding))
    return path


def test_a_plain_file_needs_nothing_said(tmp_path: Path) -> None:
    found = sniff_csv(
        written(
            tmp_path,
            "id,day,at,n,x,ok,s\na,2024-01-31,2024-01-31 07:30:00,1,1.5,true,x\nb,2024-02-01,2024-02-01 08:00:00,2,2,false,\n",
        )
    )
    assert found.source == {}
    assert {name: column["type"] for name, column in found.columns.items()} == {
        "id": "text", "day": "date", "at": "timestamp", "n": "int", "x": "float", "ok": "bool", "s": "text",
    }  # fmt: skip
    assert found.columns["s"] == {"type": "text", "null": True}
    assert found.keys[0] == "id"


def test_a_german_export_is_recognised_whole(tmp_path: Path) -> None:
    text = "Straße;PLZ;Umsatz;Tag\nKöln;01234;1.234,50;31.01.2024\nMünchen;80331;99,00;1.02.2024\nUlm;89073;NA;02.02.2024\n"
    found = sniff_csv(written(tmp_path, text, encoding="cp1252"))
    assert found.source == {"encoding": "windows-1252", "delimiter": ";", "nulls": ["", "NA"], "decimal": ",", "thousands": "."}
    assert found.columns["PLZ"]["type"] == "text"
    assert found.columns["Umsatz"] == {"type": "float", "null": True}
    assert found.columns["Tag"] == {"type": "date", "format": "%d.%m.%Y"}


def test_leading_zeros_make_a_text(tmp_path: Path) -> None:
    assert sniff_csv(written(tmp_path, "id,n\n007,1\n008,2\n")).columns["id"]["type"] == "text"


def test_utf_16_and_tabs_are_recognised(tmp_path: Path) -> None:
    found = sniff_csv(written(tmp_path, "id\tn\na\t1\nb\t2\n", encoding="utf-16"))
    assert found.source == {"encoding": "utf-16", "delimiter": "\t"}


def test_a_file_without_a_header_gets_names(tmp_path: Path) -> None:
    found = sniff_csv(written(tmp_path, "1,2.5\n2,3.5\n"))
    assert found.source == {"header": False}
    assert list(found.columns) == ["column_1", "column_2"]


def test_what_is_found_is_a_valid_source_and_contract(tmp_path: Path) -> None:
    found = sniff_csv(written(tmp_path, "id|t\na|31/12/2024\nb|1/1/2025\n"))
    Source.model_validate({"kind": "csv", "path": "x", **found.source})
    assert [Column.model_validate(column).format for column in found.columns.values()] == [None, "%d/%m/%Y"]


def test_no_table_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="holds no table"):
        sniff_csv(written(tmp_path, "hello\n"))
