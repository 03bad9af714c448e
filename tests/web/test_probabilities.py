"""The probability of every class, where a pipeline asks for it: the model's own, the same on pages, in answers and in files."""

import csv
import io
import json
from datetime import UTC, datetime

import numpy as np
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from domain.errors import DefinitionError
from domain.words import StageState
from infra.settings import Settings
from store.engine import transaction
from store.models import find_version, load_artifact
from store.runs import load_run
from tasks.context import Night
from tasks.models import read_model
from tests.tasks.nightshift import Nightshift
from tests.web.test_many_classes import SPECIES, WINGS, caught
from web.app import create_app

NIGHT = "2024-01-03"
SAID = """
SELECT ring, wing, net, prediction, probability, probabilities FROM species.published WHERE interval_start = :s ORDER BY ring
"""


@pytest.fixture
def species(settings: Settings, writer: sa.Engine, owner: sa.Engine) -> Nightshift:
    shift = Nightshift(settings, writer, owner, name="species", make_rows=caught)
    shift.define(SPECIES.replace("metric: accuracy", "metric: accuracy, probabilities: all"))
    shift.take_all("2024-01-01", "2024-01-02", NIGHT)
    return shift


def test_every_class_has_the_probability_that_the_model_gives_it(species: Nightshift) -> None:
    rows = species.query(SAID, s=species.interval(NIGHT).start)
    with transaction(species.engine) as connection:
        version, run = find_version(connection, "species", 1), load_run(connection, 1)
        assert version is not None
        loaded = read_model(
            Night(run, species.definition, species.engine, species.settings), version, load_artifact(connection, version.id)
        )
    import pandas as pd

    raw = pd.DataFrame({"wing": [row.wing for row in rows], "net": pd.Categorical([row.net for row in rows])})
    expected = loaded.estimator.predict_proba(loaded.prepare(raw))
    names = [str(name) for name in loaded.estimator.classes_]
    assert set(names) == {*WINGS, "firecrest"}
    found = np.array([[row.probabilities[name] for name in names] for row in rows], dtype=float)
    assert np.abs(found - expected).max() <= 5.1e-7
    assert all(row.probabilities[row.prediction] == pytest.approx(row.probability, abs=1e-6) for row in rows)


def test_they_read_the_same_on_pages_in_answers_and_in_files(species: Nightshift, settings: Settings) -> None:
    first, *_ = rows = species.query(SAID, s=species.interval(NIGHT).start)
    moment = datetime(2024, 1, 4, 6, tzinfo=UTC)
    with TestClient(create_app(settings, now=lambda: moment, live=False)) as client:
        answer = client.get(f"/api/v1/p/species/rows?night={NIGHT}&sort=ring&limit=500").json()
        files = {form: client.get(f"/api/v1/p/species/{NIGHT}.{form}").content for form in ("csv", "ndjson", "parquet")}
        table, key = client.get("/p/species/rows").text, client.get(f"/p/species/key/{first.ring}").text
        again = client.get(
            "/api/v1/p/species/rows", params={"sort": "probabilities", "limit": 3, "columns": "ring,probabilities"}
        ).json()
        more = client.get(again["next"]).json()
        odd = client.get("/api/v1/p/species/rows", params={"probabilities": "{"})
    told = {row.ring: {name: float(value) for name, value in row.probabilities.items()} for row in rows}
    assert {row["ring"]: row["probabilities"] for row in answer["rows"]} == told
    lines = {
        "csv": list(csv.DictReader(io.StringIO(files["csv"].decode()))),
        "ndjson": [json.loads(line) for line in files["ndjson"].splitlines()],
        "parquet": pq.read_table(io.BytesIO(files["parquet"])).to_pylist(),
    }
    for form, found in lines.items():
        read = {line["ring"]: line["probabilities"] for line in found}
        assert {ring: json.loads(one) if isinstance(one, str) else one for ring, one in read.items()} == told, form
    best = f"{first.prediction} {float(first.probabilities[first.prediction]):.2f}, "
    assert best in table.replace("&lt;", "<").replace("&gt;", ">")
    assert best in key.replace("&lt;", "<").replace("&gt;", ">")
    assert len({row["ring"] for row in (*again["rows"], *more["rows"])}) == len(again["rows"]) + len(more["rows"])
    assert odd.status_code == 400
    assert "is no json" in odd.json()["detail"]


def test_asking_for_them_scores_again_and_trains_nothing(settings: Settings, writer: sa.Engine, owner: sa.Engine) -> None:
    species = Nightshift(settings, writer, owner, name="species", make_rows=caught)
    species.define(SPECIES)
    species.take_all("2024-01-01", "2024-01-02", NIGHT)
    before = {line.metric: line.value for line in species.query("SELECT metric, value FROM reading.quality")}
    species.define(SPECIES.replace("metric: accuracy", "metric: accuracy, probabilities: all"))
    said = species.take(NIGHT)
    assert (said["train"].state, said["score"].state) == (StageState.REUSED, StageState.DONE)
    lines = species.query("SELECT batch, bool_and(probabilities IS NULL) AS none FROM species.history GROUP BY 1 ORDER BY 1")
    assert [line.none for line in lines] == [True, False], "what was sealed stays as it was"
    after = figures(species)
    assert {metric: after[metric] for metric in before} == before
    assert set(after) == {*before, "log_loss", "roc_auc"}, "one probability alone cannot give these"


def figures(species: Nightshift) -> dict[str, float]:
    lines = species.query("SELECT metric, value FROM reading.quality WHERE batch = (SELECT max(batch) FROM reading.quality)")
    return {line.metric: line.value for line in lines}


def test_a_table_of_many_classes_turns_out_to_be_worth_what_its_card_claims(
    settings: Settings, writer: sa.Engine, owner: sa.Engine
) -> None:
    """A class of one row is learned by four of five twins, and 0 to the one that is asked about it."""
    species = Nightshift(settings, writer, owner, name="species", make_rows=lambda day: caught(day))
    species.define(
        SPECIES.replace("metric: accuracy", "metric: roc_auc, probabilities: all").replace('"x.csv"', '"x.csv", mode: snapshot')
    )
    species.take(NIGHT, rows=[*caught(NIGHT), *({**row, "ring": f"x{row['ring']}"} for row in caught("2024-01-02"))])
    (model,) = species.query("SELECT metrics FROM reading.model")
    assert figures(species) == pytest.approx({name: model.metrics["held_out"][name] for name in figures(species)}, abs=1e-4)
    moment = datetime(2024, 1, 4, 6, tzinfo=UTC)
    with TestClient(create_app(settings, now=lambda: moment, live=False)) as client:
        page = client.get("/p/species/models/1").text
    assert "No answers have arrived yet" not in page
    assert "realised roc_auc" in page


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("target: {column: species,", 'target: {column: species, as: "species == wren",', "a yes/no question has one"),
        (
            "target: {column: species, task: classification}",
            "target: {column: wing, task: regression}",
            "a predicted number has none",
        ),
        ("  wing: {type: float}", "  wing: {type: float}\n  probabilities: {type: text}", "which is a column already"),
    ],
)
def test_where_there_are_none_the_definition_says_so(
    settings: Settings, writer: sa.Engine, owner: sa.Engine, old: str, new: str, sentence: str
) -> None:
    text = SPECIES.replace("metric: accuracy", "probabilities: all").replace("features: {numeric: [wing], ", "features: {")
    with pytest.raises(DefinitionError, match=sentence):
        Nightshift(settings, writer, owner, name="species").define(text.replace(old, new))
