"""What training promises: when it happens, what it may see, what it measures, and who is champion afterwards."""

import random

import pytest
import sqlalchemy as sa

from deployments.catalogue import Definition
from domain.errors import DefinitionError, LeakRefused
from domain.words import StageState
from infra.settings import Settings
from tasks.artifacts import libraries_here
from tasks.lane import may_train
from tests.tasks.nightshift import Nightshift, shop_rows

THREE = ("2024-01-01", "2024-01-02", "2024-01-03")


@pytest.fixture
def shift(settings: Settings, writer: sa.Engine, owner: sa.Engine, shops: Definition) -> Nightshift:
    return Nightshift(settings, writer, owner)


def test_nothing_is_learned_before_enough_nights_are_published(shift: Nightshift) -> None:
    shift.take("2024-01-01")
    said = shift.take("2024-01-02")
    assert said["train"].state is StageState.SKIPPED
    assert said["train"].reason == "1 of 2 published nights to learn from"
    assert said["score"].reason == "no model yet"


def test_the_first_model_beats_the_dummy_and_scores_its_own_night(shift: Nightshift) -> None:
    said = shift.take_all(*THREE)
    assert "version 1 is champion: roc_auc 0.9" in said["train"].reason
    assert said["score"].rows_out == 120
    assert "roc_auc 0.9" in said["observe"].reason


def test_a_model_learns_from_nights_before_its_own_only(shift: Nightshift) -> None:
    shift.take_all(*THREE)
    (line,) = shift.query("SELECT trained_from, trained_until, trained_for, batches, rows FROM overnight.model")
    night = shift.interval("2024-01-03")
    assert (line.trained_from, line.trained_until) == (shift.interval("2024-01-01").start, night.start)
    assert line.trained_for == night.start
    assert (line.batches, line.rows) == ([1, 2], 240)


def test_the_same_night_again_learns_nothing_new(shift: Nightshift) -> None:
    shift.take_all(*THREE)
    said = shift.take("2024-01-03")
    assert said["train"].state is StageState.REUSED
    assert said["train"].reason == "version 1 learned the same from the same nights"


def test_a_model_is_kept_for_a_week_and_then_challenged(shift: Nightshift) -> None:
    days = [f"2024-01-{day:02d}" for day in range(1, 11)]
    reasons = [shift.take(day)["train"].reason for day in days]
    assert reasons[3] == "the newest model was trained 1 day before this night, due after 7"
    assert reasons[9].startswith("the newest model was trained 7 days before this night; version 2")
    champion = shift.query("SELECT metrics->>'champion_version' AS version FROM overnight.model WHERE version = 2")
    assert champion[0].version == "1"


def test_the_champion_is_judged_only_on_rows_that_it_has_not_seen(shift: Nightshift) -> None:
    shift.rewrite("holdout: 1 day", "holdout: 3 days, retrain: nightly, promote: {gain: -1}")
    days = [f"2024-01-{day:02d}" for day in range(1, 11)]
    shift.take_all(*days)
    held_out, compared = shift.query(
        "SELECT card->'measured'->'held_out'->>'rows', card->'measured'->>'compared_on_rows'"
        " FROM overnight.model ORDER BY version DESC LIMIT 1"
    )[0]
    assert (held_out, compared) == ("360", "120")


def test_a_changed_definition_is_learned_at_once(shift: Nightshift) -> None:
    shift.take_all(*THREE)
    shift.rewrite("max_iter: 20", "max_iter: 25")
    said = shift.take("2024-01-04")
    assert said["train"].reason.startswith("the newest model was trained before what is written under target")


def test_a_champion_that_cannot_be_loaded_here_is_replaced_in_the_same_night(
    shift: Nightshift, monkeypatch: pytest.MonkeyPatch
) -> None:
    shift.take_all(*THREE)
    here = libraries_here()
    for where in ("tasks.artifacts", "tasks.due", "tasks.train"):
        monkeypatch.setattr(f"{where}.libraries_here", lambda: {**here, "scikit-learn": "0.0.1"})
    said = shift.take("2024-01-04")
    was = f"the champion, version 1, was fitted under scikit-learn {here['scikit-learn']}, and this is scikit-learn 0.0.1"
    assert said["train"].reason.startswith(f"{was}; version 2 is champion")
    assert said["score"].rows_out == 120


def test_a_night_beside_others_waits_for_its_turn_to_replace_a_champion_that_cannot_be_loaded_here(
    shift: Nightshift, monkeypatch: pytest.MonkeyPatch
) -> None:
    shift.take_all(*THREE)
    night, here = shift.interval("2024-01-04"), libraries_here()
    assert not may_train(shift.engine, shift.definition, night, model="as-due")
    monkeypatch.setattr("tasks.artifacts.libraries_here", lambda: {**here, "scikit-learn": "0.0.1"})
    assert may_train(shift.engine, shift.definition, night, model="as-due")
    assert not may_train(shift.engine, shift.definition, night, model="as-was")


def test_training_can_be_asked_for(shift: Nightshift) -> None:
    shift.take_all(*THREE)
    assert shift.take("2024-01-04", retrain=True)["train"].reason.startswith("training was asked for; version 2")


def test_a_challenger_that_misses_the_limit_changes_nothing_for_readers(shift: Nightshift) -> None:
    shift.rewrite("min_intervals: 2", "min_intervals: 2, promote: {at_least: 0.999}")
    said = shift.take_all(*THREE)
    assert "stays challenger" in said["train"].reason
    assert "is below the limit 0.999" in said["train"].reason
    assert said["score"].state is StageState.SKIPPED


def test_every_move_of_an_alias_has_who_why_and_evidence(shift: Nightshift) -> None:
    shift.take_all(*THREE)
    (move,) = shift.query("SELECT * FROM reading.alias_move")
    assert (move.alias, move.version, move.who) == ("champion", 1, "overnight")
    assert move.effective_from == shift.interval("2024-01-03").start
    assert move.evidence["challenger"]["roc_auc"] > 0.9 > move.evidence["dummy"]["roc_auc"]


def test_one_answer_only_ends_in_a_sentence(shift: Nightshift) -> None:
    for day in ("2024-01-01", "2024-01-02"):
        shift.take(day, rows=[{**row, "left_over": 5.0} for row in shop_rows(day)])
    said = shift.take("2024-01-03")
    assert said["train"].state is StageState.SKIPPED
    assert said["train"].reason == "all 240 known answers in the window are False, so there is nothing to learn"


def test_a_held_out_night_with_one_answer_promotes_nothing_and_says_why(shift: Nightshift) -> None:
    shift.take("2024-01-01")
    shift.take("2024-01-02", rows=[{**row, "left_over": 5.0} for row in shop_rows("2024-01-02")])
    said = shift.take("2024-01-03")
    assert said["train"].reason.endswith("roc_auc cannot be computed on the held-out rows, so nothing is promoted")


def test_nights_without_answers_do_not_count(shift: Nightshift) -> None:
    for day in THREE:
        shift.take(day, rows=[{**row, "left_over": None} for row in shop_rows(day)])
    said = shift.take("2024-01-04")
    assert said["train"].reason == "0 of 2 published nights have known answers to learn from"


def test_rows_that_arrive_in_another_order_teach_the_same_model(shift: Nightshift) -> None:
    shift.take_all(*THREE)
    first = shift.query("SELECT sha256 FROM overnight.model")[0].sha256
    for day in THREE[:2]:
        shift.take(day, rows=shop_rows(day)[::-1])
    shift.take("2024-01-04", rows=[])
    shift.rewrite("min_intervals: 2", "min_intervals: 2, promote: {gain: 0.0001}")  # another definition, the same recipe
    shift.take("2024-01-03")
    assert [line.sha256 for line in shift.query("SELECT sha256 FROM overnight.model")] == [first, first]


def test_a_window_past_max_rows_is_sampled_and_the_card_says_so(shift: Nightshift) -> None:
    shift.rewrite("min_intervals: 2", "min_intervals: 2, max_rows: 120")
    shift.take_all(*THREE)
    (line,) = shift.query("SELECT rows, card->'data'->>'sampling' AS sampling FROM overnight.model")
    assert 80 < line.rows < 160
    assert line.sampling.startswith("50.00% of the rows whose answer is known")


def test_an_estimator_that_learns_in_parts_learns_every_row_of_a_window_past_max_rows(
    shift: Nightshift, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.whole.CHUNK_ROWS", 50)
    shift.rewrite("min_intervals: 2", "min_intervals: 2, max_rows: 120")
    shift.rewrite(
        "sklearn.ensemble.HistGradientBoostingClassifier, params: {max_iter: 20}",
        "sklearn.linear_model.SGDClassifier, params: {loss: log_loss}",
    )
    said = shift.take_all(*THREE)
    (line,) = shift.query("SELECT rows, card->'data'->>'sampling' AS sampling, sha256 FROM overnight.model")
    assert line.rows == 240
    assert line.sampling.startswith("all 240 rows whose answer is known, in chunks; encoder and figures are of 50.00%")
    assert said["train"].detail["promoted"], said["train"].reason
    assert said["score"].rows_out == 120
    shift.rewrite("min_intervals: 2", "min_intervals: 2, promote: {gain: -1.0}")
    shift.take("2024-01-03")
    assert {one.sha256 for one in shift.query("SELECT sha256 FROM overnight.model")} == {line.sha256}


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "sklearn.ensemble.HistGradient",
            "os.path.HistGradient",
            "is from none of the packages that OVERNIGHT_ESTIMATORS allows",
        ),
        ("BoostingClassifier", "BoostingClasifier", "did you mean HistGradientBoostingClassifier?"),
        ("BoostingClassifier", "BoostingRegressor", "is no classifier, and target.task is classification"),
        ("max_iter: 20", "max_itr: 20", "did you mean 'max_iter'?"),
        ("max_iter: 20", "max_iter: -1", "The 'max_iter' parameter of HistGradientBoostingClassifier must be"),
        ("min_intervals: 2", "min_intervals: 2, metric: rmse", "'rmse' does not judge a classification"),
        ("numeric: [stock, price]", "numeric: [stock, shop]", "features.numeric: 'shop' is a text"),
    ],
)
def test_a_wrong_definition_is_a_sentence(shift: Nightshift, old: str, new: str, sentence: str) -> None:
    shift.rewrite(old, new)
    shift.take_all("2024-01-01", "2024-01-02")
    with pytest.raises(DefinitionError, match=sentence.replace("?", r"\?")):
        shift.take("2024-01-03")


def test_any_scikit_learn_estimator_learns_from_the_same_contract(shift: Nightshift) -> None:
    shift.rewrite(
        "sklearn.ensemble.HistGradientBoostingClassifier, params: {max_iter: 20}", "sklearn.linear_model.LogisticRegression"
    )
    said = shift.take_all(*THREE)
    assert "version 1 is champion" in said["train"].reason
    assert said["score"].rows_out == 120


def test_a_hook_makes_the_features(shift: Nightshift) -> None:
    shift.rewrite("datetime: [opened]}", "datetime: [opened], hook: features.py:build}")
    (shift.settings.deployments / "shops" / "features.py").write_text(
        "def build(rows):\n    rows = rows.copy()\n    rows['stock_per_price'] = rows.stock / rows.price\n"
        "    rows['corner'] = rows.region.str[0]\n    return rows\n"
    )
    shift.take_all(*THREE)
    (line,) = shift.query("SELECT card->'recipe'->'features' AS features FROM overnight.model")
    assert {"stock_per_price", "corner", "opened weekday"} < set(line.features)


def test_a_hook_that_is_not_there_is_a_sentence(shift: Nightshift) -> None:
    shift.rewrite("datetime: [opened]}", "datetime: [opened], hook: features.py:build}")
    shift.take_all("2024-01-01", "2024-01-02")
    with pytest.raises(DefinitionError, match="names no file of this folder"):
        shift.take("2024-01-03")


def test_a_planted_leak_is_named_and_refused_until_it_is_confirmed(shift: Nightshift) -> None:
    shift.make_rows = lambda day: [{**row, "price": row["left_over"] * 0.1 - 3} for row in shop_rows(day)]
    shift.take_all("2024-01-01", "2024-01-02")
    with pytest.raises(LeakRefused, match="the feature 'price' alone tells left_over almost perfectly"):
        shift.take("2024-01-03")
    shift.rewrite("numeric: [stock, price]", "numeric: [stock, price], confirmed: [price]")
    said = shift.take("2024-01-03")
    assert said["train"].detail["promoted"]
    (line,) = shift.query("SELECT card->'almost_the_answer_alone' AS hints FROM overnight.model")
    assert line.hints["price"] > 0.99


def test_a_leak_that_appears_later_leaves_the_champion_in_place(shift: Nightshift) -> None:
    shift.take_all(*THREE)
    shift.make_rows = lambda day: [{**row, "price": row["left_over"] * 0.1 - 3} for row in shop_rows(day)]
    for day in ("2024-01-04", "2024-01-05", "2024-01-06"):
        shift.take(day)
    shift.rewrite("holdout: 1 day", "holdout: 1 day, window: 3 days")
    said = shift.take("2024-01-07")
    assert (said["train"].state, said["score"].state) == (StageState.SKIPPED, StageState.DONE)
    assert "'price' alone tells left_over almost perfectly" in said["train"].reason


def test_the_card_shows_what_the_model_leans_on_and_where_it_differs(shift: Nightshift) -> None:
    shift.take_all(*THREE)
    (line,) = shift.query("SELECT card, metrics FROM overnight.model")
    leading = [one["feature"] for one in line.card["importance"][:2]]
    assert set(leading) == {"stock", "region"}
    assert {one["value"] for one in line.card["slices"]} == {"north", "south", "east"}
    assert sum(group["rows"] for group in line.card["curves"]["calibration"]) == 120
    low, high = line.metrics["interval"]
    assert low < line.metrics["challenger"]["roc_auc"] < high
    assert line.card["measured"]["fitted_on"]["nights"] == ["2024-01-01"]
    assert line.card["measured"]["held_out"]["nights"] == ["2024-01-02"]


TICKETS = """
name: tickets
title: Which team?
interval: {every: day, timezone: UTC, from: 2024-01-01}
source: {kind: csv, path: "x.csv"}
columns:
  ticket: {type: int, key: true}
  words: {type: text, null: true}
  born: {type: date, null: true}
  team: {type: text, null: true}
target: {column: team, task: classification}
features: {text: [words], datetime: [born]}
model: {metric: accuracy, min_intervals: 2}
"""


def ticket_rows(day: str) -> list[dict[str, object]]:
    chance = random.Random(day)
    said = {"billing": "invoice refund paid twice", "network": "router slow wifi down", "door": "key badge locked out"}
    rows: list[dict[str, object]] = []
    for number in range(200):
        team = chance.choice(list(said))
        words = " ".join(chance.choices([*said[team].split(), "please", "help", "today", "naïve"], k=6))
        year = {"billing": 1950, "network": 1980, "door": 2000}[team] + chance.randint(0, 9)
        unknown = number % 10 == 0
        rows.append(
            {"ticket": number, "words": None if unknown else words, "born": f"{year}-06-01" if unknown else None, "team": team}
        )
    return rows


def test_words_and_the_years_of_dates_are_learned_from(shift: Nightshift) -> None:
    shift.name, shift.make_rows = "tickets", ticket_rows  # type: ignore[assignment]
    shift.define(TICKETS)
    said = shift.take_all(*THREE)
    assert "is champion: accuracy 0.9" in said["train"].reason
    (line,) = shift.query("SELECT avg((prediction = team)::int) AS right_of_dates FROM tickets.latest WHERE words IS NULL")
    assert line.right_of_dates > 0.9


def test_a_factory_of_the_users_own_makes_the_estimator(shift: Nightshift) -> None:
    shift.rewrite(
        "sklearn.ensemble.HistGradientBoostingClassifier, params: {max_iter: 20}", "'features.py:make', params: {depth: 3}"
    )
    (shift.settings.deployments / "shops" / "features.py").write_text(
        "from sklearn.ensemble import ExtraTreesClassifier, VotingClassifier\n"
        "from sklearn.linear_model import LogisticRegression\n"
        "def make(depth):\n"
        "    trees = ExtraTreesClassifier(n_estimators=20, max_depth=depth, random_state=0)\n"
        "    return VotingClassifier([('trees', trees), ('line', LogisticRegression())], voting='soft')\n"
    )
    said = shift.take_all(*THREE)
    assert "version 1 is champion" in said["train"].reason
    assert said["score"].rows_out == 120
    shift.rewrite("depth: 3", "deep: 3")
    with pytest.raises(DefinitionError, match="unexpected keyword argument 'deep'"):
        shift.take("2024-01-04")


def test_probabilities_are_calibrated_where_the_pipeline_asks(shift: Nightshift) -> None:
    shift.rewrite("min_intervals: 2", "min_intervals: 2, calibrate: sigmoid")
    said = shift.take_all(*THREE)
    assert "version 1 is champion" in said["train"].reason
    assert said["score"].rows_out == 120
