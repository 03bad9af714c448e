"""What an earlier stage or an earlier night has left is looked at again where the world around it has changed."""

from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from deployments.catalogue import Definition, load_definition
from domain.errors import StageFailed
from domain.words import RunState
from infra.settings import Settings
from store.engine import parse_url
from store.runs import claim, finish_run
from tasks.night import take_night
from tasks.pruning import plan
from tasks.reproduce import reproduce
from tests.tasks.nightshift import Nightshift
from tests.tasks.test_out_of_fold import TABLE, member_rows
from tests.tasks.test_ranges import HOUSES, house_rows

DAYS = tuple(f"2024-01-{day:02d}" for day in range(1, 6))
NEAR_HISTORY = "- {expect: row_count_to_be_near_history, nights: 3, same_weekday: false, within: 40%}\n"


def test_a_night_is_judged_again_when_the_nights_before_it_were_corrected(
    shops: Definition, settings: Settings, write_day: Any
) -> None:
    (shops.folder / "expectations.yaml").write_text(NEAR_HISTORY)
    definition = load_definition(settings.deployments, "shops")

    def take(day: str, rows: int) -> RunState:
        write_day(day, rows=rows)
        return take_night(definition, definition.pipeline.calendar.named(day), settings, trigger="test").state

    for day in DAYS[:3]:
        take(day, 20)  # the source lost two thirds of its rows
    assert take(DAYS[3], 60) is RunState.HELD, "right, but beside nights that were wrong"
    for day in DAYS[:3]:
        take(day, 60)
    assert take(DAYS[3], 60) is RunState.PUBLISHED
    assert take(DAYS[3], 60) is RunState.SKIPPED


def test_predictions_with_ranges_are_reproduced(settings: Settings, writer: sa.Engine, owner: sa.Engine) -> None:
    shift = Nightshift(settings, writer, owner, name="houses", make_rows=house_rows)
    shift.define(HOUSES.replace("metric: mae", "metric: mae, coverage: 90%"))
    shift.take_all(*DAYS[:3])
    batch = shift.said["score"].detail["batch"]
    assert shift.query("SELECT count(lower) AS ranges FROM houses.published WHERE batch = :b", b=batch)[0].ranges
    again = reproduce(settings, batch)
    assert again.same


@pytest.mark.usefixtures("shops")
def test_a_challenger_that_fails_costs_readers_nothing(
    settings: Settings, writer: sa.Engine, owner: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    shift = Nightshift(settings, writer, owner)
    shift.rewrite("min_intervals: 2", "min_intervals: 2, retrain: nightly, promote: {gain: 0.5}, shadow: true")
    shift.take_all(*DAYS[:3])

    def fail(*_: object, **__: object) -> None:
        raise StageFailed("its hook divides by zero")

    monkeypatch.setattr("tasks.shadow.score_rows", fail)
    said = shift.take(DAYS[3])
    assert "could not score in its shadow: its hook divides by zero" in said["score"].reason
    night = shift.interval(DAYS[3]).start
    assert len(shift.query("SELECT FROM overnight.pointer WHERE interval_start = :night", night=night)) == 2


def test_answers_stay_as_long_as_what_readers_see_is_judged_by_them(
    settings: Settings, writer: sa.Engine, owner: sa.Engine, database: str
) -> None:
    shift = Nightshift(settings, writer, owner, name="members", make_rows=lambda _: member_rows())
    shift.define(
        TABLE.replace("model: {params", "model: {retrain: weekly, params") + "keep: {batches: 10 days, rejected: 5 days}\n"
    )
    shift.take("2024-01-01")
    shift.take("2024-01-02", rows=member_rows(unknown=0))
    answers = shift.query("SELECT labels FROM overnight.quality ORDER BY id DESC LIMIT 1")[0].labels
    shift.take("2024-01-02", rows=[{**row, "visits": 1} for row in member_rows(unknown=0)])
    _grow_old(database)
    going = plan(shift.definition, settings, at=datetime.now(UTC)).going
    judging = shift.query(
        "SELECT DISTINCT ON (q.batch) q.labels FROM overnight.quality q JOIN overnight.pointer p ON p.batch = q.batch"
        " ORDER BY q.batch, q.id DESC"
    )
    assert answers
    assert not {line.labels for line in judging} & {one.batch for one in going if one.part == "rows"}


@pytest.mark.usefixtures("shops")
def test_a_stage_stays_who_it_logged_in_as(settings: Settings, writer: sa.Engine, owner: sa.Engine, database: str) -> None:
    shift = Nightshift(settings, writer, owner)
    forged = "INSERT INTO overnight.stage_run (run, stage, state, reason, ended_at) VALUES (:run, 'validate', 'done', '', now())"
    with claim(writer, "shops", shift.interval(DAYS[0]), trigger="test", holder={"pid": 1}) as run:
        engine = sa.create_engine(parse_url(database), poolclass=sa.NullPool)
        with engine.connect() as connection:
            connection.execute(sa.text("SET SESSION AUTHORIZATION overnight_score"))
            connection.execute(sa.text("SET ROLE overnight_stage"))
            with pytest.raises(sa.exc.ProgrammingError, match="has no business with this line"):
                connection.execute(sa.text(forged), {"run": run.id})
        finish_run(writer, run.id, state=RunState.FAILED, reason="")


def _grow_old(database: str) -> None:
    with sa.create_engine(parse_url(database), poolclass=sa.NullPool).begin() as connection:
        connection.execute(sa.text("SET LOCAL session_replication_role = replica"))
        for table, column in (("batch", "created_at"), ("batch", "sealed_at"), ("publication", "at")):
            connection.execute(sa.text(f"UPDATE overnight.{table} SET {column} = {column} - interval '60 days'"))
