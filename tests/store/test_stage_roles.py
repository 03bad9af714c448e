"""Each stage's role can do that stage's work, shown by a whole night, and no other's, tried statement by statement."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2
import pytest
import sqlalchemy as sa

from deployments.catalogue import Definition
from domain.report import NightReport, StageReport
from domain.words import RunState, Stage, StageState
from infra.settings import Settings
from store.engine import parse_url, transaction
from store.roles import set_stage_passwords, stage_password, stage_url
from tasks.context import writer_engine
from tasks.night import StageCall, take_night
from tasks.perform import perform

NIGHTS = [f"2024-01-0{day}" for day in range(1, 5)]


@pytest.fixture
def as_itself(role_url: Callable[[str], str]) -> StageCall:
    """Calls each stage as a container does: all that it has of the database is its own role's login."""

    def call(stage: Stage, run_id: int, settings: Settings) -> StageReport:
        return perform(stage, run_id, settings.model_copy(update={"database_url": role_url(stage), "writer_url": None}))

    return call


@pytest.fixture
def take(
    shops: Definition, settings: Settings, as_itself: StageCall, write_day: Callable[..., Path]
) -> Callable[..., NightReport]:
    def take(day: str, *, call: StageCall = as_itself) -> NightReport:
        write_day(day)
        return take_night(shops, shops.pipeline.calendar.named(day), settings, trigger="test", call=call)

    return take


def test_nights_are_taken_by_six_roles_and_each_others_work_is_denied_by_the_database(
    take: Callable[..., NightReport], reader: sa.Engine, role_url: Callable[[str], str]
) -> None:
    reports = [take(day) for day in NIGHTS]
    assert [report.state for report in reports] == [RunState.PUBLISHED] * len(NIGHTS), [report.reason for report in reports]
    assert {stage.stage for report in reports for stage in report.stages if stage.state is StageState.DONE} == set(Stage)
    with transaction(reader) as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM shops.latest")) == 60
    again = take(NIGHTS[-1])
    assert again.state is RunState.SKIPPED, again.reason
    assert [what for what, (stage, tried) in FORBIDDEN.items() if succeeds(role_url(stage), tried.format(run=again.run))] == []


def succeeds(url: str, statement: str) -> bool:
    with session(url) as cursor:
        try:
            cursor.execute(statement)
        except psycopg2.errors.InsufficientPrivilege:
            return False
        return True


def test_what_one_way_of_calling_stages_left_the_other_goes_on_from(
    take: Callable[..., NightReport], as_itself: StageCall
) -> None:
    for day, first, second in (
        (NIGHTS[0], _stopping(as_itself), perform),
        (NIGHTS[1], _stopping(perform), as_itself),
    ):
        with pytest.raises(KeyboardInterrupt):
            take(day, call=first)
        assert take(day, call=second).state is RunState.PUBLISHED


def _stopping(call: StageCall) -> StageCall:
    def stopped(stage: Stage, run_id: int, settings: Settings) -> StageReport:
        if stage is Stage.VALIDATE:
            raise KeyboardInterrupt
        return call(stage, run_id, settings)

    return stopped


FORBIDDEN = {
    "ingest writes predictions": (Stage.INGEST, "CREATE TABLE overnight_shops.x (LIKE overnight_shops.predictions); "
        "ALTER TABLE overnight_shops.predictions ATTACH PARTITION overnight_shops.x FOR VALUES IN (99)"),
    "ingest opens a prediction batch": (Stage.INGEST, "INSERT INTO overnight.batch (pipeline, kind, interval_start, "
        "interval_end, rows, fingerprint, input_batch, model, run) SELECT pipeline, kind, interval_start, interval_end, 0, '', "
        "input_batch, model, run FROM overnight.batch WHERE kind = 'prediction' LIMIT 1"),
    "ingest lets its own rows pass": (Stage.INGEST, "INSERT INTO overnight.verdict (batch, run, outcome, reason, suite_hash, "
        "results) SELECT id, {run}, 'passed', '', '', '[]' FROM overnight.batch LIMIT 1"),
    "ingest changes a batch that was sealed": (Stage.INGEST, "DELETE FROM overnight_shops.landed"),
    "ingest makes a model": (Stage.INGEST, "INSERT INTO overnight.profile SELECT id, '{{}}' FROM overnight.model"),
    "validate opens a batch": (Stage.VALIDATE, "INSERT INTO overnight.batch (pipeline, kind, interval_start, interval_end, "
        "rows, fingerprint, run) SELECT 'shops', 'input', now(), now(), 0, '', {run}"),
    "validate publishes": (Stage.VALIDATE, "SELECT overnight.publish({run}, 'me', 'because')"),
    "train publishes": (Stage.TRAIN, "SELECT overnight.publish({run}, 'me', 'because')"),
    "train writes predictions": (Stage.TRAIN, "CREATE TABLE overnight_shops.predictions_99 (LIKE overnight_shops.predictions)"),
    "train names the run's rows": (Stage.TRAIN, "UPDATE overnight.run SET input_batch = NULL WHERE id = {run}"),
    "score writes landed rows": (Stage.SCORE, "INSERT INTO overnight_shops.landed SELECT * FROM overnight_shops.landed"),
    "score opens an input batch": (Stage.SCORE, "INSERT INTO overnight.batch (pipeline, kind, interval_start, interval_end, "
        "rows, fingerprint, run) SELECT 'shops', 'input', now(), now() + interval '1 day', 0, '', {run}"),
    "score promotes": (Stage.SCORE, "INSERT INTO overnight.alias_move (pipeline, alias, model, effective_from, who, why) "
        "SELECT 'shops', 'champion', id, now(), 'me', 'because' FROM overnight.model"),
    "score publishes": (Stage.SCORE, "SELECT overnight.publish({run}, 'me', 'because')"),
    "publish moves a pointer past its door": (Stage.PUBLISH, "UPDATE overnight.pointer SET batch = batch"),
    "publish judges": (Stage.PUBLISH, "INSERT INTO overnight.verdict (batch, run, outcome, reason, suite_hash, "
        "results) SELECT id, {run}, 'passed', '', '', '[]' FROM overnight.batch LIMIT 1"),
    "observe corrects the past": (Stage.OBSERVE, "UPDATE overnight.quality SET value = 1"),
    "observe publishes": (Stage.OBSERVE, "SELECT overnight.publish({run}, 'me', 'because')"),
    "a stage ends the run": (Stage.PUBLISH, "UPDATE overnight.run SET state = 'published', ended_at = now() WHERE id = {run}"),
    "a stage adds another one's line": (Stage.OBSERVE, "INSERT INTO overnight.stage_run (run, stage) VALUES ({run}, 'publish')"),
    "a stage changes another one's line": (Stage.INGEST, "UPDATE overnight.stage_run SET reason = 'x' WHERE stage = 'publish'"),
    "a stage becomes the writer": (Stage.TRAIN, "SET ROLE overnight_writer"),
    "a stage becomes another stage": (Stage.SCORE, "SET ROLE overnight_publish"),
    "a stage becomes the owner": (Stage.VALIDATE, "SET SESSION AUTHORIZATION overnight_owner"),
}  # fmt: skip


def test_a_running_night_s_score_cannot_seal_or_drop_what_ingest_loaded(
    take: Callable[..., NightReport], as_itself: StageCall, role_url: Callable[[str], str], settings: Settings
) -> None:
    denied = []

    def meddling(stage: Stage, run_id: int, given: Settings) -> StageReport:
        report = as_itself(stage, run_id, given)
        if stage is Stage.INGEST:
            with transaction(writer_engine(settings)) as connection:
                batch = connection.scalar(sa.text("SELECT max(id) FROM overnight.batch"))
            for other, function in ((Stage.SCORE, "seal_batch({0}, {1})"), (Stage.TRAIN, "take_batch({0}, {1})"),
                                    (Stage.VALIDATE, "abandon_batch({0})")):  # fmt: skip
                with session(role_url(other)) as cursor, pytest.raises(psycopg2.errors.InsufficientPrivilege):
                    cursor.execute("SELECT overnight." + function.format(batch, run_id))
                denied.append(other)
        return report

    assert take(NIGHTS[0], call=meddling).state is RunState.PUBLISHED
    assert len(denied) == 3


@contextmanager
def session(url: str) -> Iterator[psycopg2.extensions.cursor]:
    connection = psycopg2.connect(url)
    try:
        yield connection.cursor()
    finally:
        connection.close()


def test_each_stage_has_a_password_of_its_own_that_follows_from_the_database_urls(database: str) -> None:
    admin = parse_url(database).set(password="of-the-admin")
    assert set_stage_passwords(admin.render_as_string(hide_password=False))
    writer = admin.set(username="overnight_writer", password="of-the-writer")
    handed = {stage_url(writer, stage, secret="of-the-admin").password for stage in Stage}
    assert len(handed) == len(Stage)
    with session(database) as cursor:
        cursor.execute("SELECT rolpassword FROM pg_authid WHERE rolname = 'overnight_score'")
        (kept,) = cursor.fetchone() or ("",)
    assert kept.startswith("SCRAM-SHA-256$")
    assert stage_password("of-the-admin", Stage.SCORE) not in kept


def test_a_server_that_asks_nobody_for_a_password_is_given_none(database: str) -> None:
    assert not set_stage_passwords(database)
    assert stage_url(parse_url(database), Stage.SCORE, secret=None).password is None
