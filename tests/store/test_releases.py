"""A database as an earlier release left it: readers see the same numbers after the upgrade, nights go on, and the way back loses
nothing without saying so. `releases/make.py` wrote the files, with each release's own code."""

import gzip
import uuid
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory
from fastapi.testclient import TestClient

from deployments.catalogue import load_definition
from domain.errors import Kept
from domain.words import RunState
from infra.postgres import Postmaster, embedded_url
from infra.settings import Settings
from store.engine import create_engine
from store.migrate import alembic_config, current_revision, migrate, newest_revision
from store.pipelines import register
from tasks.night import take_night
from tests.store.releases.make import DAYS, write_tables
from web.app import create_app

RELEASES = sorted(Path(__file__).with_name("releases").glob("*.sql.gz"))
# What no way forward or back may change, by its own words: lines of the ledger, and where readers' pointers stand.
_LEDGER = ("run", "batch", "model", "verdict", "publication", "alias_move", "quality")
_SEEN = """
SELECT shop, prediction, probability, batch, model_version, published_at FROM shops.published ORDER BY published_at, batch, shop
"""
_FUNCTIONS = sa.text(
    "SELECT pg_get_functiondef(p.oid) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace "
    "WHERE n.nspname IN ('overnight', 'reading') AND p.prokind = 'f' ORDER BY 1"
)


@pytest.fixture(params=RELEASES, ids=lambda path: path.name[:4])
def released(request: pytest.FixtureRequest, server: Postmaster, tmp_path: Path) -> Iterator[tuple[str, Settings]]:
    """(the release's revision, settings of a database that it filled)."""
    name, path = f"test_{uuid.uuid4().hex[:12]}", request.param
    _run(server, "postgres", f"CREATE DATABASE {name} TEMPLATE template0", f"GRANT CREATE ON DATABASE {name} TO overnight_owner",
         f"GRANT TEMPORARY ON DATABASE {name} TO overnight_writer, overnight_validate")  # fmt: skip
    _run(server, name, "SET check_function_bodies = false;\n" + gzip.decompress(path.read_bytes()).decode())
    urls = {role: embedded_url(server, user=f"overnight_{role}", database=name) for role in ("writer", "reader")}
    settings = Settings(
        home=tmp_path / "home", deployments=tmp_path / "deployments", data=tmp_path / "data",
        database_url=embedded_url(server, database=name), writer_url=urls["writer"], reader_url=urls["reader"],
    )  # fmt: skip
    write_tables(settings)
    yield path.name[:4], settings
    _run(server, "postgres", f"DROP DATABASE {name} WITH (FORCE)")


def _run(server: Postmaster, database: str, *statements: str) -> None:
    connection = psycopg2.connect(embedded_url(server, database=database))
    connection.autocommit = True
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
    connection.close()


def ledger(settings: Settings) -> dict[str, Any]:
    """What the ledger says, and what readers see by SQL."""
    engine = sa.create_engine(str(settings.database_url))
    with engine.connect() as connection:
        lines: dict[str, Any] = {
            table: connection.scalars(sa.text(f"SELECT id FROM overnight.{table} ORDER BY id")).all() for table in _LEDGER
        }
        if connection.scalar(sa.text("SELECT to_regclass('shops.published')")):
            lines["seen"] = [tuple(row) for row in connection.execute(sa.text(_SEEN))]
    engine.dispose()
    return lines


def registered(settings: Settings) -> Any:
    definition, engine = load_definition(settings.deployments, "shops"), create_engine(str(settings.database_url), role="owner")
    register(engine, definition.pipeline, expectations=list(definition.expectations))
    engine.dispose()
    return definition


@pytest.mark.slow  # four databases are filled, moved up, read by the web, and moved back: 20 s
def test_readers_see_the_same_after_an_upgrade_and_nights_go_on(released: tuple[str, Settings]) -> None:
    revision, settings = released
    before = ledger(settings)
    assert len(before["seen"]) == 38, "nineteen rows of two nights: two have nothing to learn from"
    assert migrate(str(settings.database_url)) == (revision, newest_revision())
    assert ledger(settings) == before, "the views that the release left still say the same"
    definition = registered(settings)
    assert ledger(settings) == before
    batches = dict(zip((str(day) for day in DAYS[2:]), [row[3] for row in before["seen"]][::19], strict=True))
    with TestClient(create_app(settings, live=False)) as client:
        for day, batch in batches.items():
            trust = client.get(f"/api/v1/p/shops/{day}").json()["trust"]
            seen = [row for row in before["seen"] if row[3] == batch]
            assert (trust["interval"]["end"][:10], trust["batch"], trust["verdict"]) == (day, batch, "passed with rejects")
            assert (trust["model_version"], trust["hindsight_rows"]) == (seen[0][4], 0)
            rows = {
                row["shop"]: row["prediction"] for row in client.get(f"/api/v1/p/shops/rows?night={day}&limit=50").json()["rows"]
            }
            assert rows == {row[0]: row[1] for row in seen}
            assert client.get(f"/p/shops/{day}").status_code == 200
        assert client.get("/p/shops/models/1").status_code == 200
    (settings.data_folder / "shops" / "2024-01-05.csv").write_text(
        (settings.data_folder / "shops" / "2024-01-04.csv").read_text()
    )
    night = definition.pipeline.calendar.named("2024-01-05")
    assert take_night(definition, night, settings, trigger="test").state is RunState.PUBLISHED
    after = ledger(settings)
    assert after["seen"][: len(before["seen"])] == before["seen"]
    with sa.create_engine(str(settings.database_url)).connect() as connection:
        last = connection.scalar(sa.text("SELECT holder->>'overnight' FROM overnight.run ORDER BY id DESC LIMIT 1"))
    assert last == version("overnight"), "the batch leads to the release that made it"


@pytest.mark.slow  # as above
def test_the_way_back_loses_nothing_or_is_refused(released: tuple[str, Settings]) -> None:
    revision, settings = released
    before, url = ledger(settings), str(settings.database_url)
    migrate(url)
    assert migrate(url, revision=revision) == (newest_revision(), revision)
    assert {table: lines for table, lines in ledger(settings).items() if table != "seen"} == {
        table: lines for table, lines in before.items() if table != "seen"
    }
    migrate(url)
    registered(settings)
    assert ledger(settings) == before
    with pytest.raises(
        Kept, match=r"going back to schema base would lose what lines of the ledger say \(.*6 of publication"
    ) as refused:
        migrate(url, revision="base")
    assert "overnight db restore" in refused.value.hint
    with sa.create_engine(url).connect() as connection:
        assert current_revision(connection) == newest_revision()
    assert ledger(settings) == before


@pytest.mark.slow  # fourteen times back and forth: 10 s
def test_every_revision_can_be_gone_back_to_and_left_again(database: str) -> None:
    """With nothing in it. The functions that steps edit are edited once."""
    revisions = [script.revision for script in ScriptDirectory.from_config(alembic_config()).walk_revisions()]
    with sa.create_engine(database).connect() as connection:
        first = connection.scalars(_FUNCTIONS).all()
    for revision in revisions[1:]:
        assert migrate(database, revision=revision) == (newest_revision(), revision)
        assert migrate(database) == (revision, newest_revision())
        with sa.create_engine(database).connect() as connection:
            assert connection.scalars(_FUNCTIONS).all() == first, f"from {revision} on, a function is another one"


def test_each_file_is_of_a_revision_that_is_known() -> None:
    known = {script.revision for script in ScriptDirectory.from_config(alembic_config()).walk_revisions()}
    assert {path.name[:4] for path in RELEASES} <= known
    assert len(RELEASES) >= 4
