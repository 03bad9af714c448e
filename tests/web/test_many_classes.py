"""Many classes, one of them a single row a night, through every stage, page, file and command."""

import random
import re
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from cli.main import app as commands
from infra.settings import Settings
from tests.tasks.nightshift import Nightshift
from web.app import create_app

SPECIES = """
name: species
title: Which species was caught?
interval: {every: day, timezone: UTC, from: 2024-01-01}
source: {kind: csv, path: "x.csv"}
columns:
  ring: {type: text, key: true}
  wing: {type: float}
  net: {type: text}
  species: {type: text, null: true}
target: {column: species, task: classification}
features: {numeric: [wing], categorical: [net]}
model: {params: {max_iter: 15}, metric: accuracy, min_intervals: 2, holdout: 1 day, retrain: never}
"""
WINGS = {"chiffchaff": 60, "wren": 49, "robin": 72, "<b>owl</b>": 95}


def caught(day: str, *, known: bool = True) -> list[dict[str, Any]]:
    """A hundred birds of four species, and one firecrest."""
    chance = random.Random(day)
    names = [*chance.choices(list(WINGS), [5, 3, 2, 1], k=100), "firecrest"]
    return [
        {"ring": f"{day}-{number:03d}", "wing": round(chance.gauss(WINGS.get(name, 53), 3), 1),
         "net": chance.choice(["wood", "marsh"]), "species": name if known else None}
        for number, name in enumerate(names)
    ]  # fmt: skip


@pytest.fixture
def species(settings: Settings, writer: sa.Engine, owner: sa.Engine) -> Nightshift:
    """Three nights with answers, of which the third is scored, and one whose answers are not there yet."""
    shift = Nightshift(settings, writer, owner, name="species", make_rows=caught)
    shift.define(SPECIES)
    shift.take_all("2024-01-01", "2024-01-02", "2024-01-03")
    shift.take("2024-01-04", rows=caught("2024-01-04", known=False))
    return shift


def test_many_classes_read_well_on_every_page_and_in_every_file(
    species: Nightshift, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = datetime(2024, 1, 5, 6, tzinfo=UTC)
    with TestClient(create_app(settings, now=lambda: moment, live=False)) as client:
        pages = {
            path: client.get(f"/p/species{path}")
            for path in ("", "/2024-01-04", "/2024-01-03", "/rows", "/scoreboard", "/models/1", "/models/1.md", "/rows.csv",
                         "/key/2024-01-04-007")
        }  # fmt: skip
        assert {path: page.status_code for path, page in pages.items() if page.status_code != 200} == {}
        assert "<b>owl" not in "".join(page.text for path, page in pages.items() if path not in ("/rows.csv",))
        card = pages["/models/1"].text
        assert re.search(r'<th scope="row">firecrest</th><td class="num">1</td><td class="num">0 %</td>', card)
        assert len(re.findall(r'<td class="num right of-[0-4]">', card)) == 5  # the diagonal of five classes
        assert "| firecrest | 1 | 0 % |" in pages["/models/1.md"].text
        rows = client.get("/api/v1/p/species/rows?prediction=wren&columns=ring,prediction,probability").json()["rows"]
        assert {row["prediction"] for row in rows} == {"wren"}
        assert all(0.25 <= row["probability"] <= 1 for row in rows)  # of the most probable of five
        facets = client.get("/api/v1/p/species/rows?facets=yes").json()["facets"]
        assert {"chiffchaff", "wren"} <= {
            one["value"] for facet in facets if facet["column"] == "prediction" for one in facet["values"]
        }
        summary = client.get("/api/v1/p/species").json()["summary"]
        assert (summary["quality"]["night"], summary["quality"]["value"] > 0.8) == ("2024-01-03", True)
        assert (summary["estimate"]["night"], summary["estimate"]["metric"]) == ("2024-01-04", "accuracy")
    for name in ("database_url", "writer_url", "reader_url", "deployments"):
        monkeypatch.setenv(f"OVERNIGHT_{name.upper()}", str(getattr(settings, name)))
    told = CliRunner().invoke(commands, ["status", "species"])
    assert re.search(r"estimate +accuracy 0\.\d+ \(0\.\d+ to [01]\.\d+\) for 2024-01-04, until its", told.output), told.output
    board = CliRunner().invoke(commands, ["scoreboard", "species"])
    assert re.search(r"2024-01-04 +champion +1 +estimated 0\.\d+", board.output), board.output
