"""`maintain` through a real Prefect: what is old goes, and of Prefect's history only what is ours and over."""

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from deployments.catalogue import Definition
from infra.prefect_api import PrefectApi
from infra.settings import Settings
from store.engine import transaction
from tasks.maintain import sweep

WHAT = "finished runs in Prefect's history"


@pytest.fixture(autouse=True)
def _folders_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is a hundred days later, what other tests have under way looks old too."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture
def runs(prefect: str, api: PrefectApi) -> dict[str, str]:
    """Four runs by what they are: two that ended, one of another team's pipeline, one that goes on."""
    made = {}
    kinds = {
        "ours": ("nightly", "shops", "COMPLETED"), "failed": ("backfill", "shops", "FAILED"),
        "theirs": ("nightly", "planes", "COMPLETED"), "on its way": ("nightly", "shops", "RUNNING"),
    }  # fmt: skip
    for name, (flow, pipeline, state) in kinds.items():
        found = api._call("POST", "/flows/", {"name": flow})
        body = {"flow_id": found["id"], "name": name, "parameters": {"pipeline": pipeline}, "state": {"type": "PENDING"}}
        run = api._call("POST", "/flow_runs/", body)["id"]
        for step in ("RUNNING", state):
            api.set_state(run, step, message="")
        made[name] = run
    return made


def test_of_prefects_history_only_what_is_ours_and_over_is_trimmed(
    runs: dict[str, str], api: PrefectApi, shops: Definition, settings: Settings, prefect: str
) -> None:
    here = settings.model_copy(update={"prefect_api_url": prefect, "history_days": 90})
    assert WHAT not in {one.what for one in sweep(here, [], at=datetime.now(UTC), act=True)}
    later = datetime.now(UTC) + timedelta(days=100)
    (found,) = [one for one in sweep(here, [], at=later, act=False) if one.what == WHAT]
    assert {"ours", "failed"} <= set(found.found)
    assert not {"theirs", "on its way"} & set(found.found)
    sweep(here, [], at=later, act=True)
    left = {name for name, run in runs.items() if api._call("GET", f"/flow_runs/{run}") is not None}
    assert left == {"theirs", "on its way"}
    assert WHAT not in {one.what for one in sweep(here, [], at=later, act=True)}


def test_the_flow_says_in_one_sentence_what_went(here: Settings, prefect: str, shops: Definition, writer: sa.Engine) -> None:
    from flows.maintain import maintain

    assert maintain(return_state=True).message == "nothing is older than its limit"
    with transaction(writer) as connection:
        connection.execute(sa.text("CREATE TABLE overnight_shops.landed_4711 (x int)"))
    state = maintain(return_state=True)
    assert (state.name, state.message) == ("Completed", "went: 1 tables of no batch")
