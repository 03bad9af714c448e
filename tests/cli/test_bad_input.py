"""Bad input: a sentence, an exit code, and nothing lost."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from deployments.catalogue import load_definition
from domain.words import RunState
from infra.postgres import database_url, find_server, stop_server
from store.engine import create_engine, transaction
from store.runs import claim, finish_run
from tasks.night import whoami
from tests.cli.conftest import Home
from tests.patience import PATIENCE, wait_for

Change = Callable[[list[str]], list[str]]
NIGHT = "2024-01-03"


def _spoil(share: float) -> Change:
    """Makes the stock of that share of the rows unreadable."""

    def change(lines: list[str]) -> list[str]:
        bad = round(share * (len(lines) - 1))
        spoilt = [",".join([*line.split(",")[:3], "many", *line.split(",")[4:]]) for line in lines[1 : bad + 1]]
        return [lines[0], *spoilt, *lines[bad + 1 :]]

    return change


CASES: list[tuple[str, Change | None, str, int, str]] = [
    ("no file", None, "failed", 5, "2024-01-03.csv"),
    ("an empty file", lambda _: [], "failed", 5, "empty"),
    ("a header and nothing else", lambda lines: lines[:1], "failed", 5, "no row under it"),
    ("a column is missing", lambda lines: [line.rpartition(",")[0] for line in lines], "failed", 5, "left_over"),
    ("a column is renamed", lambda lines: [lines[0].replace("stock", "stocks"), *lines[1:]], "failed", 5, "stocks"),
    ("twelve percent of the cells are unreadable", _spoil(0.12), "held", 3, "limit 10%"),
    ("every row is bad", _spoil(1.0), "held", 3, "stock"),
]


def test_one_broken_pipeline_is_named_by_those_who_look_at_all_and_stops_none(published: Home) -> None:
    broken = published.settings.deployments / "broken" / "pipeline.yaml"
    broken.parent.mkdir()
    broken.write_text("name: broken\ntitel: x\n")
    try:
        status, doctor, prune = published.say("status", "--json"), published.say("doctor", "--json"), published.say("prune")
    finally:
        shutil.rmtree(broken.parent)
    assert (status.code, status.json["pipeline"], status.json["fault"]) == (0, "shops", None)
    (found,) = (one for one in json.loads(doctor.out) if one["what"] == "pipelines")
    assert (found["ok"], found["fix"]) == (False, "overnight check broken")
    for said in (status.err, found["found"], prune.err):
        assert "unknown key 'titel'; did you mean 'title'?" in said
    assert prune.code == 2
    assert "shops keeps everything" in prune.err


@pytest.mark.parametrize(("change", "state", "code", "word"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_bad_night_ends_in_a_sentence_and_readers_keep_the_last_good_one(
    published: Home, write_day: Callable[..., Path], change: Change | None, state: str, code: int, word: str
) -> None:
    before = published.publications()
    path = write_day(NIGHT, change=change)
    if change is None:
        path.unlink()
    elif change([""]) == []:
        path.write_text("")
    said = published.say("run", "shops", "--interval", NIGHT, "--json")
    assert (said.json["state"], said.code) == (state, code)
    assert word in said.json["reason"]
    rows = said.json["rows"]
    assert rows["read"] == rows["landed"] + rows["rejected"]
    assert published.publications() == before


def test_five_percent_unreadable_cells_are_set_aside_and_the_rest_flows(published: Home, write_day: Callable[..., Path]) -> None:
    write_day(NIGHT, change=_spoil(0.05))
    said = published.say("run", "shops", "--interval", NIGHT, "--json")
    assert (said.json["state"], said.code) == ("published", 0)
    assert said.json["rows"] == {"read": 60, "landed": 57, "rejected": 3, "scored": 57}


def test_a_wrong_key_names_the_nearest_known_one(home: Home) -> None:
    path = home.settings.deployments / "shops" / "pipeline.yaml"
    good = path.read_text()
    path.write_text(good.replace("title:", "titel:"))
    said = home.say("run", "shops", "--interval", NIGHT)
    path.write_text(good)
    assert said.code == 2
    assert "pipeline.yaml:3: unknown key 'titel'; did you mean 'title'?" in said.err.replace("\n", " ")


@pytest.mark.parametrize("words", [("run", "shop"), ("run", "shops", "--interval", "yesterday"), ("runn",), ("batches", "x")])
def test_wrong_usage_is_exit_code_2(published: Home, words: tuple[str, ...]) -> None:
    said = published.say(*words)
    assert said.code == 2
    assert said.err


def test_a_run_of_a_night_that_another_run_has_is_told_who_holds_it(published: Home) -> None:
    night = load_definition(published.settings.deployments, "shops").pipeline.calendar.named(NIGHT)
    engine = create_engine(database_url(published.settings, role="writer"), role="writer")
    with claim(engine, "shops", night, trigger="test", holder=whoami()) as first:
        said = published.say("run", "shops", "--interval", NIGHT)
        finish_run(engine, first.id, state=RunState.FAILED, reason="only to be in the way")
    engine.dispose()
    assert said.code == 4
    assert f"run {first.id} holds this night since" in said.err
    assert f"process {os.getpid()} on" in said.err


def test_postgres_stopped_in_mid_run_is_said_and_the_next_run_finishes(published: Home, write_day: Callable[..., Path]) -> None:
    write_day(NIGHT, rows=62)
    run = subprocess.Popen(
        published.command("run", "shops", "--interval", NIGHT), env=published.environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    _wait_for_a_running_stage(published)
    assert stop_server(published.settings.postgres_folder)
    out, err = run.communicate(timeout=PATIENCE)
    assert run.returncode == 1, out + err
    assert "Traceback" not in err
    assert "Postgres does not answer" in out.replace("\n", " ") + err
    said = published.say("run", "shops", "--interval", NIGHT, "--json")
    assert (said.json["state"], said.json["rows"]["scored"]) == ("published", 62)


def _wait_for_a_running_stage(home: Home) -> None:
    engine = create_engine(database_url(home.settings, role="reader"), role="reader")
    running = sa.text("SELECT count(*) FROM reading.stage_run WHERE state = 'running' AND stage <> 'ingest'")

    def is_seen() -> bool:
        with transaction(engine) as connection:
            return bool(connection.scalar(running))

    wait_for(is_seen, every=0.02)
    engine.dispose()


def test_a_database_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.settings.home.mkdir()
    home.settings.postgres_folder.write_text("a file where the folder should be")
    said = home.say("status")
    assert said.code == 1
    assert "the embedded Postgres does not start" in said.err.replace("\n", " ")
    assert find_server(home.settings.postgres_folder) is None
