"""The second pipeline on the shelf: rows by SQL from another database, a number predicted, through every stage to the readers."""

import csv
import io
import shutil
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from deployments.catalogue import load_definition
from domain.errors import SourceError
from domain.report import NightReport
from domain.words import RunState
from infra.operations import fill_operations
from infra.settings import Settings
from store.pipelines import register
from tasks.ingest.place import on_server
from tasks.night import take_night
from web.app import create_app

NIGHTS = ("2013-01-15", "2013-01-16", "2013-01-17", "2013-01-18")


@pytest.fixture
def taken(settings: Settings, owner: sa.Engine, database: str) -> dict[str, NightReport]:
    fill_operations(database)
    shutil.copytree(Path(__file__).parents[1] / "deployments" / "departures", settings.deployments / "departures")
    definition = load_definition(settings.deployments, "departures")
    register(owner, definition.pipeline, expectations=list(definition.expectations))
    calendar = definition.pipeline.calendar
    return {day: take_night(definition, calendar.named(day), settings, trigger="test") for day in NIGHTS}


def test_a_number_is_predicted_from_a_query_and_read_on_page_api_and_export(
    taken: dict[str, NightReport], settings: Settings, owner: sa.Engine, database: str
) -> None:
    assert {report.state for report in taken.values()} == {RunState.PUBLISHED}
    last = taken[NIGHTS[-1]]
    assert last.rows_scored == last.rows_landed >= 50
    with owner.connect() as connection:
        quality = connection.execute(sa.text("SELECT metric, value, dummy FROM overnight.quality")).all()
    errors = {line.metric: (line.value, line.dummy) for line in quality}
    assert errors["mae"][0] < 0.7 * errors["mae"][1], "the timetable tells more than the average"
    now = datetime(2013, 1, 19, 12, tzinfo=UTC)
    with TestClient(create_app(settings, now=lambda: now, live=False)) as client:
        page = client.get("/p/departures/2013-01-18")
        assert page.status_code == 200
        assert f"Overnight {version('overnight')}, build" in page.text
        assert "How many flights will leave each airport in each hour?" in client.get("/").text
        row = client.get("/api/v1/p/departures/key/JFK,8").json()
        assert row["nights"][0]["values"]["prediction"] > 10
        rows = list(csv.DictReader(io.StringIO(client.get("/p/departures/2013-01-18.csv").text)))
    assert len(rows) == last.rows_scored
    assert all(float(line["prediction"]) >= 0 and "probability" not in line for line in rows)
    assert fill_operations(database) == 0, "the second time there is nothing to fill"


def test_a_database_beside_the_ledger_is_reached_as_the_stages_reach_the_ledger() -> None:
    server = sa.make_url("postgresql+psycopg2://overnight_ingest:secret@db:5433/overnight")
    url = sa.make_url(on_server("{postgres}/airline", server=server))
    assert (url.username, url.password, url.host, url.port, url.database) == ("overnight_ingest", "secret", "db", 5433, "airline")
    admin = sa.make_url(on_server("{postgres}/airline", server=sa.make_url("postgresql://me@db/overnight")))
    assert admin.query["options"] == "-c role=overnight_writer"
    assert on_server("sqlite:///x.db", server=None) == "sqlite:///x.db"
    with pytest.raises(SourceError, match="there is none here"):
        on_server("{postgres}/airline", server=None)
