"""What a person and a script see of the commands: tables, JSON, sentences, exit codes."""

import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from cli.main import PANELS, app
from cli.nights import progress
from cli.show import print_table, saying_news
from infra.postgres import stop_server
from tests.cli.conftest import DAYS, Home

REPORT = {"run", "pipeline", "interval", "state", "batch", "model", "rows", "reason", "stages"}


def _lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_backfill_prints_one_object_a_night_and_the_first_nights_only_learn(
    tmp_path: Path, home: Home, write_day: Callable[..., Path]
) -> None:
    for day in DAYS:
        write_day(day)
    fresh = Home(tmp_path)
    fresh.settings.data_folder.symlink_to(home.settings.data_folder)
    said = fresh.say("backfill", "shops", "--from", DAYS[0], "--to", DAYS[-1], "--json")
    stop_server(fresh.settings.postgres_folder)
    nights = _lines(said.out)
    assert said.code == 0
    assert [set(night) for night in nights] == [REPORT] * 3
    assert [night["state"] for night in nights] == ["published"] * 3
    assert [night["rows"]["scored"] for night in nights] == [0, 0, 60]  # type: ignore[index]
    assert [night["model"] for night in nights] == [None, None, 1]
    assert nights[0]["interval"] == {"start": "2024-01-01T00:00:00+01:00", "end": "2024-01-02T00:00:00+01:00"}


def test_the_same_night_again_is_skipped_and_an_edit_gives_a_new_batch_beside_the_old(
    published: Home, write_day: Callable[..., Path]
) -> None:
    published.say("run", "shops", "--interval", DAYS[-1])
    before = published.say("run", "shops", "--interval", DAYS[-1], "--json").json
    assert before["state"] == "skipped"
    assert before["reason"].startswith("nothing to do")
    write_day(DAYS[-1], change=lambda lines: [*lines[:-1], lines[-1].replace("s059", "s888")])
    after = published.say("run", "shops", "--interval", DAYS[-1], "--json").json
    assert after["state"] == "published"
    assert after["batch"] > before["batch"]
    listed = _lines(published.say("batches", "shops", "--interval", DAYS[-1], "--json").out)
    seen = {line["batch"]: line["published"] for line in listed if line["kind"] == "prediction"}
    assert (seen[before["batch"]], seen[after["batch"]]) == (False, True)


def test_runs_tell_where_the_time_went(published: Home) -> None:
    run = _lines(published.say("runs", "shops", "--json").out)[-1]
    assert set(run["stages"]) == {"ingest", "validate", "train", "score", "publish", "observe"}  # type: ignore[call-overload]


def test_every_reading_command_has_a_table_and_json(published: Home) -> None:
    for words in (("status", "shops"), ("runs",), ("batches", "shops"), ("models", "shops")):
        assert "shops" in published.say(*words).out
        assert all(isinstance(line, dict) for line in _lines(published.say(*words, "--json").out))


def test_status_says_how_late_and_why(published: Home) -> None:
    standing = published.say("status", "shops", "--json").json
    assert (standing["newest_published"], standing["fresh"]) == (DAYS[-1], False)
    assert standing["late_since"].startswith("2024-01-05T07:00")
    assert standing["quality"]["metric"] == "roc_auc"


def test_the_database_is_found_stopped_and_started_again(published: Home) -> None:
    url = published.say("db", "url").out.strip()
    assert re.fullmatch(r"postgresql://overnight_reader@/overnight\?host=\S+&port=\d+", url)
    assert "stopped" in published.say("db", "stop").err
    assert "not running" in published.say("db", "stop").err
    assert published.say("status", "shops").code == 0
    assert "the schema is at" in published.say("db", "migrate").err


def test_doctor_finds_this_machine_sound(published: Home) -> None:
    said = published.say("doctor", "--json")
    findings = {finding["what"]: finding for finding in said.json}
    assert findings["database"]["ok"], findings["database"]
    assert findings["versions"]["ok"], findings["versions"]


def test_trigger_without_a_server_says_what_to_start(published: Home) -> None:
    said = published.say("trigger", "shops", "--interval", DAYS[-1])
    assert said.code == 2
    assert "overnight up" in said.err


def test_a_stage_of_an_unknown_run_is_refused_with_a_sentence(published: Home) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tasks", "score", "--run", "999999"], env=published.environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "the ledger knows no run 999999" in done.stderr


def test_the_release_is_said_without_a_command() -> None:
    assert CliRunner().invoke(app, ["--version"]).output == f"overnight {version('overnight')}\n"


def test_help_lists_every_command_by_what_it_is_for_and_each_has_an_example() -> None:
    listed = re.findall(r"^│ ([a-z][a-z-]*) ", CliRunner().invoke(app, ["--help"]).output, re.MULTILINE)
    assert listed == [name for names in PANELS.values() for name in names]
    for command in (name for name in listed if name not in ("token", "db", "image")):
        assert "Example: " in CliRunner().invoke(app, [command, "--help"]).output.replace("\n", " ")


def test_the_bar_of_a_backfill_tells_the_time_left_however_slow_its_nights_are(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, screen = [0.0], io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80, get_time=lambda: clock[0])
    monkeypatch.setattr("cli.nights.err", console)
    with progress("shops", 10) as advance:
        for night in ("2024-01-01", "2024-01-02", "2024-01-03"):
            clock[0] += 90.0
            advance(night)
    assert "3/10" in screen.getvalue()
    assert "0:10:30" in screen.getvalue(), "seven nights of a minute and a half"


@pytest.mark.parametrize("terminal", [True, False])
def test_a_table_of_many_columns_stays_whole_in_a_terminal_and_in_a_pipe(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    def printed(columns: int, sentence: str = "") -> list[str]:
        screen = io.StringIO()
        monkeypatch.setattr(
            "cli.show.out", Console(file=screen, force_terminal=terminal, width=80, no_color=True, highlight=False)
        )
        figures = [f"{one}2,345,678" for one in range(1, columns)]
        print_table("", [*(f"column{one}" for one in range(1, columns)), "why"], [[*figures, sentence]] * 2)
        lines = [re.sub(r"\x1b\[\d+m", "", line).rstrip() for line in screen.getvalue().splitlines()]
        assert "\n".join(lines).split().count(figures[-1]) == 2
        assert all(len(line) <= 80 for line in lines) or not terminal
        return lines

    assert printed(4, "it fits")[-1] == "12,345,678  22,345,678  32,345,678  it fits"
    assert printed(8)[-1] == " ".join(f"{one}2,345,678" for one in range(1, 8))
    last = printed(13, "a sentence, whole")[-1]
    assert last.endswith("why       a sentence, whole" if terminal else "122,345,678  a sentence, whole")
    assert printed(6, "a sentence of many words that are broken between")[-1].endswith("broken between")


def test_what_lasts_is_said_once_and_again_when_it_comes_back(capsys: pytest.CaptureFixture[str]) -> None:
    say_news, away = saying_news(), "Prefect does not answer"
    for sentences in ([away], [away, "run 5 is closed"], [], [away]):
        say_news(sentences)
    assert capsys.readouterr().err.splitlines() == [away, "run 5 is closed", away]
