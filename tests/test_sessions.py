"""The recorded sessions of the docs: real commands, at most 80 columns, and still what the commands say."""

import html
import re
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from cli.main import app

PAGE = Path("docs/sessions.md").read_text(encoding="utf-8")
BLOCKS = [html.unescape(re.sub(r"<[^>]+>", "", block)) for block in re.findall(r"<pre[^>]*>(.*?)</pre>", PAGE, re.DOTALL)]
LINES = [line for block in BLOCKS for line in block.splitlines()]
TYPED = [line.removeprefix("$ overnight ").split() for line in LINES if line.startswith("$ ")]


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.syspath_prepend("docs")
    return runpy.run_path("docs/record.py", run_name="record")


def test_what_was_typed_exists() -> None:
    commands: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]
    assert {"demo", "new", "run", "plan", "status", "rejects"} <= {words[0] for words in TYPED} <= commands.keys()
    for words in TYPED:
        known = {name for option in commands[words[0]].params for name in option.opts}
        assert {word for word in words if word.startswith("--")} <= known, words


def test_no_line_is_wider_than_a_terminal() -> None:
    assert [line for line in LINES if len(line) > 80] == []


def test_nothing_of_the_machine_and_no_traceback_was_recorded() -> None:
    assert [line for line in LINES if re.search(r"\x1b|Traceback|/tmp/|/root/|site-packages", line)] == []


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
def test_a_recording_is_what_the_command_says(recorder: dict[str, Any], tmp_path: Path) -> None:
    recorder["prepare"](tmp_path)
    (command,) = [
        command for _, _, commands in recorder["SESSIONS"] for command in commands if command.startswith("overnight new")
    ]
    said = html.unescape(re.sub(r"<[^>]+>", "", recorder["record"](command, tmp_path)))
    (recorded,) = [block.partition("\n")[2] for block in BLOCKS if block.startswith(f"$ {command}\n")]
    days = re.compile(r"\d{4}-\d{2}-\d{2}")
    assert days.sub("day", said) == days.sub("day", recorded)
