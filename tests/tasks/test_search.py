"""Parameters that are chosen by trying: on the rows that are learned from, the same ones each time, and told on the card."""

import pytest
import sqlalchemy as sa

from deployments.catalogue import Definition
from domain.errors import DefinitionError
from domain.words import StageState
from infra.settings import Settings
from tests.tasks.nightshift import Nightshift

NIGHTS = ("2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05")
SEARCH = (
    "min_intervals: 4, retrain: nightly, search: {candidates: 6, params: {max_leaf_nodes: {from: 3, to: 31},"
    " learning_rate: {from: 0.01, to: 0.5, scale: log}, l2_regularization: [0.0, 1.0]}}"
)


@pytest.fixture
def shift(settings: Settings, writer: sa.Engine, owner: sa.Engine, shops: Definition) -> Nightshift:
    shift = Nightshift(settings, writer, owner)
    shift.rewrite("min_intervals: 2", SEARCH)
    return shift


def test_the_card_says_what_was_tried_and_the_model_is_the_one_that_was_chosen(shift: Nightshift) -> None:
    shift.take_all(*NIGHTS)
    (line,) = shift.query("SELECT card, params FROM reading.model")
    search = line.card["search"]
    assert [rung["candidates"] for rung in search["rungs"]] == [6, 2]
    assert [rung["rows"] for rung in search["rungs"]] == [160, 480]
    assert set(search["chosen"]) == {"max_leaf_nodes", "learning_rate", "l2_regularization"}
    assert search["chosen"].items() <= line.params["params"].items()
    last = [one["roc_auc"] for one in search["tried"] if one["rung"] == 2]
    best = next(one for one in search["tried"] if one["params"] == search["chosen"] and one["rung"] == 2)
    assert best["roc_auc"] == max(last)
    assert search["stopped"] is None
    assert len(search["twins"]) == 1, "the twin searched its own rows, without the held-out nights"


def test_the_same_nights_choose_the_same_and_make_the_same_model(shift: Nightshift) -> None:
    shift.take_all(*NIGHTS)
    first = shift.query("SELECT sha256, fingerprint FROM overnight.model")[0]
    again = shift.take(NIGHTS[-1], retrain=True)
    assert again["train"].state is StageState.REUSED
    shift.rewrite("candidates: 6", "candidates: 6, time: 1h")
    shift.take(NIGHTS[-1])
    second = shift.query("SELECT sha256, fingerprint FROM overnight.model ORDER BY version")[-1]
    assert (second.sha256 == first.sha256, second.fingerprint == first.fingerprint) == (True, False)


def test_a_search_whose_time_is_up_ends_after_a_rung_and_the_model_is_named_by_it(
    shift: Nightshift, monkeypatch: pytest.MonkeyPatch
) -> None:
    shift.rewrite("candidates: 6", "candidates: 6, time: 1s")
    monkeypatch.setattr("tasks.search.monotonic", lambda: float("inf"))
    shift.take_all(*NIGHTS)
    (line,) = shift.query("SELECT card, fingerprint, params FROM overnight.model")
    assert line.card["search"]["stopped"] == 1
    assert [rung["candidates"] for rung in line.card["search"]["rungs"]] == [6]
    assert line.fingerprint != line.params["learned_as"]
    assert shift.take(NIGHTS[-1])["train"].state is StageState.REUSED, "a rerun does not search again"


def test_values_that_the_estimator_refuses_are_a_sentence_before_any_row_is_learned(shift: Nightshift) -> None:
    shift.take_all(*NIGHTS[:-1])
    shift.rewrite("l2_regularization: [0.0, 1.0]", "l2_regularization: [0.0, -1.0]")
    with pytest.raises(DefinitionError, match="l2_regularization"):
        shift.take(NIGHTS[-1])
    shift.rewrite("l2_regularization: [0.0, -1.0]", "l2_regularisation: [0.0]")
    with pytest.raises(DefinitionError, match="did you mean 'l2_regularization'"):
        shift.take(NIGHTS[-1])
