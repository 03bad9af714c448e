"""An exported model says elsewhere what it says here, holds what MLflow looks for, and is refused when it was touched."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml

from deployments.catalogue import Definition
from domain.errors import EnvironmentRefused, Refused, UsageError
from infra.settings import Settings
from tasks.export_model import export_model
from tests.tasks.nightshift import Nightshift
from tests.tasks.test_train import TICKETS, ticket_rows

DAYS = ("2024-01-01", "2024-01-02", "2024-01-03")
ASK = """
import json, sys
sys.path[:0] = [sys.argv[1] + "/code"]   # as mlflow.pyfunc does, and nothing else of Overnight is there
import pandas as pd
from importlib import import_module
model = import_module("tasks.portable")._load_pyfunc(sys.argv[1] + "/data")
rows = pd.read_json(sys.argv[1] + "/rows.json", dtype=False, convert_dates=False)
print(model.predict(rows).to_json(orient="records", double_precision=15))
"""


@pytest.fixture
def shift(settings: Settings, writer: sa.Engine, owner: sa.Engine, shops: Definition) -> Nightshift:
    return Nightshift(settings, writer, owner)


def ask_elsewhere(folder: Path, rows: list[dict[str, Any]]) -> subprocess.CompletedProcess[str]:
    """In a process whose path holds the exported code alone."""
    (folder / "rows.json").write_text(json.dumps(rows, default=str))
    return subprocess.run(
        [sys.executable, "-I", "-c", ASK, str(folder)], capture_output=True, text=True, check=False, timeout=600
    )


@pytest.mark.parametrize("kind", ["yes or no, through a hook", "classes, from words and dates"])
def test_it_says_elsewhere_what_was_published_here(shift: Nightshift, tmp_path: Path, kind: str) -> None:
    if kind.startswith("yes"):
        shift.rewrite("datetime: [opened]}", "datetime: [opened], hook: features.py:build}")
        hook = shift.settings.deployments / "shops" / "features.py"
        hook.write_text("def build(rows):\n    return rows.assign(worth=rows['stock'] * rows['price'].fillna(1))\n")
    else:
        shift.name, shift.make_rows = "tickets", ticket_rows  # type: ignore[assignment]
        shift.define(TICKETS)
    shift.take_all(*DAYS)
    done = export_model(shift.settings, shift.name, tmp_path / "model")
    keys = ", ".join(shift.definition.pipeline.key)
    lines = shift.query(f"SELECT * FROM {shift.name}.latest ORDER BY {keys}")
    rows = [{name: getattr(line, name) for name in shift.definition.pipeline.features.columns} for line in lines]
    said = ask_elsewhere(done.path, rows)
    assert said.returncode == 0, said.stderr
    found = json.loads(said.stdout)
    assert [one["prediction"] for one in found] == [line.prediction for line in lines]
    assert [one["probability"] for one in found] == pytest.approx([line.probability for line in lines], abs=1e-12)


def test_the_folder_holds_what_mlflow_looks_for_and_nothing_is_loaded_to_write_it(
    shift: Nightshift, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shift.take_all(*DAYS)
    monkeypatch.setitem(sys.modules, "skops", None)  # whoever would load a model here now fails
    done = export_model(shift.settings, "shops", tmp_path / "model", number=1)
    document = yaml.safe_load((done.path / "MLmodel").read_text())
    flavour = document["flavors"]["python_function"]
    assert (flavour["loader_module"], flavour["code"], flavour["data"]) == ("tasks.portable", "code", "data")
    assert {one["name"] for one in json.loads(document["signature"]["inputs"])} == {"stock", "price", "region", "opened"}
    assert [one["type"] for one in json.loads(document["signature"]["outputs"])] == ["boolean", "double"]
    assert all((done.path / place).is_file() for place in flavour["env"].values())
    ((sha256, libraries),) = shift.query("SELECT sha256, libraries FROM overnight.model WHERE version = 1")
    assert hashlib.sha256((done.path / "data/model.skops").read_bytes()).hexdigest() == sha256 == done.sha256
    assert document["metadata"]["overnight"]["sha256"] == sha256
    pins = (done.path / "requirements.txt").read_text().splitlines()
    assert f"scikit-learn=={libraries['scikit-learn']}" in pins
    assert f"skops=={libraries['skops']}" in pins
    there = {str(file.relative_to(done.path)) for file in done.path.rglob("*") if file.is_file()}
    assert there == set(done.files)
    assert all(hashlib.sha256((done.path / place).read_bytes()).hexdigest() == one for place, one in done.files.items())
    with pytest.raises(Refused, match="holds something already"):
        export_model(shift.settings, "shops", tmp_path / "model")
    with pytest.raises(UsageError, match="there is no version 7"):
        export_model(shift.settings, "shops", tmp_path / "other", number=7)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("place", "sentence"),
    [("data/model.skops", "sha256 differs"), ("code/tasks/encoding.py", "brought its own tasks.encoding")],
)
def test_a_byte_more_anywhere_that_counts_is_refused_elsewhere(
    shift: Nightshift, tmp_path: Path, place: str, sentence: str
) -> None:
    shift.take_all(*DAYS)
    done = export_model(shift.settings, "shops", tmp_path / "model")
    with (done.path / place).open("ab") as file:
        file.write(b"\n")
    said = ask_elsewhere(done.path, [])
    assert said.returncode != 0
    assert "EnvironmentRefused" in said.stderr
    assert sentence in said.stderr


def test_a_hook_that_is_another_by_now_is_not_exported(shift: Nightshift, tmp_path: Path) -> None:
    shift.rewrite("datetime: [opened]}", "datetime: [opened], hook: features.py:build}")
    hook = shift.settings.deployments / "shops" / "features.py"
    hook.write_text("def build(rows):\n    return rows\n")
    shift.take_all(*DAYS)
    hook.write_text("def build(rows):\n    return rows[['stock']]\n")
    with pytest.raises(EnvironmentRefused, match=r"version 1 of shops was made with another features.py:build"):
        export_model(shift.settings, "shops", tmp_path / "model")
