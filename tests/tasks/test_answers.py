"""Figures that Postgres counts are those of the same rows in memory, for every kind of question."""

import json
import random
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from domain.words import Task
from infra.settings import Settings
from store.quality import Unjudged
from tasks.answers import Worth, weigh
from tasks.metrics import measure_classes, measure_numbers, measure_prior, prior_of
from tests.tasks.nightshift import Nightshift

ASKED = """
name: asked
title: What will it be?
interval: {{every: day, timezone: UTC, from: 2024-01-01}}
source: {{kind: csv, path: "x.csv"}}
columns: {{id: {{type: int, key: true}}, size: {{type: float}}, came: {{type: {type}, null: true}}}}
target: {{column: came, task: {task}}}
features: {{numeric: [size]}}
model: {{{more}}}
"""
ROWS = 400


def tables(owner: sa.Engine, rows: list[dict[str, Any]], *, types: dict[str, str]) -> None:
    """Landed rows and predictions as batches 1 and 2 would have them, side by side in another order."""
    columns = {"said": "prediction", **dict.fromkeys(("probability", "probabilities", "lower", "upper"), "")}
    kept = {name: types.get(name, types["came"]) for name in columns if name in rows[0]}
    with owner.begin() as connection:
        connection.execute(sa.text(f"CREATE TABLE overnight_asked.landed_1 (id bigint, came {types['came']})"))
        listed = ", ".join(f"{columns[name] or name} {kind}" for name, kind in kept.items())
        connection.execute(sa.text(f"CREATE TABLE overnight_asked.predictions_2 (id bigint, hindsight bool, {listed})"))
        connection.execute(sa.text("INSERT INTO overnight_asked.landed_1 VALUES (:id, :came)"), rows)
        values = ", ".join(f"CAST(:{name} AS {kind})" for name, kind in kept.items())
        said = sa.text(f"INSERT INTO overnight_asked.predictions_2 VALUES (:id, false, {values})")
        connection.execute(said, rows[::-1])


def weighed(owner: sa.Engine, shift: Nightshift, learned: np.ndarray) -> Worth:
    pipeline = shift.definition.pipeline
    with owner.connect() as connection:
        which = Unjudged(pipeline.calendar.first, batch=2, model=1, labels=1)
        return weigh(connection, pipeline, which, prior=prior_of(learned, pipeline.target.task))


@pytest.fixture
def shift(settings: Settings, writer: sa.Engine, owner: sa.Engine) -> Nightshift:
    return Nightshift(settings, writer, owner, name="asked")


@pytest.mark.parametrize("classes", [["no", "yes"], ["blue", "it's", "red"]])
def test_classes(shift: Nightshift, owner: sa.Engine, classes: list[str]) -> None:
    shift.define(ASKED.format(type="text", task="classification", more="probabilities: all"))
    chance, rows = random.Random(1), []
    for number in range(ROWS):
        parts = [chance.choice([1, 1, 2, 3]) for _ in classes]
        each = {name: round(part / sum(parts), 3) for name, part in zip(classes, parts, strict=True)}
        each[classes[0]] = 1 - sum(list(each.values())[1:])
        said = max(each, key=lambda name: each[name])
        rows.append({"id": number, "came": chance.choice([*classes, said, "another"]), "said": said, "probability": each[said],
                     "probabilities": json.dumps(each)})  # fmt: skip
    unanswered = {**rows[0], "id": ROWS, "came": None}
    types = {"came": "text", "probability": "float8", "probabilities": "jsonb"}
    tables(owner, [*rows, unanswered], types=types)
    answers, learned = np.array([row["came"] for row in rows], dtype=object), np.array([*classes, classes[0]], dtype=object)
    matrix = np.array([[json.loads(row["probabilities"])[name] for name in classes] for row in rows])
    worth = weighed(owner, shift, learned)
    assert worth.rows == ROWS
    assert worth.figures == pytest.approx(measure_classes(answers, matrix, classes))
    assert worth.dummies == pytest.approx(measure_prior(answers, prior_of(learned, Task.CLASSIFICATION)))


def test_classes_whose_probabilities_were_not_kept_yet_are_counted_by_what_was_said(shift: Nightshift, owner: sa.Engine) -> None:
    shift.define(ASKED.format(type="text", task="classification", more="probabilities: all"))
    rows = [{"id": n, "came": "abc"[n % 3], "said": "abc"[n % 2], "probabilities": None} for n in range(60)]
    tables(owner, rows, types={"came": "text", "probabilities": "jsonb"})
    worth = weighed(owner, shift, np.array(list("abc"), dtype=object))
    assert set(worth.figures) == {"accuracy", "f1"}
    assert worth.figures["accuracy"] == pytest.approx(20 / 60)


def test_numbers_and_their_ranges(shift: Nightshift, owner: sa.Engine) -> None:
    shift.define(ASKED.format(type="float", task="regression", more="coverage: 90%"))
    chance, rows = random.Random(2), []
    for number in range(ROWS):
        came, said = chance.gauss(50, 20), chance.gauss(50, 20)
        ends = (said - 15, said + 15) if number % 5 else (None, None)
        rows.append({"id": number, "came": came, "said": said, "lower": ends[0], "upper": ends[1]})
    infinite = [{**rows[0], "id": ROWS, "came": float("nan")}, {**rows[0], "id": ROWS + 1, "came": float("inf")}]
    tables(owner, [*rows, *infinite], types=dict.fromkeys(("came", "lower", "upper"), "float8"))
    answers, said = (np.array([row[name] for row in rows]) for name in ("came", "said"))
    worth = weighed(owner, shift, np.array([40.0, 60.0]))
    known = [row for row in rows if row["lower"] is not None]
    inside = [row["lower"] <= row["came"] <= row["upper"] for row in known]
    ranges = {"coverage": sum(inside) / len(known), "width": 30.0}
    assert worth.figures == pytest.approx({**measure_numbers(answers, said), **ranges})
    assert worth.dummies == pytest.approx(measure_numbers(answers, np.full(ROWS, 50.0)))


def test_a_probability_that_is_missing_is_told_and_takes_what_needs_it(shift: Nightshift, owner: sa.Engine) -> None:
    shift.define(ASKED.format(type="float", task="classification", more="").replace("came, task", 'came, as: "came > 0", task'))
    rows = [{"id": n, "came": n % 2, "said": True, "probability": [0.5, float("nan"), None][n % 3]} for n in range(6)]
    tables(owner, rows, types={"came": "float8", "said": "bool", "probability": "float8"})
    worth = weighed(owner, shift, np.array([True, False]))
    assert worth.figures == {"accuracy": 0.5, "f1": pytest.approx(2 / 3)}
    assert worth.lacking == "roc_auc, log_loss and brier cannot be computed, for 4 of 6 rows had no probability"
