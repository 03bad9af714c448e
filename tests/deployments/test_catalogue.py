"""A wrong definition is refused before anything runs: file, line, and the nearest known word."""

from pathlib import Path

import pytest

from deployments.catalogue import load_definition, pipeline_names
from domain.errors import EXIT_USAGE, DefinitionError
from tests.conftest import SHOPS

FLIGHTS = Path("deployments")


def _written(folder: Path, text: str, *, name: str = "shops", expectations: str | None = None) -> Path:
    (folder / name).mkdir(exist_ok=True)
    (folder / name / "pipeline.yaml").write_text(text)
    if expectations is not None:
        (folder / name / "expectations.yaml").write_text(expectations)
    return folder


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("title:", "titel:", "pipeline.yaml:3: unknown key 'titel'; did you mean 'title'?"),
        ("every: day", "evry: day", "unknown key 'interval.evry'; did you mean 'every'?"),
        ("key: true", "kee: true", "unknown key 'columns.shop.kee'; did you mean 'key'?"),
        ("min_intervals: 2", "min_interval: 2", "unknown key 'model.min_interval'; did you mean 'min_intervals'?"),
        ("at_most: 10%", "at_most: 110%", "rejects.at_most: input should be less than or equal to 1"),
        ("timezone: Europe/Berlin", "timezone: Berlin", "'Berlin' is no time zone; write one such as Europe/Berlin"),
        ("every: day", "every: fortnight", "'fortnight' is none of"),
        ("type: int", "type: integer", "columns.stock.type: input should be 'bool', 'int'"),
        (", key: true", "", "none is marked 'key: true'"),
        (
            "numeric: [stock, price]",
            "numeric: [stock, left_over]",
            "'left_over' is the target, so the model would see the answer",
        ),
        ("numeric: [stock, price]", "numeric: [stok]", "'stok' is none of the columns"),
        ('as: "left_over < 1"', 'as: "sum(left_over)"', "is not a comparison of left_over with a value"),
        ("task: classification", "task: regression", "a regression cannot answer"),
        ("name: shops", "name: Shops", "'Shops' is no pipeline name"),
        ("name: shops", "name: reading", "'reading' is a name that the database keeps for itself"),
        ("name: shops", "name: other", "the folder is called shops and the pipeline other"),
        ("title: Will", "title: {Will", "pipeline.yaml:"),
        ("interval: {", "interval: {}\nx: {", "unknown key 'x'"),
    ],
)
def test_a_wrong_line_is_refused_with_its_place(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    assert old in SHOPS
    with pytest.raises(DefinitionError) as caught:
        load_definition(_written(tmp_path, SHOPS.replace(old, new, 1)), "shops")
    assert sentence in str(caught.value)
    assert caught.value.exit_code == EXIT_USAGE


def test_an_unknown_pipeline_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(DefinitionError, match=r"did you mean flights\?"):
        load_definition(FLIGHTS, "flihgts")


def test_null_is_a_key_like_any_other_and_times_are_not_numbers(tmp_path: Path) -> None:
    pipeline = load_definition(_written(tmp_path, SHOPS + "publish: {deadline: 7:30}\n"), "shops").pipeline
    assert pipeline.columns["price"].null
    assert str(pipeline.publish.deadline) == "07:30:00"


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="the key 'title' stands twice"):
        load_definition(_written(tmp_path, SHOPS + "title: again\n"), "shops")


def test_expectations_that_are_no_list_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="not a list of"):
        load_definition(_written(tmp_path, SHOPS, expectations="expect: x"), "shops")


@pytest.mark.parametrize("name", pipeline_names(FLIGHTS))
def test_every_pipeline_on_the_shelf_is_sound(name: str) -> None:
    assert load_definition(FLIGHTS, name).pipeline.name == name


def test_the_contract_fingerprint_follows_what_changes_rows_and_nothing_else(tmp_path: Path) -> None:
    before = load_definition(_written(tmp_path, SHOPS), "shops").pipeline
    renamed = load_definition(_written(tmp_path, SHOPS.replace("sell out today", "sell out")), "shops").pipeline
    retyped = load_definition(_written(tmp_path, SHOPS.replace("type: int", "type: float")), "shops").pipeline
    assert before.contract_fingerprint == renamed.contract_fingerprint != retyped.contract_fingerprint
