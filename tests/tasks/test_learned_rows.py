"""Folds are looked up in the table that was learned from: no change of the source since leads to a model that saw the row."""

import random
from typing import Any

import pytest
import sqlalchemy as sa

from infra.settings import Settings
from tests.tasks.nightshift import Nightshift
from tests.tasks.test_out_of_fold import TABLE, member_rows, named_by_line, numbered

ECHOES = "params: {max_iter: 60, min_samples_leaf: 1}, retrain: never, promote: {at_least: 0.0}"  # what was learned is repeated
OF_THE_KNOWN = "SELECT member, probability FROM members.published WHERE interval_start = :start AND NOT hindsight"


@pytest.fixture
def shift(settings: Settings, writer: sa.Engine, owner: sa.Engine) -> Nightshift:
    shift = Nightshift(settings, writer, owner, name="members", make_rows=lambda day: member_rows())
    shift.define(TABLE)
    return shift


def said_of(shift: Nightshift, day: str) -> dict[str, float]:
    """What was published of each row that is not marked as hindsight."""
    return {row.member: row.probability for row in shift.query(OF_THE_KNOWN, start=shift.interval(day).start)}


def figures(shift: Nightshift, day: str) -> dict[str, float]:
    lines = shift.query("SELECT metric, value FROM reading.quality WHERE interval_start = :s", s=shift.interval(day).start)
    return {line.metric: line.value for line in lines}


@pytest.mark.parametrize("by", ["key", "time"])
def test_an_answer_that_is_missing_for_a_night_does_not_come_from_a_model_that_learned_it(shift: Nightshift, by: str) -> None:
    shift.rewrite("params: {max_iter: 30}", ECHOES)
    if by == "time":
        shift.rewrite("joined: {type: date, null: true}", "joined: {type: date, null: true, time: true}")
    rows = member_rows()
    shift.take("2024-01-01", rows=rows)
    shift.take("2024-01-02", rows=[{**row, "left_us": None} for row in rows])
    shift.take("2024-01-03", rows=rows)
    assert said_of(shift, "2024-01-02") == said_of(shift, "2024-01-01")
    assert figures(shift, "2024-01-02") == pytest.approx(figures(shift, "2024-01-01"))


def test_a_time_that_moves_leaves_a_row_with_a_twin_that_never_saw_it(shift: Nightshift) -> None:
    shift.rewrite("joined: {type: date, null: true}", "joined: {type: date, null: true, time: true}")
    shift.rewrite("datetime: [joined]", "datetime: []")
    shift.rewrite("params: {max_iter: 30}", ECHOES)
    rows = member_rows(unknown=0)
    shift.take("2024-01-01", rows=rows)
    later = [{**row, "joined": "2023-12-31"} for row in rows]
    shift.take("2024-01-02", rows=[*later, {**rows[0], "member": "new", "joined": "2023-12-31"}])
    said = said_of(shift, "2024-01-02")
    assert said.pop("new") is not None, "nobody learned from it, so it is where its time says"
    assert said == said_of(shift, "2024-01-01")
    shift.take("2024-01-03", rows=[{**row, "joined": "2009-01-01"} for row in rows])
    assert said_of(shift, "2024-01-03") == {}, "whatever spoke of them knows what came after them"


@pytest.mark.parametrize("by", ["key", "time"])
def test_when_the_table_that_was_learned_from_is_gone_every_row_may_have_been_in_it(shift: Nightshift, by: str) -> None:
    shift.rewrite("params: {max_iter: 30}", ECHOES)
    if by == "time":
        shift.rewrite("joined: {type: date, null: true}", "joined: {type: date, null: true, time: true}")
    rows = member_rows(unknown=0)
    shift.take("2024-01-01", rows=rows)
    first = said_of(shift, "2024-01-01")
    with shift.owner.begin() as connection:
        connection.execute(sa.text("DROP TABLE overnight_members.landed_1"))
        connection.execute(sa.text("UPDATE overnight.batch SET state = 'dropped' WHERE id = 1"))
    shift.take("2024-01-02", rows=[{**row, "left_us": None} for row in rows])
    assert said_of(shift, "2024-01-02") == (first if by == "key" else {})


def test_a_row_without_name_or_answer_is_told_by_what_it_holds_and_marked_where_that_changed(shift: Nightshift) -> None:
    rows = named_by_line(shift, retrain="never")
    shift.take("2024-01-01", rows=numbered(rows))
    first = {row.luck: row.probability for row in shift.query("SELECT luck, probability FROM lines.published")}
    blank = [{**row, "left_us": None} for row in rows]
    shift.take("2024-01-02", rows=numbered([{**blank[100], "luck": 0.5}, *blank[:100], *blank[101:]]))
    night = "FROM lines.published WHERE interval_start = (SELECT max(interval_start) FROM lines.published)"
    assert [row.luck for row in shift.query(f"SELECT luck {night} AND hindsight")] == [0.5]
    same = {row.luck: row.probability for row in shift.query(f"SELECT luck, probability {night} AND NOT hindsight")}
    assert same == {luck: said for luck, said in first.items() if luck in same}
    assert len(same) == 399


def blocks_of(shift: Nightshift, first: int, second: int) -> list[dict[str, Any]]:
    """Rows in order of time whose first block holds `first` rows that seldom leave, whatever their visits; in the second, of
    `second` rows, and all later ones many visits make them leave. The sample misses blocks of a few rows."""
    chance, rows = random.Random(2), []
    for place in range(400):
        block = (place >= first) + (place >= first + second)
        visits = 30 if block == 1 else chance.choice([1, 30])
        leaves = visits == 30 if block else chance.random() < 0.1
        if chance.random() < 0.05:
            leaves = not leaves
        joined = ["2010-01-01", "2011-01-01", "2012-01-01"][block] if place < 165 else f"2013-{1 + place % 12:02d}-01"
        rows.append({"joined": joined, "visits": visits, "left_us": "yes" if leaves else "no"})
    few = [row for row in rows if row["joined"] == ("2010-01-01" if first < second else "2011-01-01")]
    names = _by_hash(shift)
    others = chance.sample(names[len(few) :], len(rows) - len(few))
    ordered = [*few, *(row for row in rows if row not in few)]
    blank = {"plan": None, "luck": 0.5, "spent": None}
    return [{"member": name, **blank, **row} for name, row in zip([*names[: len(few)], *others], ordered, strict=True)]


def _by_hash(shift: Nightshift) -> list[str]:
    """Names of members, those that a sample takes last first."""
    lines = shift.query("SELECT name FROM (SELECT 'm' || n AS name FROM generate_series(1, 400) n) m"
                        " ORDER BY hash_record_extended(ROW(name), 7) & 1048575 DESC")  # fmt: skip
    return [line.name for line in lines]


@pytest.fixture
def sampled(shift: Nightshift) -> Nightshift:
    shift.rewrite("joined: {type: date, null: true}", "joined: {type: date, null: true, time: true}")
    shift.rewrite("datetime: [joined]", "confirmed: [visits]")
    shift.rewrite("params: {max_iter: 30}", "params: {max_iter: 30, min_samples_leaf: 5}, max_rows: 100, metric: accuracy")
    return shift


def test_a_block_of_time_that_the_sample_missed_is_spoken_of_by_what_came_before_it_alone(sampled: Nightshift) -> None:
    rows = blocks_of(sampled, 98, 3)
    said = sampled.take("2024-01-01", rows=rows)
    assert said["train"].detail.get("promoted"), said["train"].reason
    few = sampled.query("SELECT probability, hindsight FROM members.published WHERE joined = '2011-01-01'")
    assert [row.hindsight for row in few] == [False] * 3
    assert max(row.probability for row in few) < 0.5, "only what came after it teaches that many visits make people leave"


def test_rows_before_which_nothing_was_sampled_are_marked(sampled: Nightshift) -> None:
    rows = blocks_of(sampled, 3, 150)
    said = sampled.take("2024-01-01", rows=rows)
    assert said["score"].rows_out == 400
    marked = sampled.query("SELECT DISTINCT joined::text AS joined FROM members.published WHERE hindsight ORDER BY 1")
    assert [row.joined for row in marked] == ["2010-01-01", "2011-01-01"]
    (line,) = sampled.query("SELECT DISTINCT rows FROM reading.quality")
    assert line.rows == 400 - 153
