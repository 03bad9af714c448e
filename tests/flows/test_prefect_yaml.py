"""`prefect.yaml` says what the pipelines' folders say."""

from pathlib import Path

import pytest
import yaml

from deployments.catalogue import load_definition
from deployments.prefect_yaml import render_folder, render_prefect_yaml
from infra.prefect_api import POOL

ROOT = Path(__file__).parents[2]


def test_the_committed_file_is_what_the_folders_render() -> None:
    assert (ROOT / "prefect.yaml").read_text() == render_folder(ROOT / "deployments"), "run: python -m deployments.prefect_yaml"


def test_each_pipeline_is_one_deployment_with_its_cron_in_its_own_zone() -> None:
    departures, flights, _ = yaml.safe_load(render_folder(ROOT / "deployments"))["deployments"]
    assert (departures["name"], flights["name"]) == ("departures", "flights")
    assert flights["entrypoint"] == "flows/nightly.py:nightly"
    (schedule,) = flights["schedules"]
    assert (schedule["cron"], schedule["timezone"]) == ("0 2 * * *", "America/New_York")
    assert flights["concurrency_limit"]["limit"] == 1
    assert flights["work_pool"]["name"] == POOL
    assert flights["work_pool"]["job_variables"]["stream_output"] is False


def test_a_pipeline_without_a_schedule_is_deployed_for_triggers_alone() -> None:
    flights = load_definition(ROOT / "deployments", "flights").pipeline
    deployment, _ = yaml.safe_load(render_prefect_yaml([flights.model_copy(update={"schedule": None})]))["deployments"]
    assert deployment["schedules"] == []


def test_the_house_is_kept_every_day_whatever_pipelines_there_are() -> None:
    (maintain,) = yaml.safe_load(render_prefect_yaml([]))["deployments"]
    assert (maintain["entrypoint"], maintain["schedules"][0]["cron"]) == ("flows/maintain.py:maintain", "30 12 * * *")
    assert maintain["work_pool"]["job_variables"]["stream_output"] is False


@pytest.mark.parametrize("word", ["/root", "/home", "/tmp", "127.0.0.1"])
def test_no_machine_is_named(word: str) -> None:
    assert word not in (ROOT / "prefect.yaml").read_text()
