"""`overnight plan` shows a backfill as data; `overnight apply` does exactly that, or refuses and names what changed."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from deployments.catalogue import Definition
from domain.errors import EXIT_DONE, EXIT_REFUSED, EXIT_USAGE
from infra.settings import Settings

Overnight = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def overnight(settings: Settings, shops: Definition) -> Overnight:
    environment = os.environ | {
        f"OVERNIGHT_{name.upper()}": str(value)
        for name in Settings.model_fields
        if (value := getattr(settings, name)) is not None
    }

    def run(*command: str) -> "subprocess.CompletedProcess[str]":
        line = [sys.executable, "-c", "from cli.main import main; main()", *command]
        return subprocess.run(line, env=environment, capture_output=True, text=True, check=False, timeout=300)

    return run


def test_a_plan_is_shown_saved_and_applied_as_it_was_shown(
    overnight: Overnight, write_day: Callable[..., Path], settings: Settings
) -> None:
    for day in (1, 2, 3):
        write_day(f"2024-01-0{day}")
    asked = ("shops", "--from", "2024-01-01", "--to", "2024-01-03")
    assert overnight("run", "shops", "--interval", "2024-01-02").returncode == EXIT_DONE
    planned = overnight("plan", *asked, "--json")
    assert planned.returncode == EXIT_DONE, planned.stderr
    plan = json.loads(planned.stdout)
    assert plan["nights"] == {"2024-01-01": "missing: never run", "2024-01-03": "missing: never run"}
    assert plan["rows"] == 120
    assert {night: cost["rows"] for night, cost in plan["costs"].items()} == {"2024-01-01": 60, "2024-01-03": 60}
    assert plan["seconds"] == pytest.approx(sum(cost["seconds"] for cost in plan["costs"].values()), abs=0.1)
    (saved,) = (settings.home / "plans").iterdir()
    applied = overnight("apply", str(saved), "--json")
    assert applied.returncode == EXIT_DONE, applied.stderr
    taken = [json.loads(line) for line in applied.stdout.splitlines()]
    assert [(one["interval"]["start"][:10], one["state"]) for one in taken] == [
        ("2024-01-01", "published"), ("2024-01-03", "published")
    ]  # fmt: skip
    assert "nothing to do" in overnight("plan", *asked).stderr
    write_day("2024-01-04")
    taken = overnight("backfill", *asked[:-1], "2024-01-04", "--mode", "missing", "--json")
    assert [json.loads(line)["interval"]["start"][:10] for line in taken.stdout.splitlines()] == ["2024-01-04"]
    assert "nothing to do" in overnight("backfill", *asked, "--mode", "missing").stderr


def test_a_plan_that_the_world_has_overtaken_is_refused_with_what_changed(
    overnight: Overnight, write_day: Callable[..., Path], settings: Settings
) -> None:
    for day in (1, 2):
        write_day(f"2024-01-0{day}")
    overnight("plan", "shops", "--from", "2024-01-01", "--to", "2024-01-02")
    (saved,) = (settings.home / "plans").iterdir()
    overnight("run", "shops", "--interval", "2024-01-01")
    refused = overnight("apply", str(saved))
    assert refused.returncode == EXIT_REFUSED
    assert "2024-01-01 was to be taken (missing: never run) and has no reason left" in refused.stderr
    assert "overnight plan shops --from 2024-01-01 --to 2024-01-02 --mode missing" in refused.stderr
    suite = settings.deployments / "shops" / "expectations.yaml"
    suite.write_text("- {expect: column_values_to_not_be_null, column: region}\n")
    assert "the suite changed" in overnight("apply", str(saved)).stderr


def test_what_is_no_plan_is_a_sentence(overnight: Overnight, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text("{}")
    refused = overnight("apply", str(tmp_path / "plan.json"))
    assert refused.returncode == EXIT_USAGE
    assert "no plan can be read" in refused.stderr
    assert overnight("plan", "shops", "--from", "2024-01-01", "--to", "2024-01-02", "--mode", "some").returncode == EXIT_USAGE
    early = overnight("backfill", "shops", "--from", "2024-01-01", "--to", "2124-01-01")
    assert (early.returncode, "is not over yet" in early.stderr) == (EXIT_USAGE, True)
