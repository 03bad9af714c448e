"""What people are told, sent to a real address."""

import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from deployments.catalogue import Definition, load_definition
from domain.errors import EXIT_SOURCE, EXIT_USAGE, DatabaseUnavailable, DefinitionError, LockHeld, UsageError
from domain.report import NightReport
from domain.words import RunState
from infra.notify import send
from infra.settings import Settings, load_settings, readable_settings
from store.pipelines import register
from store.recovery import close_dead_runs
from store.runs import claim
from tasks.night import take_night, whoami
from tasks.prepare import prepare
from tasks.recovery import is_holder_alive
from tasks.telling import tell_at_once, tell_due, tell_left_over
from tasks.unbegun import tell_still_unbegun, tell_unbegun
from tasks.waiving import waive
from tasks.watch import watch
from tests.flows.conftest import Inbox

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
def scheduled(settings: Settings, shops: Definition) -> Definition:
    path = settings.deployments / "shops" / "pipeline.yaml"
    path.write_text(path.read_text() + 'schedule: "0 2 * * *"\npublish: {deadline: "07:00"}\n')
    return load_definition(settings.deployments, "shops")


def told(settings: Settings, inbox: Inbox) -> Settings:
    return settings.model_copy(update={"notify": inbox.url})


def test_a_published_night_is_told_once_at_its_deadline(
    settings: Settings, scheduled: Definition, write_day: Callable[..., Path], inbox: Inbox
) -> None:
    write_day("2024-01-05")
    night = scheduled.pipeline.calendar.named("2024-01-05")
    assert take_night(scheduled, night, settings, trigger="schedule").state is RunState.PUBLISHED
    here = told(settings, inbox)
    assert tell_due(here, now=datetime(2024, 1, 6, 6, 59, tzinfo=BERLIN)) == []
    for minute in (0, 1, 30):
        tell_due(here, now=datetime(2024, 1, 6, 7, minute, tzinfo=BERLIN))
    (message,) = inbox
    assert (message["title"], message["message"]) == (
        "Overnight: 1 ready", "shops 2024-01-05: published, 60 rows, 60 are usual"
    )  # fmt: skip


def test_a_message_that_nobody_took_is_sent_again_until_somebody_does(
    settings: Settings, scheduled: Definition, inbox: Inbox
) -> None:
    nobody, here = settings.model_copy(update={"notify": "json://127.0.0.1:1"}), told(settings, inbox)
    deadline = datetime(2024, 1, 6, 7, 0, tzinfo=BERLIN)
    assert tell_due(nobody, now=deadline) == []
    assert tell_due(here, now=deadline + timedelta(seconds=15)) == []
    assert tell_due(nobody, now=deadline + timedelta(seconds=30)) == []
    for seconds in (60, 150, 165):
        tell_due(here, now=deadline + timedelta(seconds=seconds))
    assert [one["title"] for one in inbox] == ["Overnight: 1 of 1 late"]


def test_a_bad_end_of_which_its_own_process_could_not_tell_is_told_by_the_watch_and_once(
    settings: Settings, scheduled: Definition, writer: sa.Engine, inbox: Inbox
) -> None:
    here, calendar, now = told(settings, inbox), scheduled.pipeline.calendar, datetime.now(BERLIN)
    first, second, third, fourth = (calendar.named(f"2024-01-0{day}") for day in range(1, 5))
    for night, trigger in ((first, "schedule"), (second, "backfill")):  # which has no file, and then the process is gone
        assert take_night(scheduled, night, settings, trigger=trigger).state is RunState.FAILED
    with claim(writer, "shops", third, trigger="schedule", holder={"host": "elsewhere", "pid": 1}):
        pass
    assert close_dead_runs(writer, is_alive=is_holder_alive)
    report = take_night(scheduled, fourth, settings, trigger="schedule")
    assert tell_at_once(scheduled, report, here, now=now, trigger="schedule")
    assert tell_left_over(here, now=now + timedelta(minutes=1)) == [], "it may tell of itself, or be tried again"
    for minutes in (6, 7):
        tell_left_over(here, now=now + timedelta(minutes=minutes))
    assert [one["title"] for one in inbox] == [
        "shops 2024-01-04: failed",
        "shops 2024-01-01: failed",
        "shops 2024-01-03: crashed",
    ]


def test_a_night_that_never_started_is_told_as_late_with_no_scheduler_alive(
    settings: Settings, scheduled: Definition, inbox: Inbox
) -> None:
    here = told(settings, inbox)
    lines = tell_due(here, now=datetime(2024, 1, 6, 7, 0, tzinfo=BERLIN))
    assert lines == ["shops 2024-01-05: late, no run has started"]
    assert inbox[0]["title"] == "Overnight: 1 of 1 late"


def test_a_waived_night_is_told_to_nobody(settings: Settings, owner: sa.Engine, scheduled: Definition, inbox: Inbox) -> None:
    register(owner, scheduled.pipeline, expectations=list(scheduled.expectations))
    waive(scheduled, [scheduled.pipeline.calendar.named("2024-01-05")], settings, who="ada", why="stocktaking")
    assert tell_due(told(settings, inbox), now=datetime(2024, 1, 6, 7, 0, tzinfo=BERLIN)) == []
    assert inbox == []


def test_a_definition_that_broke_is_told_and_silences_nobody(
    settings: Settings, owner: sa.Engine, scheduled: Definition, inbox: Inbox
) -> None:
    register(owner, scheduled.pipeline, expectations=list(scheduled.expectations))
    here = told(settings, inbox)
    file = settings.deployments / "shops" / "pipeline.yaml"
    file.write_text(file.read_text().replace("columns:", "colums:"))
    prefect_is_away, broken, line = watch(here, "http://127.0.0.1:1/api", now=datetime(2024, 1, 6, 7, 0, tzinfo=BERLIN))
    assert "Prefect" in prefect_is_away
    assert broken.startswith("shops is wrong, and its nights fail until it is mended: ")
    assert line.startswith("shops 2024-01-05: late, no run has started; its definition cannot be read: ")
    assert "colums" in line
    assert inbox[0]["message"] == line


def test_the_morning_says_how_often_a_night_was_tried_what_was_set_aside_and_who_became_champion(
    settings: Settings, scheduled: Definition, write_day: Callable[..., Path], inbox: Inbox
) -> None:
    calendar = scheduled.pipeline.calendar
    write_day("2024-01-01")
    write_day("2024-01-02")
    assert take_night(scheduled, calendar.named("2024-01-03"), settings, trigger="schedule").state is RunState.FAILED
    write_day("2024-01-03", change=lambda lines: [*lines, "s999,no time,north,1,1,1"])
    for day in ("2024-01-01", "2024-01-02", "2024-01-03"):
        assert take_night(scheduled, calendar.named(day), settings, trigger="schedule").state is RunState.PUBLISHED
    (line,) = tell_due(told(settings, inbox), now=datetime(2024, 1, 4, 7, 0, tzinfo=BERLIN))
    assert line == (
        "shops 2024-01-03: published at attempt 2, 60 rows, 60 are usual, 1 set aside; version 1 is champion from this night on"
    )


def test_a_deadline_of_yesterday_is_no_news(settings: Settings, scheduled: Definition, inbox: Inbox) -> None:
    assert tell_due(told(settings, inbox), now=datetime(2024, 1, 6, 19, 1, tzinfo=BERLIN)) == []


def test_a_night_of_the_schedule_that_fails_is_told_at_once_with_what_readers_have_and_a_backfill_wakes_nobody(
    settings: Settings, scheduled: Definition, write_day: Callable[..., Path], inbox: Inbox
) -> None:
    named = scheduled.pipeline.calendar.named
    report = NightReport(7, "shops", named("2024-01-05"), RunState.HELD, "held: 12 % of the rows do not fit, limit 10 %")
    here = told(settings, inbox)
    now = datetime.now(BERLIN)
    assert not tell_at_once(scheduled, report, here, now=now, trigger="backfill")
    assert inbox == []
    assert tell_at_once(scheduled, report, here, now=now, trigger="schedule")
    assert inbox[0]["title"] == "shops 2024-01-05: held"
    assert "12 % of the rows" in inbox[0]["message"]
    assert inbox[0]["message"].endswith("Readers have no night yet. Next: overnight runs shops --interval 2024-01-05")
    for day in ("2024-01-04", "2024-01-05"):
        write_day(day)
        assert take_night(scheduled, named(day), settings, trigger="command").state is RunState.PUBLISHED
        assert tell_at_once(scheduled, report, here, now=now, trigger="late rows")
    assert "Readers keep the last good night. Next" in inbox[1]["message"]
    assert "Readers keep what was published of this night before. Next" in inbox[2]["message"]


NIGHT = datetime(2024, 1, 6, 2, tzinfo=BERLIN)


def untaken(settings: Settings, error: Exception, *, trigger: str = "schedule", night: str | None = None) -> bool:
    """As a run of the schedule that meets `error` before its night begins, at two in the morning."""
    return tell_unbegun("shops", error, settings, night=night, moment=NIGHT, now=NIGHT, trigger=trigger)


def test_a_night_that_cannot_begin_is_told_at_once_and_once_with_the_command_that_helps(
    settings: Settings, scheduled: Definition, owner: sa.Engine, inbox: Inbox
) -> None:
    register(owner, scheduled.pipeline, expectations=list(scheduled.expectations))
    file = settings.deployments / "shops" / "pipeline.yaml"
    file.write_text(file.read_text().replace("columns:", "colums:"))
    here = told(settings, inbox)
    with pytest.raises(DefinitionError) as broken:
        load_definition(settings.deployments, "shops")
    assert not untaken(here, broken.value, trigger="backfill"), "nobody is woken by what somebody waits for"
    assert untaken(here, broken.value)
    assert not untaken(here, broken.value), "a retry of the same night is no news"
    (message,) = inbox
    assert message["title"] == "shops 2024-01-05: not taken"
    assert message["message"].startswith("shops 2024-01-05 could not be taken: ")
    assert "unknown key 'colums'; did you mean 'columns'?" in message["message"]
    assert message["message"].endswith("Try: overnight check shops")
    assert untaken(here, broken.value, night="2024-01-04"), "another night is"


def test_what_keeps_a_night_from_beginning_is_told_again_until_somebody_takes_it_or_a_run_begins(
    settings: Settings, scheduled: Definition, writer: sa.Engine, inbox: Inbox
) -> None:
    nobody, here = settings.model_copy(update={"notify": "json://127.0.0.1:1"}), told(settings, inbox)
    broken, now = DefinitionError("a key is wrong"), datetime.now(BERLIN)

    def meet(night: str) -> bool:
        return tell_unbegun("shops", broken, nobody, night=night, moment=now, now=now, trigger="schedule")

    def again(where: Settings, seconds: int) -> list[str]:
        return tell_still_unbegun(where, now=now + timedelta(seconds=seconds))

    assert not meet("2024-01-05")
    assert not meet("2024-01-05"), "and it is not tried a second time at once"
    assert again(here, 15) == again(nobody, 30) == again(here, 60) == [] == inbox
    assert again(here, 150) == ["shops 2024-01-05: not taken, which was not told before"]
    assert again(here, 800) == []
    assert [one["title"] for one in inbox] == ["shops 2024-01-05: not taken"]
    for night in ("2024-01-06", "2024-01-07"):
        assert not meet(night)
    with claim(writer, "shops", scheduled.pipeline.calendar.named("2024-01-06"), trigger="command", holder=whoami()):
        pass
    assert again(here, 30) == ["shops 2024-01-07: not taken, which was not told before"]
    assert again(here, 13 * 3600) == []


def test_a_night_that_cannot_begin_is_told_where_the_ledger_is_what_is_away(
    settings: Settings, scheduled: Definition, inbox: Inbox
) -> None:
    away = told(settings, inbox).model_copy(update={"database_url": "postgresql://nobody@127.0.0.1:1/x", "writer_url": None})
    assert untaken(away, DatabaseUnavailable("Postgres does not answer", hint="overnight doctor"))
    assert inbox[0]["message"] == "shops 2024-01-05 could not be taken: Postgres does not answer. Try: overnight doctor"


def test_a_night_that_is_under_way_is_told_calmly_and_only_if_its_run_tells_nobody(
    settings: Settings, scheduled: Definition, writer: sa.Engine, inbox: Inbox
) -> None:
    here, night = told(settings, inbox), scheduled.pipeline.calendar.named("2024-01-05")

    def meets() -> LockHeld:
        with pytest.raises(LockHeld) as held:
            take_night(scheduled, night, here, trigger="schedule")
        return held.value

    with claim(writer, "shops", night, trigger="schedule", holder=whoami()):
        assert not untaken(here, meets())
    with claim(writer, "shops", night, trigger="command", holder=whoami()):
        assert untaken(here, meets())
    assert [one["title"] for one in inbox] == ["shops 2024-01-05: under way already"]
    assert "run 2 holds this night since" in inbox[0]["message"]


@pytest.mark.slow
def test_a_run_of_the_schedule_asks_again_and_then_tells_what_keeps_its_night_from_beginning(
    prefect: str, here: Settings, shops: Definition, write_day: Callable[..., Path], writer: sa.Engine, inbox: Inbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    import flows.backfill
    import flows.beginning
    import flows.nightly
    import flows.occasion

    def take() -> Any:
        return flows.nightly.nightly("shops", "2024-01-05", return_state=True)

    def away_at_first(*what: Any) -> Any:
        asked.append(what)
        if len(asked) == 1:
            raise DatabaseUnavailable("gone for a moment")
        return prepare(*what)

    asked: list[Any] = []
    write_day("2024-01-05")
    with monkeypatch.context() as once:
        once.setenv("OVERNIGHT_NOTIFY", inbox.url)
        once.setattr(flows.occasion, "is_scheduled", lambda: True)
        load_settings.cache_clear()
        with claim(writer, "shops", shops.pipeline.calendar.named("2024-01-05"), trigger="command", holder=whoami()):
            held = take()
        assert (held.is_completed(), held.name) == (True, "Nothing to do")
        file = here.deployments / "shops" / "pipeline.yaml"
        whole = file.read_text()
        file.write_text(whole.replace("name: shops", "name: shop"))
        assert [take().is_failed() for _ in range(2)] == [True, True]
        assert flows.backfill.backfill("shops", "2024-01-01", "2024-01-05", tell=True, return_state=True).is_failed()
        file.write_text(whole)
    assert [one["title"].rpartition(": ")[2] for one in inbox] == ["under way already", "not taken", "not taken"]
    assert inbox[2]["title"].startswith("shops 2024-01-01 to 2024-01-05: ")
    load_settings.cache_clear()
    monkeypatch.setattr(flows.beginning, "RETRY_DELAYS", (0.0,))
    monkeypatch.setattr(flows.nightly, "prepare", away_at_first)
    assert take().name == "Published"


@pytest.mark.slow
def test_one_line_of_a_crontab_takes_the_nights_and_tells_how_they_went_and_what_is_late(
    here: Settings, shops: Definition, write_day: Callable[..., Path], inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    an_hour_ago = datetime.now(BERLIN) - timedelta(hours=1)
    first, second, due = [(an_hour_ago - timedelta(days=back)).strftime("%Y-%m-%d") for back in (3, 2, 1)]
    write_day(first)
    write_day(second)
    file = here.deployments / "shops" / "pipeline.yaml"
    deadline = f'schedule: "0 2 * * *"\npublish: {{deadline: "{an_hour_ago:%H:%M}"}}\n'
    file.write_text(file.read_text().replace("from: 2024-01-01", f"from: {first}") + deadline)
    monkeypatch.setenv("OVERNIGHT_NOTIFY", inbox.url)

    def say(*words: str) -> int:
        return subprocess.run([sys.executable, "-m", "cli.main", *words, "--tell"], check=False, capture_output=True).returncode

    assert say("backfill", "shops", "--mode", "missing", "--to", due, "--parallel", "2") == EXIT_SOURCE
    assert [one["title"] for one in inbox] == [f"shops {due}: failed", "Overnight: 1 of 1 late"]
    assert inbox[1]["message"].startswith(f"shops {due}: late, failed: ")
    file.write_text(file.read_text().replace("columns:", "colums:"))
    assert [say("run", "shops", "--interval", due) for _ in range(2)] == [EXIT_USAGE, EXIT_USAGE]
    assert [one["title"] for one in inbox[2:]] == [f"shops {due}: not taken"]


def test_wrong_settings_do_not_keep_the_message_that_they_are_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inbox: Inbox
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OVERNIGHT_NOTIFY", inbox.url)
    for wrong in ('web_port = "abc"\nunknown = 1\n', "home = "):
        Path("overnight.toml").write_text(wrong)
        load_settings.cache_clear()
        with pytest.raises(UsageError, match="settings: "):
            load_settings()
        assert readable_settings().notify == inbox.url
    load_settings.cache_clear()


def test_an_address_that_nobody_answers_loses_the_message_and_nothing_else(settings: Settings) -> None:
    here = settings.model_copy(update={"notify": "json://127.0.0.1:1 nonsense://x"})
    assert send(here, title="a", body="b") is False
