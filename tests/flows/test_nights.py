"""Whole nights through a real Prefect server: what its UI shows, what is tried again, what the ledger keeps."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from deployments.catalogue import Definition
from domain.errors import EXIT_DONE, EXIT_FAILED, EXIT_SOURCE, DatabaseUnavailable, SourceError, StageFailed
from domain.report import NightReport, StageReport, worst_exit_code
from domain.words import RunState, Stage, StageState
from infra.prefect_api import PrefectApi
from infra.settings import Settings
from tests.patience import PATIENCE, wait_for

pytestmark = pytest.mark.slow
Write = Callable[..., Path]


def nights_of(writer: sa.Engine) -> list[tuple[str, str, str]]:
    with writer.connect() as connection:
        lines = connection.execute(sa.text("SELECT state, trigger, holder->>'prefect_flow_run' FROM overnight.run ORDER BY id"))
        return [tuple(line) for line in lines]


def test_a_night_runs_through_prefect_and_shows_what_it_did(
    prefect: str, api: PrefectApi, here: Settings, shops: Definition, write_day: Write, writer: sa.Engine
) -> None:
    from flows.nightly import nightly
    from flows.outcome import outcome_of

    write_day("2024-01-05")
    state = nightly("shops", "2024-01-05", return_state=True)
    report = outcome_of(state)
    assert isinstance(report, NightReport)
    assert (report.state, report.exit_code) == (RunState.PUBLISHED, EXIT_DONE), report.reason
    run = api.read_run(nights_of(writer)[0][2])
    assert (run.name, run.state, run.state_name) == ("shops 2024-01-05", "COMPLETED", "Published")
    artifacts = {one["key"]: one["data"] for one in api._call("POST", "/artifacts/filter", {})}
    assert "60" in artifacts["shops-night"]
    assert "column_values_to_be_between" in artifacts["shops-validation"]


def test_a_backfill_goes_on_after_a_night_without_a_file_and_names_the_model_it_trained(
    prefect: str, api: PrefectApi, here: Settings, shops: Definition, write_day: Write
) -> None:
    from flows.backfill import backfill
    from flows.outcome import listening, outcome_of

    for day in (1, 2, 3, 5):
        write_day(f"2024-01-0{day}")
    heard: list[str] = []
    with listening(lambda report, number, total: heard.append(f"{number}/{total} {report.state}")):
        state = backfill("shops", "2024-01-01", "2024-01-05", return_state=True)
    reports = outcome_of(state)
    assert heard == ["1/5 published", "2/5 published", "3/5 published", "4/5 failed", "5/5 published"]
    assert state.message == "5 nights: 4 published, 1 failed"
    assert worst_exit_code(report.exit_code for report in reports) == EXIT_SOURCE
    assert "2024-01-04" in reports[3].reason
    assert any(one["key"] == "shops-model" for one in api._call("POST", "/artifacts/filter", {}))


def test_only_what_may_help_is_tried_again(
    prefect: str, here: Settings, shops: Definition, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect import flow

    import flows.stages

    calls: list[Stage] = []
    errors = {Stage.INGEST: [DatabaseUnavailable("gone for a moment")], Stage.SCORE: [StageFailed("a typing mistake")]}

    def perform(stage: Stage, run_id: int, settings: Settings) -> StageReport:
        calls.append(stage)
        if errors.get(stage):
            raise errors[stage].pop()
        return StageReport(stage, StageState.DONE)

    monkeypatch.setitem(flows.stages.POLICY, "retry_delay_seconds", [0.1])

    @flow(persist_result=False)
    def two_stages() -> str:
        call = flows.stages.stage_tasks(here, call=perform)
        assert call(Stage.INGEST, 1, here).state is StageState.DONE
        with pytest.raises(StageFailed, match="a typing mistake"):
            call(Stage.SCORE, 1, here)
        return "done"

    assert two_stages() == "done"
    assert calls == [Stage.INGEST, Stage.INGEST, Stage.SCORE]


def test_a_failed_night_is_failed_in_prefect_with_the_sentence_and_no_traceback(
    prefect: str, here: Settings, shops: Definition, capfd: pytest.CaptureFixture[str]
) -> None:
    from flows.nightly import nightly
    from flows.outcome import outcome_of

    state = nightly("shops", "2024-01-09", return_state=True)
    report = outcome_of(state)
    assert state.is_failed()
    assert state.message == report.reason
    assert "2024-01-09" in report.reason
    assert report.exit_code == SourceError.exit_code
    assert "Traceback" not in "".join(capfd.readouterr())


def test_what_ends_a_flow_is_told_from_prefect_too(
    prefect: str, here: Settings, shops: Definition, capfd: pytest.CaptureFixture[str]
) -> None:
    from flows.__main__ import _exit_code
    from flows.nightly import nightly

    state = nightly("shop", return_state=True)
    assert state.is_failed()
    assert "did you mean shops?" in (state.message or "")
    assert _exit_code(KeyError("nobody foresaw it")) == EXIT_FAILED
    assert "unexpected KeyError: 'nobody foresaw it'" in capfd.readouterr().err


def test_the_entry_point_prints_one_object_a_night_and_ends_with_the_exit_code(
    prefect: str, here: Settings, shops: Definition, write_day: Write
) -> None:
    write_day("2024-01-05")
    command = [sys.executable, "-m", "flows", "backfill", "shops", "--from", "2024-01-05", "--to", "2024-01-06", "--json"]
    environment = os.environ | {"OVERNIGHT_PREFECT_API_URL": prefect}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE)
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(one["interval"]["start"][:10], one["state"]) for one in reports] == [
        ("2024-01-05", "published"), ("2024-01-06", "failed")
    ], done.stderr  # fmt: skip
    assert done.returncode == EXIT_SOURCE
    assert "2 of 2: shops 2024-01-06: failed" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_scheduled_run_after_an_outage_takes_the_missed_nights_oldest_first(
    prefect: str, here: Settings, shops: Definition, write_day: Write, writer: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datetime import UTC, datetime

    import flows.nights
    from flows.nightly import nightly

    for day in range(1, 6):
        write_day(f"2024-01-0{day}")
    assert nightly("shops", "2024-01-02", return_state=True).is_completed()
    path = here.deployments / "shops" / "pipeline.yaml"
    path.write_text(path.read_text() + 'catch_up: all\nschedule: "0 2 * * *"\n')
    # The tick of the night of the 3rd, written ahead by the schedule, starts when that of the 5th has passed too.
    monkeypatch.setattr("flows.nights.is_scheduled", lambda: True)
    monkeypatch.setattr("flows.nightly.scheduled_moment", lambda: datetime(2024, 1, 4, 1, tzinfo=UTC))
    monkeypatch.setattr("flows.nights.scheduled_moment", lambda: datetime(2024, 1, 4, 1, tzinfo=UTC))

    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return datetime(2024, 1, 6, 3, tzinfo=UTC)

    monkeypatch.setattr(flows.nights, "datetime", Clock)
    state = nightly("shops", return_state=True)
    assert (state.name, state.message) == ("Nothing to do", "missed; catch_up: all took 4 nights, this one among them or done")
    with writer.connect() as connection:
        lines = connection.execute(
            sa.text("SELECT interval_end::date::text, state, trigger FROM overnight.run ORDER BY id")
        ).all()
    assert [tuple(line) for line in lines] == [
        ("2024-01-02", "published", "command"),
        ("2024-01-01", "published", "catch-up"),
        ("2024-01-03", "published", "catch-up"),
        ("2024-01-04", "published", "catch-up"),
        ("2024-01-05", "published", "catch-up"),
    ]
    assert nightly("shops", return_state=True).message == "missed; catch_up: all took 0 nights, this one among them or done"


def test_a_backfill_of_what_is_missing_or_changed_takes_that_alone(
    prefect: str, here: Settings, shops: Definition, write_day: Write
) -> None:
    from flows.backfill import backfill
    from flows.outcome import outcome_of
    from tasks.planning import plan_range

    for day in (1, 2, 3):
        write_day(f"2024-01-0{day}")

    def taken(mode: str) -> list[str]:
        state = backfill("shops", "2024-01-01", "2024-01-04", mode, return_state=True)
        return [shops.pipeline.calendar.label(one.interval)[-2:] for one in outcome_of(state)]

    assert taken("missing") == ["01", "02", "03", "04"]
    assert taken("missing") == []
    write_day("2024-01-04")
    assert taken("failed") == ["04"]
    write_day("2024-01-02", change=lambda lines: lines[:-1])
    nights = list(shops.pipeline.calendar.between(shops.pipeline.calendar.first, shops.pipeline.calendar.named("2024-01-04")))
    assert [one.why for one in plan_range(shops, nights, here, mode="changed")] == ["source changed"]
    assert taken("changed") == ["02"]


def test_a_backfill_lets_the_scheduled_night_go_first(
    here: Settings, shops: Definition, writer: sa.Engine, caplog: pytest.LogCaptureFixture
) -> None:
    import threading
    from time import monotonic, sleep

    from flows.nights import give_way
    from store.runs import claim
    from tasks.night import whoami

    night = shops.pipeline.calendar.first
    with claim(writer, "shops", night, trigger="schedule", holder=whoami()) as run:

        def finish() -> None:
            from domain.words import RunState
            from store.runs import finish_run

            sleep(1)
            finish_run(writer, run.id, state=RunState.PUBLISHED, reason="")

        began = monotonic()
        threading.Thread(target=finish).start()
        give_way(here)
        assert monotonic() - began >= 1


def test_late_rows_are_taken_in_by_flow_runs_of_their_own_before_tonight(
    prefect: str, api: PrefectApi, here: Settings, shops: Definition, write_day: Write, writer: sa.Engine
) -> None:
    from flows.nightly import nightly
    from flows.outcome import outcome_of

    path = here.deployments / "shops" / "pipeline.yaml"
    path.write_text(path.read_text().replace('.csv"}', '.csv", look_back: 3 days}'))
    for day in (1, 2):
        write_day(f"2024-01-0{day}")
        nightly("shops", f"2024-01-0{day}", return_state=True)
    write_day("2024-01-01", rows=61)
    write_day("2024-01-03")
    report = outcome_of(nightly("shops", "2024-01-03", return_state=True))
    assert report.reason.endswith("; late rows: 2024-01-01 published again")
    assert [trigger for _, trigger, _ in nights_of(writer)] == ["command", "command", "late rows", "command"]


def test_a_backfill_side_by_side_is_cancelled_in_prefect_between_two_nights(
    prefect: str, api: PrefectApi, here: Settings, shops: Definition, write_day: Write, writer: sa.Engine
) -> None:
    from flows.backfill import backfill
    from flows.outcome import listening

    for day in range(1, 9):
        write_day(f"2024-01-0{day}")

    def cancel(report: NightReport, number: int, total: int) -> None:
        if number == 2:
            (run,) = (one for one in api.unfinished_runs() if one.name.startswith("shops "))
            api.cancel(run.id)

    with listening(cancel):
        state = backfill("shops", "2024-01-01", "2024-01-08", parallel=2, tell=True, return_state=True)
    assert (state.is_cancelled(), state.message) == (True, "cancelled after 2 nights: 2 published")
    assert {state for state, _, _ in nights_of(writer)} <= {"published", "failed"}
    assert 2 <= len(nights_of(writer)) < 8
    with writer.connect() as connection:
        asked = connection.scalars(sa.text("SELECT DISTINCT holder->>'tell' FROM overnight.run")).all()
    assert asked == ["true"], "who listens is woken, as was asked for"


def _has_begun(writer: sa.Engine) -> bool:
    with writer.connect() as connection:
        return bool(connection.scalar(sa.text("SELECT count(*) FROM overnight.stage_run")))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_night_that_is_stopped_closes_its_line_and_says_so_without_a_traceback(
    prefect: str, api: PrefectApi, here: Settings, shops: Definition, write_day: Write, writer: sa.Engine, number: signal.Signals
) -> None:
    write_day("2024-01-05", rows=300_000)
    command = [sys.executable, "-m", "flows", "nightly", "shops", "--interval", "2024-01-05", "--json"]
    environment = os.environ | {"OVERNIGHT_PREFECT_API_URL": prefect}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: _has_begun(writer))
    process.send_signal(number)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode not in (0, None)
    assert "Traceback" not in said, said
    ((state, _, flow_run),) = nights_of(writer)
    assert state == "failed"
    assert api.read_run(flow_run).is_final
