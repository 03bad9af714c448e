"""Keeping as a person types it: what would go is shown first, what goes out is whole, and the sentence helps."""

import csv
import json
from pathlib import Path

import pytest

from tests.cli.conftest import DAYS, Home

KEEP = "keep: {batches: 400 days, rejected: 90 days}\n"


def test_prune_shows_its_plan_first_and_a_batch_can_be_pinned(published: Home) -> None:
    assert "shops keeps everything" in published.say("prune", "shops").err
    path = published.settings.deployments / "shops" / "pipeline.yaml"
    before = path.read_text()
    path.write_text(before + KEEP)
    try:
        said = published.say("prune", "--json")
        assert (said.code, json.loads(said.out.splitlines()[0])["batches"], said.json["done"]) == (0, {}, False)
        assert "nothing is older than its limit" in published.say("prune", "shops", "--yes").err
        pinned = published.say("pin", "1", "--why", "the audit", "--json")
        assert (pinned.code, pinned.json["what"], pinned.json["kind"]) == (0, "pinned", "input")
        assert "batch 1 (input of shops, 60 rows) is unpinned" in published.say("unpin", "1", "--why", "it is over").err
        assert "nothing is kept for less than a day" in _with(path, before + "keep: {batches: 0 days}\n", published)
    finally:
        path.write_text(before)


def _with(path: Path, text: str, home: Home) -> str:
    path.write_text(text)
    said = home.say("prune", "shops")
    assert said.code == 2
    return said.err


def test_what_readers_see_goes_into_a_file_with_its_trust_line(published: Home, tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    said = published.say("export", "shops", DAYS[-1], "--to", str(target), "--trust", "--json")
    rows = said.json["rows"]
    assert (said.code, rows > 0, said.json["trust"]["pipeline"]) == (0, True, "shops")
    first, *rest = target.read_text().splitlines()
    assert first.startswith(f"# shops {DAYS[-1]}; batch ")
    assert len(list(csv.DictReader(rest))) == rows
    again = published.say("export", "shops", "--to", str(target))
    assert (again.code, "is there already" in again.err) == (2, True)
    assert published.say("export", "shops", "--to", str(tmp_path / "out.parquet")).code == 0
    unseen = published.say("export", "shops", DAYS[0], "--to", str(tmp_path / "none.csv"))
    assert (unseen.code, "readers see no predictions of 2024-01-01" in unseen.err) == (2, True)


@pytest.mark.slow  # nine processes; the same without them is in tests/tasks
def test_a_batch_is_reproduced_and_a_backup_restored_by_command(published: Home, tmp_path: Path) -> None:
    newest = max(number for kind, _, number in published.publications() if kind == "prediction")  # type: ignore[type-var]
    said = published.say("reproduce", str(newest), "--json")
    assert (said.code, said.json["reproduced"], said.json["differences"]) == (0, True, [])
    assert published.say("reproduce", "999999").code == 2
    file, before = str(tmp_path / "house.dump"), published.publications()
    made = published.say("db", "backup", file, "--verify")
    assert (made.code, "content hashes agree" in made.err) == (0, True)
    refused = published.say("db", "restore", file, "--yes")
    assert (refused.code, "holds pipelines already" in refused.err) == (4, True)
    assert "nothing was changed" in published.say("db", "restore", file, "--replace").err
    restored = published.say("db", "restore", file, "--replace", "--yes", "--json")
    assert (restored.code, restored.json["verified"]) == (0, True)
    assert published.publications() == before
    assert published.say("run", "shops", "--interval", DAYS[-1]).code == 0


def test_a_gap_is_told_until_it_is_waived(published: Home) -> None:
    told = published.say("waive", "shops", "2024-01-10", "--to", "2024-01-11", "--why", "closed", "--json")
    assert (told.code, told.json["nights"]) == (0, ["2024-01-10", "2024-01-11"])
    assert published.say("status", "shops", "--json").json["gaps"] == []
    back = published.say("waive", "shops", "2024-01-10", "--to", "2024-01-11", "--why", "open after all", "--undo")
    assert "missing again" in back.err
    filled = published.say("waive", "shops", DAYS[0], "--why", "no")
    assert (filled.code, "every night is published" in filled.err) == (2, True)


def test_a_hold_on_what_readers_see_stands_in_the_status_until_it_is_released(published: Home) -> None:
    held = published.say("hold", "shops", DAYS[-1], "--why", "prices look wrong")
    try:
        assert (held.code, f"overnight release shops {DAYS[-1]} --why" in held.err) == (0, True)
        told = published.say("status", "shops").out
        assert "held since" in told
        assert "prices look wrong; readers go on seeing it" in " ".join(told.split())
    finally:
        published.say("release", "shops", DAYS[-1], "--why", "they are right")
    assert published.say("status", "shops", "--json").json["held_since"] is None
