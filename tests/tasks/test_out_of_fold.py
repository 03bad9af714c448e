"""Tables that are whole every night: predictions on the first night, and no figure from a model that saw its answer."""

import random
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from domain.errors import LeakRefused
from domain.words import BatchKind, StageState
from infra.settings import Settings
from store.batches import open_batch
from store.engine import transaction
from store.models import champion_for, load_artifact
from store.runs import claim, load_run
from tasks.context import Night
from tasks.models import Loaded, read_model
from tasks.train import train
from tests.tasks.nightshift import Nightshift

TABLE = """
name: members
title: Will this member leave?
interval: {every: day, timezone: UTC, from: 2024-01-01}
source: {kind: csv, path: "members.csv", mode: snapshot}
columns:
  member: {type: text, key: true}
  joined: {type: date, null: true}
  plan: {type: text, null: true}
  visits: {type: int, null: true}
  luck: {type: float}
  left_us: {type: text, null: true}
  spent: {type: float, null: true}
target: {column: left_us, as: "left_us == yes", task: classification}
features: {numeric: [visits, luck], categorical: [plan], datetime: [joined]}
model: {params: {max_iter: 30}}
"""


def member_rows(rows: int = 400, *, unknown: int = 40) -> list[dict[str, Any]]:
    """Few visits make people leave; `luck` tells a row from every other one and nothing else."""
    chance = random.Random(7)
    made: list[dict[str, Any]] = []
    for number in range(rows):
        visits, plan = chance.randint(0, 30), chance.choice(["basic", "plus", None])
        leaves = chance.random() < (0.85 if visits < 10 else 0.15)
        joined = f"20{10 + number // 40:02d}-{1 + number % 12:02d}-01"
        known = number >= unknown
        made.append(
            {"member": f"m{number:04d}", "joined": joined, "plan": plan, "visits": visits, "luck": chance.random(),
             "left_us": ("yes" if leaves else "no") if known else None, "spent": visits * 3 + chance.random() if known else None}
        )  # fmt: skip
    return made


@pytest.fixture
def shift(settings: Settings, writer: sa.Engine, owner: sa.Engine) -> Nightshift:
    shift = Nightshift(settings, writer, owner, name="members", make_rows=lambda day: member_rows())
    shift.define(TABLE)
    return shift


def champion(shift: Nightshift, day: str) -> Loaded:
    night = shift.interval(day)
    with transaction(shift.engine) as connection:
        found = champion_for(connection, "members", night=night.start)
        assert found is not None
        artifact, run = load_artifact(connection, found.id), load_run(connection, 1)
    return read_model(Night(run, shift.definition, shift.engine, shift.settings), found, artifact)


def test_the_first_night_has_predictions_for_every_row_and_quality_for_the_known_ones(shift: Nightshift) -> None:
    said = shift.take("2024-01-01")
    assert (said["train"].state, said["score"].rows_out) == (StageState.DONE, 400)
    assert {line.rows for line in shift.query("SELECT rows FROM reading.quality")} == {360}
    assert not shift.query("SELECT FROM members.published WHERE hindsight")


def test_the_card_claims_what_realised_quality_shows(shift: Nightshift) -> None:
    shift.take("2024-01-01")
    (model,) = shift.query("SELECT metrics, card, out_of_fold FROM reading.model")
    realised = {line.metric: line.value for line in shift.query("SELECT metric, value FROM reading.quality")}
    claimed = model.metrics["held_out"]
    assert model.out_of_fold
    assert realised == pytest.approx({name: claimed[name] for name in realised}, abs=1e-9)
    assert "in 5 folds by member" in model.card["measured"]["how"]


def test_answers_that_are_noise_are_not_remembered(shift: Nightshift) -> None:
    """Each row can be told from every other one, so a model that saw its answer would be right about it."""
    chance = random.Random(1)
    rows = [{**row, "left_us": chance.choice(["yes", "no"])} for row in member_rows(unknown=0)]
    shift.rewrite("params: {max_iter: 30}", "params: {max_iter: 40, min_samples_leaf: 1}, promote: {at_least: 0.0}")
    shift.make_rows = lambda day: rows
    said = shift.take("2024-01-01")
    claimed = shift.query("SELECT metrics->'held_out'->>'roc_auc' AS auc FROM reading.model")[0].auc
    assert 0.35 < float(claimed) < 0.65
    assert said["score"].rows_out == 400 or said["score"].state is StageState.SKIPPED


def test_a_table_that_teaches_nothing_says_why_nothing_is_predicted_and_what_to_type(shift: Nightshift) -> None:
    chance = random.Random(3)
    rows = [{**row, "left_us": chance.choice(["yes", "no", "no", "no"])} for row in member_rows(unknown=0)]
    shift.rewrite("params: {max_iter: 30}", "params: {max_iter: 30}, metric: accuracy, promote: {at_least: 0.99}")
    said = shift.take("2024-01-01", rows=rows)
    lost = shift.query("SELECT why FROM overnight.alias_move WHERE alias = 'challenger'")[0].why
    assert said["score"].reason.startswith(f"no model yet: version 1 was not promoted, for {lost}; ")
    assert said["score"].reason.endswith("overnight promote members 1 --why ...")


def test_each_known_row_is_scored_by_the_twin_that_never_saw_its_key_and_the_others_by_the_model_of_all(
    shift: Nightshift,
) -> None:
    shift.take("2024-01-01")
    loaded = champion(shift, "2024-01-01")
    assert loaded.folds is not None
    rows = shift.query("SELECT member, joined, plan, visits, luck, left_us, probability FROM members.published ORDER BY member")
    folds = shift.query(
        "SELECT member, (hash_record_extended(ROW(member), 11) & 1048575) % 5 AS fold FROM members.published ORDER BY member"
    )
    frame = _frame(loaded, rows)
    each = [model.predict_proba(frame)[:, 1] for model in (*loaded.twins, loaded.estimator)]
    for place, (row, line) in enumerate(zip(rows, folds, strict=True)):
        expected = each[-1 if row.left_us is None else line.fold][place]
        assert row.probability == pytest.approx(expected, abs=1e-12), row.member


def _frame(loaded: Loaded, rows: list[Any]) -> Any:
    import pandas as pd

    raw = pd.DataFrame([row._mapping for row in rows])
    raw = raw.assign(joined=pd.to_datetime(raw.joined), plan=raw.plan.astype("str").astype("category"))
    return loaded.prepare(raw)


def test_the_same_table_teaches_the_same_twins(shift: Nightshift) -> None:
    shift.take("2024-01-01")
    shift.make_rows = lambda day: member_rows()[::-1]
    shift.take("2024-01-02", retrain=True)
    hashes = {line.sha256 for line in shift.query("SELECT sha256 FROM reading.model")}
    predictions = shift.query("SELECT content_hash FROM reading.published WHERE kind = 'prediction'")
    assert len(shift.query("SELECT FROM reading.model")) == 2
    assert len(hashes) == 1
    assert len({line.content_hash for line in predictions}) == 2  # the version is part of each row
    scores = shift.query("SELECT DISTINCT member, probability FROM members.published")
    assert len(scores) == 400


def test_a_champion_scores_the_nights_after_it_out_of_fold_and_none_before_it(shift: Nightshift) -> None:
    shift.take("2024-01-02")
    later = shift.take("2024-01-03")
    assert later["train"].state is StageState.SKIPPED
    assert (later["score"].rows_out, later["observe"].state) == (400, StageState.DONE)
    earlier = shift.take("2024-01-01", stages=_without(train))
    assert "past this one's start (law 5)" in earlier["score"].reason


def _without(stage: Callable[..., Any]) -> tuple[Any, ...]:
    from tasks.score import score

    return tuple(one for one in (train, score) if one is not stage)


def test_the_database_refuses_a_model_of_folds_for_a_night_before_it(shift: Nightshift) -> None:
    shift.take("2024-01-02")
    with (
        claim(shift.engine, "members", shift.interval("2024-01-01"), trigger="test", holder={"pid": 1}) as run,
        pytest.raises(LeakRefused, match="past the start of the interval"),
        transaction(shift.engine) as connection,
    ):
        open_batch(connection, run, BatchKind.PREDICTION, columns=["member"], fingerprint="", input_batch=1, model=1)


def test_a_challenger_meets_the_champion_on_rows_that_neither_has_seen(shift: Nightshift) -> None:
    shift.take("2024-01-01")
    shift.rewrite("max_iter: 30", "max_iter: 20")
    said = shift.take("2024-01-02")
    assert "against the champion's" in said["train"].reason
    (line,) = shift.query("SELECT metrics FROM reading.model WHERE version = 2")
    first = shift.query("SELECT metrics FROM reading.model WHERE version = 1")[0]
    assert line.metrics["champion"] == pytest.approx(first.metrics["held_out"])
    assert line.metrics["rows"] == 360


def test_answers_that_arrive_later_judge_what_was_said_before_they_did(shift: Nightshift) -> None:
    shift.take("2024-01-01")
    shift.make_rows = lambda day: member_rows(unknown=0)
    shift.take("2024-01-02")
    first = shift.interval("2024-01-01").start
    found = shift.query("SELECT DISTINCT rows FROM reading.quality WHERE interval_start = :s", s=first)
    assert [line.rows for line in found] == [400]


def test_with_a_time_column_nothing_is_judged_by_what_came_after_it(shift: Nightshift) -> None:
    shift.rewrite("joined: {type: date, null: true}", "joined: {type: date, null: true, time: true}")
    shift.take("2024-01-01")
    (line,) = shift.query("SELECT metrics, card, params FROM reading.model")
    folds = line.params["folds"]
    assert (folds["by"], folds["columns"], len(folds["cuts"])) == ("time", ["joined"], 5)
    assert "each of 5 blocks by a model of all rows before it" in line.card["measured"]["how"]
    marked = shift.query("SELECT bool_and(hindsight) AS every, count(*) AS n FROM members.published"
                         " WHERE left_us IS NOT NULL AND joined < CAST(:cut AS date)", cut=folds["cuts"][0])  # fmt: skip
    others = shift.query("SELECT bool_or(hindsight) AS any FROM members.published"
                         " WHERE left_us IS NULL OR joined >= CAST(:cut AS date)", cut=folds["cuts"][0])  # fmt: skip
    assert (marked[0].every, others[0].any) == (True, False)
    judged = shift.query("SELECT DISTINCT rows FROM reading.quality")[0].rows
    assert judged == 360 - marked[0].n == line.card["measured"]["held_out"]["rows"]


@pytest.mark.parametrize("target", ["{column: spent, task: regression}", "{column: plan, task: classification}"])
def test_numbers_and_many_classes_are_folded_too(shift: Nightshift, target: str) -> None:
    shift.name = "others"
    text = TABLE.replace("members", "others").replace("categorical: [plan], ", "")
    shift.define(text.replace('{column: left_us, as: "left_us == yes", task: classification}', target))
    rows = [{**row, "plan": "few" if row["visits"] < 9 else row["plan"]} for row in member_rows()]
    said = shift.take("2024-01-01", rows=[*rows[:-1], {**rows[-1], "plan": "only once"}])
    assert said["train"].detail["promoted"], said["train"].reason
    assert said["score"].rows_out == 400
    assert said["observe"].state is StageState.DONE


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (15, "15 of the table's rows have a known answer, and 20 are needed to learn and to judge"),
        (0, "0 of the table's rows have a known answer, and 20 are needed to learn and to judge"),
    ],
)
def test_a_table_too_small_to_judge_is_a_sentence(shift: Nightshift, rows: int, sentence: str) -> None:
    said = shift.take("2024-01-01", rows=member_rows(rows, unknown=0))
    assert (said["train"].state, said["train"].reason) == (StageState.SKIPPED, sentence)
    assert said["score"].state is StageState.SKIPPED


def named_by_line(shift: Nightshift, *, retrain: str = "monthly") -> list[dict[str, Any]]:
    """The same table without a key: a row's line is its name, and each row is the only one of its kind."""
    shift.name = "lines"
    text = TABLE.replace("members", "lines").replace(
        "member: {type: text, key: true}", 'member: {type: int, key: true, from: "{line}"}'
    )
    shift.define(text.replace("max_iter: 30}", f"max_iter: 30}}, retrain: {retrain}"))
    return [{name: value for name, value in row.items() if name != "member"} for row in member_rows()]


def numbered(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"member": line, **row} for line, row in enumerate(rows, start=2)]


def inserted(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row that nobody has seen at the top, all others a line further down, and one of them corrected."""
    return [{**rows[100], "luck": 0.5}, *rows[:200], {**rows[200], "visits": 31}, *rows[201:]]


def saw_its_answer(shift: Nightshift) -> list[bool]:
    """Of each known row of the newest night that no mark of hindsight sets aside: whether the twin that spoke of it learned from
    a row like it, told by its luck, which is all its own."""
    learned = shift.query("SELECT luck, hash_record_extended(ROW(joined::text, plan, visits::text, luck::text, spent::text), 11)"
                          " & 1048575 AS hash FROM overnight_lines.landed WHERE batch_id = (SELECT min(batch_id)"
                          " FROM overnight_lines.landed) AND left_us IS NOT NULL")  # fmt: skip
    folds = {row.luck: row.hash % 5 for row in learned}
    shown = shift.query("SELECT luck, probability, model_version, hash_record_extended(ROW(joined::text, plan, visits::text,"
                        " luck::text, spent::text), 11) & 1048575 AS hash FROM lines.published WHERE left_us IS NOT NULL AND NOT"
                        " hindsight AND interval_start = (SELECT max(interval_start) FROM lines.published)")  # fmt: skip
    return [row.luck in folds and folds[row.luck] != row.hash % 5 for row in shown]


def test_a_row_that_is_put_in_leaves_every_other_one_with_the_twin_that_never_saw_it(shift: Nightshift) -> None:
    rows = named_by_line(shift, retrain="never")
    shift.take("2024-01-01", rows=numbered(rows))
    first = {row.luck: row.probability for row in shift.query("SELECT luck, probability FROM lines.published")}
    said = shift.take("2024-01-02", rows=numbered(inserted(rows)))
    assert said["train"].state is StageState.SKIPPED
    assert not any(saw_its_answer(shift))
    night = "FROM lines.published WHERE interval_start = (SELECT max(interval_start) FROM lines.published)"
    same = shift.query(f"SELECT luck, probability {night} AND NOT hindsight")
    assert len(same) == 399
    assert all(row.probability == first[row.luck] for row in same)
    assert sorted(row.luck for row in shift.query(f"SELECT luck {night} AND hindsight")) == sorted([0.5, rows[200]["luck"]])
    quality = shift.query("SELECT DISTINCT interval_start, rows FROM reading.quality ORDER BY 1")
    assert [line.rows for line in quality] == [360, 359], "a later table's answers are other rows' where lines have shifted"


def test_a_table_whose_rows_only_their_lines_name_is_learned_anew_when_it_changed(shift: Nightshift) -> None:
    rows = named_by_line(shift)
    shift.take("2024-01-01", rows=numbered(rows))
    assert shift.take("2024-01-02", rows=numbered(rows))["train"].state is StageState.SKIPPED
    said = shift.take("2024-01-03", rows=numbered(inserted(rows)))
    assert said["train"].reason.startswith("the table is not the one that version 1 learned from, and rows have no name but")
    (line,) = shift.query("SELECT metrics, card FROM reading.model WHERE version = 2")
    assert line.metrics["rows"] == 359, "the champion is asked only about rows that it can be shown not to have learned"
    assert "for its line is no name" in line.card["measured"]["how"]
    assert said["observe"].rows_in == (361 if said["train"].detail["promoted"] else 359)


def test_when_the_champions_table_is_gone_a_challenger_that_lost_since_does_not_hide_it(shift: Nightshift) -> None:
    shift.rewrite("joined: {type: date, null: true}", "joined: {type: date, null: true, time: true}")
    shift.rewrite("params: {max_iter: 30}", "params: {max_iter: 30}, promote: {gain: 0.5}")
    rows = member_rows()
    shift.take("2024-01-01", rows=rows)
    assert not shift.take("2024-01-02", rows=rows[1:], retrain=True)["train"].detail["promoted"]
    with shift.owner.begin() as connection:
        connection.execute(sa.text("DROP TABLE overnight_members.landed_1"))
        connection.execute(sa.text("UPDATE overnight.batch SET state = 'dropped' WHERE id = 1"))
    said = shift.take("2024-01-03", rows=rows[2:])
    assert said["train"].reason.startswith("the table that version 1 learned from was pruned, and rows are told by it, so which")
    assert said["train"].detail["promoted"], "every row would be marked as hindsight until the next training by age"


def with_moment(shift: Nightshift, rows: list[dict[str, Any]], *, filled: bool) -> list[dict[str, Any]]:
    """A date after each row's own time: when the membership ends by plan, or (`filled` false) when leaving was written down."""
    shift.name = "moments"
    text = TABLE.replace("members", "moments").replace("joined: {type: date, null: true}", "joined: {type: date, time: true}\n"
                                                       "  ended: {type: date, null: true}")  # fmt: skip
    shift.define(text.replace("datetime: [joined]", "datetime: [joined, ended]"))
    return [{**row, "ended": "2023-12-30" if filled or row["left_us"] is not None else None} for row in rows]


def test_a_moment_that_comes_with_the_answer_is_refused_until_it_is_confirmed(shift: Nightshift) -> None:
    rows = with_moment(shift, member_rows(), filled=False)
    with pytest.raises(LeakRefused, match="'ended' mostly lies after the prediction and is empty where left_us is not known yet"):
        shift.take("2024-01-01", rows=rows)
    shift.rewrite("datetime: [joined, ended]", "datetime: [joined, ended], confirmed: [ended]")
    assert shift.take("2024-01-01", rows=rows)["train"].state is StageState.DONE


def test_a_moment_that_was_planned_is_named_on_the_card_and_learned_from(shift: Nightshift) -> None:
    assert shift.take("2024-01-01", rows=with_moment(shift, member_rows(), filled=True))["train"].state is StageState.DONE
    (line,) = shift.query("SELECT card FROM reading.model")
    assert line.card["later_than_the_prediction"] == {"ended": {"share": 1.0, "filled": 1.0, "comes_with_the_answer": False}}


def test_a_table_past_max_rows_is_learned_whole_in_parts_and_no_twin_learns_its_own_fold(shift: Nightshift) -> None:
    """Noise that a nearest neighbour would remember: figures above chance would be a twin that saw its own rows."""
    chance = random.Random(5)
    rows = [{**row, "left_us": chance.choice(["yes", "no"])} for row in member_rows(unknown=0)]
    shift.rewrite(
        "model: {params: {max_iter: 30}}",
        "model: {max_rows: 200, estimator: sklearn.linear_model.SGDClassifier, params: {loss: log_loss, alpha: 0.01}}",
    )
    shift.take("2024-01-01", rows=rows)
    (line,) = shift.query("SELECT rows, metrics, card->'data'->>'sampling' AS sampling FROM reading.model")
    assert line.rows == 400
    assert line.sampling.startswith("all 400 rows")
    assert 0.3 < line.metrics["held_out"]["roc_auc"] < 0.7
