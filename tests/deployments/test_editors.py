"""Editors are told what the catalogue takes: every example fits the schemas, what the catalogue refuses does not."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import deployments
from cli.schema import schema
from deployments.schema import pipeline_schema
from deployments.yaml import read_yaml
from domain.errors import UsageError
from infra.settings import load_settings
from tasks.expectations.schema import expectations_schema

SHELF = Path(deployments.__file__).parent
EXAMPLES = sorted([*SHELF.glob("*/*.yaml"), *(SHELF.parent / "examples").glob("*/*.yaml")])


@pytest.fixture(scope="module")
def schemas() -> dict[str, Any]:
    return {"pipeline": pipeline_schema(), "expectations": expectations_schema()}


@pytest.mark.parametrize("kind", ["pipeline", "expectations"])
def test_the_files_beside_the_pipelines_are_what_the_code_says(schemas: dict[str, Any], kind: str) -> None:
    written = json.loads((SHELF / f"{kind}.schema.json").read_text())
    assert written == schemas[kind], "out of step: overnight schema"


def test_a_shelf_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("OVERNIGHT_DEPLOYMENTS", str(tmp_path / "file" / "deployments"))
    load_settings.cache_clear()
    with pytest.raises(UsageError, match=r"pipeline\.schema\.json cannot be written \(Not a directory\)"):
        schema()
    load_settings.cache_clear()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_example_names_its_schema_and_fits_it(schemas: dict[str, Any], path: Path) -> None:
    assert path.read_text().startswith(f"# yaml-language-server: $schema=../{path.stem}.schema.json\n")
    found = list(Draft202012Validator(schemas[path.stem]).iter_errors(read_yaml(path)))
    assert found == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("sources", {}),
        ("rejects", {"at_most": "much"}),
        ("model", {"window": "60 nights"}),
        ("runner", "dokcer"),
        ("name", "Flights"),
    ],
)
def test_what_the_catalogue_refuses_an_editor_marks_too(schemas: dict[str, Any], key: str, value: object) -> None:
    document = read_yaml(SHELF / "flights" / "pipeline.yaml") | {key: value}
    assert list(Draft202012Validator(schemas["pipeline"]).iter_errors(document))


@pytest.mark.parametrize(
    "line",
    [
        {"expect": "column_values_to_be_betwen", "column": "distance"},
        {"expect": "column_values_to_be_between", "colum": "distance"},
        {"expect": "table_row_count_to_be_between", "column": "distance"},
        {"expect": "column_values_to_not_be_null", "column": "distance", "severity": "bad"},
    ],
)
def test_a_line_with_a_wrong_word_is_marked(schemas: dict[str, Any], line: dict[str, str]) -> None:
    assert list(Draft202012Validator(schemas["expectations"]).iter_errors([line]))
