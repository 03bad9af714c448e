"""A prediction that knew its future says so wherever a reader meets it: beside the row, and in the trust line of its night."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from pyarrow.parquet import read_schema

from deployments.catalogue import Definition
from domain.trust import grade_hindsight, tell_hindsight
from infra.settings import Settings
from store import listing
from store.engine import transaction
from store.migrate import migrate
from tasks.export import export
from tests.tasks.nightshift import Nightshift
from tests.tasks.test_out_of_fold import TABLE, member_rows
from web.access import EVERYBODY
from web.app import create_app
from web.mcp import Desk
from web.told import tell_pipelines

DAYS = tuple(f"2024-01-{day:02d}" for day in range(1, 5))
ALL = "every prediction of this night was made by a model that saw past it"


@pytest.fixture
def web(settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings, live=False)) as client:
        yield client


@pytest.mark.parametrize(
    ("marked", "rows", "grade", "words"),
    [(0, 60, "none", ""), (0, 0, "none", ""), (60, 60, "all", ALL),
     (12, 6000, "some", "12 of 6000 rows were predicted by a model that saw past this night")],
)  # fmt: skip
def test_the_words(marked: int, rows: int, grade: str, words: str) -> None:
    assert (grade_hindsight(marked, rows), tell_hindsight(marked, rows)) == (grade, words)


def test_a_night_in_hindsight_says_so_on_every_way_to_a_reader(
    settings: Settings, writer: sa.Engine, owner: sa.Engine, reader: sa.Engine, shops: Definition, web: TestClient, tmp_path: Path
) -> None:
    shift = Nightshift(settings, writer, owner)
    shift.take_all(*DAYS)
    assert "hindsight" not in web.get("/api/v1/p/shops/rows").headers["overnight-trust"]
    shift.take(DAYS[3], hindsight=True)
    answer = web.get("/api/v1/p/shops/rows?limit=1")
    assert answer.json()["rows"][0]["hindsight"] is True
    assert (answer.json()["trust"]["hindsight"], answer.json()["trust"]["hindsight_rows"]) == ("all", answer.json()["total"])
    assert answer.headers["overnight-trust"].endswith(f"; {ALL}")
    for path in ("/", "/p/shops", f"/p/shops/{DAYS[3]}", f"/p/shops/rows?night={DAYS[3]}"):
        assert f"<span>{ALL}</span>" in web.get(path).text, path
    assert web.get("/p/shops/rows.csv?columns=shop,prediction&trust=yes").text.split("\n")[0].strip().endswith(ALL)
    assert ALL in web.get("/p/shops/feed.atom").text
    assert ALL not in web.get(f"/p/shops/{DAYS[2]}").text
    told = Desk(web.app.state.edge.reader, lambda: datetime.now(UTC), EVERYBODY).ask(tell_pipelines).pipelines[0]
    assert told.trust_line.endswith(ALL), "and to a language model"
    done = export(settings, "shops", tmp_path / "night.parquet", night=DAYS[3], as_of=None, now=datetime.now(UTC))
    kept = {name.decode(): value.decode() for name, value in read_schema(done.path).metadata.items()}
    assert ALL in json.dumps(kept)
    with transaction(reader) as connection:
        (line,) = listing.list_pipelines(connection)
    assert line["newest_hindsight_rows"] == line["newest_rows"] > 0


def test_rows_that_were_marked_one_by_one_are_shown_and_counted(
    settings: Settings, writer: sa.Engine, owner: sa.Engine, web: TestClient, database: str
) -> None:
    shift = Nightshift(settings, writer, owner, name="members", make_rows=lambda day: member_rows())
    shift.define(TABLE.replace("joined: {type: date, null: true}", "joined: {type: date, null: true, time: true}"))
    shift.take("2024-01-01")
    marked = shift.query("SELECT count(*) AS n FROM members.published WHERE hindsight")[0].n
    words = f"{marked} of 400 rows were predicted by a model that saw past this night"
    assert 0 < marked < 400
    answer = web.get("/api/v1/p/members/rows?night=2024-01-01&limit=1000")
    assert sum(row["hindsight"] for row in answer.json()["rows"]) == marked
    assert (answer.json()["trust"]["hindsight"], answer.json()["trust"]["hindsight_rows"]) == ("some", marked)
    assert words in answer.headers["overnight-trust"]
    for path in ("/p/members/2024-01-01", "/p/members/rows?night=2024-01-01"):
        page = web.get(path).text
        assert f"<span>{words}</span>" in page
        assert ">hindsight<" in page
    # a ledger of before counts what it holds when it is migrated
    with transaction(owner) as connection:
        connection.execute(sa.text("SET ROLE overnight_owner"))
        connection.execute(sa.text("ALTER TABLE overnight.batch DISABLE TRIGGER USER"))
        connection.execute(sa.text("UPDATE overnight.batch SET hindsight_rows = 0"))
        connection.execute(sa.text("ALTER TABLE overnight.batch ENABLE TRIGGER USER"))
    migrate(database, revision="0013")
    migrate(database)
    assert shift.query("SELECT hindsight_rows FROM reading.published WHERE kind = 'prediction'")[0].hindsight_rows == marked
