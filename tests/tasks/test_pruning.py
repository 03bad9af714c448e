"""What readers see, and what it needs, is never pruned; what is pruned is remembered."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

sys.path.insert(0, str(Path(__file__).parents[1] / "web"))
from bookkeeping import Ledger

from deployments.catalogue import Definition, load_definition
from domain.errors import Kept, Pruned, UsageError
from infra.settings import Settings
from store.engine import parse_url, transaction
from store.pipelines import register
from store.pruning import prune_batch
from store.quality import record_quality
from tasks.maintain import keep_house, sweep
from tasks.pruning import pin, plan, prune, unpin
from tasks.rejects import list_rejects
from web.app import create_app

NOW = datetime.now(UTC)
WHAT_READERS_SEE = "SELECT interval_start, batch, count(*), sum(probability) FROM shops.published GROUP BY 1, 2 ORDER BY 1"


@pytest.fixture
def keeping(shops: Definition, settings: Settings, owner: sa.Engine) -> Definition:
    """`shops`, which keeps what nobody sees for ten days, and what was set aside for five."""
    path = settings.deployments / "shops" / "pipeline.yaml"
    path.write_text(path.read_text() + "keep: {batches: 10 days, rejected: 5 days}\n")
    definition = load_definition(settings.deployments, "shops")
    register(owner, definition.pipeline, expectations=list(definition.expectations))
    return definition


@pytest.fixture
def ledger(keeping: Definition, writer: sa.Engine) -> Ledger:
    return Ledger(keeping, writer)


@pytest.fixture
def age(database: str) -> Callable[[int], None]:
    """Moves all that happened so far some days into the past, which only a superuser without the guards can."""

    def move(days: int) -> None:
        engine = sa.create_engine(parse_url(database), poolclass=sa.NullPool)
        with engine.begin() as connection:
            connection.execute(sa.text("SET LOCAL session_replication_role = replica"))
            for table, columns in (
                ("batch", "created_at sealed_at"),
                ("publication", "at"),
                ("verdict", "at"),
                ("pruning", "at"),
            ):
                moved = ", ".join(f"{column} = {column} - interval '{days} days'" for column in columns.split())
                connection.execute(sa.text(f"UPDATE overnight.{table} SET {moved}"))

    return move


@pytest.fixture
def ask(owner: sa.Engine) -> Callable[..., list[Any]]:
    def query(statement: str, **values: Any) -> list[Any]:
        with transaction(owner) as connection:
            return [tuple(line) for line in connection.execute(sa.text(statement), values)]

    return query


@pytest.fixture
def replaced(ledger: Ledger, age: Callable[[int], None]) -> dict[str, int]:
    """Two nights to learn from, one with predictions that were replaced twenty days ago, and one that was held."""
    ledger.publish("2024-01-01")
    ledger.publish("2024-01-02")
    model = ledger.train("2024-01-03")
    old = ledger.publish("2024-01-03", model=model, salt="old")
    age(30)
    new = ledger.publish("2024-01-03", model=model, salt="new", shift=0.1)
    ledger.hold("2024-01-04")
    age(20)
    return {"old": old, "old input": old - 1, "new": new, "new input": new - 1, "held": new + 1}


def going(definition: Definition, settings: Settings, at: datetime = NOW) -> list[tuple[int, str]]:
    return [(one.batch, one.part) for one in plan(definition, settings, at=at).going]


def test_what_was_replaced_goes_and_readers_see_what_they_saw(
    keeping: Definition, settings: Settings, replaced: dict[str, int], ask: Callable[..., list[Any]]
) -> None:
    before = ask(WHAT_READERS_SEE)
    found = plan(keeping, settings, at=NOW)
    batches = {one.batch for one in found.going if one.part == "rows"}
    assert batches == {replaced["old"], replaced["old input"], replaced["held"]}
    assert found.bytes > 0
    deeds = list(prune(keeping, settings, found, who="ada"))
    assert [deed.stays for deed in deeds if deed.stays] == []
    assert sum(deed.freed for deed in deeds) > 0
    assert ask(WHAT_READERS_SEE) == before != []
    assert ask("SELECT DISTINCT who, why FROM overnight.pruning WHERE part = 'rows'") == [
        ("ada", "batches that readers do not see are kept for 10 days")
    ]
    assert ask("SELECT state, rows FROM overnight.batch WHERE id = :id", id=replaced["old"]) == [("dropped", 60)]
    assert going(keeping, settings) == []


def test_as_of_answers_for_what_is_kept_and_never_with_a_gap(
    keeping: Definition, settings: Settings, replaced: dict[str, int], ask: Callable[..., list[Any]], reader: sa.Engine
) -> None:
    then = NOW - timedelta(days=25)
    as_of = sa.text("SELECT DISTINCT batch FROM shops.as_of(:then)")
    with transaction(reader) as connection:
        assert connection.scalars(as_of, {"then": then}).all() == [replaced["old"]]
    list(prune(keeping, settings, plan(keeping, settings, at=NOW), who="ada"))
    with (
        pytest.raises(Pruned, match=f"batch {replaced['old']}, .*was pruned on .*, by ada: .* kept for 10 days"),
        transaction(reader) as connection,
    ):
        connection.scalars(as_of, {"then": then}).all()
    with transaction(reader) as connection:
        assert connection.scalars(as_of, {"then": NOW - timedelta(days=5)}).all() == [replaced["new"]]
        assert connection.execute(sa.text("SELECT batch FROM shops.pruned WHERE kind = 'prediction'")).scalar() == replaced["old"]


def test_the_web_answers_gone_with_a_sentence_on_the_page_in_the_api_and_for_files(
    keeping: Definition, settings: Settings, replaced: dict[str, int]
) -> None:
    then = (NOW - timedelta(days=25)).strftime("%Y-%m-%dT%H:%M")
    with TestClient(create_app(settings, now=lambda: NOW, live=False), raise_server_exceptions=False) as client:
        path = f"/p/shops/rows?night=2024-01-03&as_of={then}"
        first = client.get(f"/api/v1{path}")
        assert (first.status_code, first.json()["total"]) == (200, 60)
        list(prune(keeping, settings, plan(keeping, settings, at=NOW), who="ada"))
        again = client.get(f"/api/v1{path}", headers={"If-None-Match": first.headers["etag"]})
        assert again.status_code == 410
        assert f"batch {replaced['old']}" in again.json()["detail"].lower()
        assert "was pruned on" in again.json()["detail"]
        assert "by ada" in again.json()["detail"]
        page = client.get(path)
        assert (page.status_code, "was pruned on" in page.text) == (410, True)
        assert client.get(f"/p/shops/rows.csv?night=2024-01-03&as_of={then}").status_code == 410
        night = client.get("/api/v1/p/shops/2024-01-03").json()
        assert night["rejects_pruned"].startswith("2 rows set aside: was pruned on")
        assert client.get("/api/v1/p/shops/rows?night=2024-01-03").json()["total"] == 60


@pytest.mark.parametrize("which", ["old", "old input"])
def test_a_pin_keeps_a_batch_and_the_rows_it_was_made_from(
    keeping: Definition, settings: Settings, replaced: dict[str, int], which: str
) -> None:
    pin(settings, replaced["old"], who="ada", why="the audit")
    assert (replaced[which], "rows") not in going(keeping, settings)
    with pytest.raises(Kept, match="pinned by ada: the audit" if which == "old" else "which is kept, was predicted from it"):
        prune_one(settings, replaced[which])
    unpin(settings, replaced["old"], who="ada", why="it is over")
    assert (replaced[which], "rows") in going(keeping, settings)
    with pytest.raises(UsageError, match="is not pinned"):
        unpin(settings, replaced["old"], who="ada", why="again")


def prune_one(settings: Settings, batch: int, at: datetime = NOW) -> int | None:
    from tasks.context import writer_engine

    return prune_batch(writer_engine(settings), batch, "rows", at=at, who="mallory", why="because")


def test_the_database_refuses_by_itself(
    settings: Settings, replaced: dict[str, int], ledger: Ledger, age: Callable[[int], None], writer: sa.Engine
) -> None:
    refused = {
        "readers see it": replaced["new"],
        "batch 5 is kept: readers see it": replaced["new input"],
        "predictions that were made from it are still here": replaced["old input"],
        "the ledger knows no batch": 4711,
    }
    for why, batch in refused.items():
        with pytest.raises(Kept, match=why):
            prune_one(settings, batch)
    with pytest.raises(Kept, match="lies in the future"):
        prune_one(settings, replaced["old"], at=datetime.now(UTC) + timedelta(days=1))
    with pytest.raises(Kept, match="younger than the limit"):
        prune_one(settings, replaced["old"], at=NOW - timedelta(days=15))
    for statement in (f"DROP TABLE overnight_shops.predictions_{replaced['old']}", "DELETE FROM overnight.pruning",
                      f"UPDATE overnight.batch SET state = 'dropped' WHERE id = {replaced['old']}"):  # fmt: skip
        with pytest.raises(sa.exc.ProgrammingError, match=r"must be owner|permission denied"), writer.begin() as connection:
            connection.execute(sa.text(statement))


def test_a_transaction_that_began_when_readers_saw_a_batch_keeps_it(
    settings: Settings, replaced: dict[str, int], age: Callable[[int], None], database: str, reader: sa.Engine
) -> None:
    engine = sa.create_engine(parse_url(database), poolclass=sa.NullPool)
    with reader.connect() as slow:
        slow.execute(sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        slow.execute(sa.text("SELECT 1"))
        with engine.begin() as connection:  # as if the replacement had come a moment ago, and the limit were a moment too
            connection.execute(sa.text("SET LOCAL session_replication_role = replica"))
            connection.execute(sa.text("UPDATE overnight.publication SET at = now() WHERE previous = :b"), {"b": replaced["old"]})
            connection.execute(sa.text("CREATE OR REPLACE FUNCTION overnight.kept_because(b overnight.batch, part text, moment "
                                       "timestamptz) RETURNS text LANGUAGE sql AS 'SELECT NULL'"))  # fmt: skip
        with pytest.raises(Kept, match="a transaction is open that began when readers still saw it"):
            prune_one(settings, replaced["old"], at=datetime.now(UTC))
    assert prune_one(settings, replaced["old"], at=datetime.now(UTC))


def test_an_aliased_model_keeps_what_it_learned_from_unless_the_policy_says_otherwise(
    keeping: Definition, settings: Settings, ledger: Ledger, age: Callable[[int], None], owner: sa.Engine
) -> None:
    first = ledger.publish("2024-01-01")
    assert first == 1, "the ledger's models say that they learned from batch 1"
    ledger.train("2024-01-03")
    ledger.publish("2024-01-01", salt="mended")
    age(20)
    kept = {one.batch: one.kept for one in plan(keeping, settings, at=NOW).staying}
    assert kept[first] == "model version 1 learned from it"
    path = settings.deployments / "shops" / "pipeline.yaml"
    path.write_text(path.read_text().replace("rejected: 5 days}", "rejected: 5 days, training: none}"))
    definition = load_definition(settings.deployments, "shops")
    register(owner, definition.pipeline, expectations=list(definition.expectations))
    assert (first, "rows") in going(definition, settings)


def test_the_answers_that_published_predictions_were_judged_by_stay(
    keeping: Definition, settings: Settings, ledger: Ledger, age: Callable[[int], None], writer: sa.Engine
) -> None:
    model = ledger.train("2024-01-02", promote=False)
    predicted = ledger.publish("2024-01-03", model=model)
    answers = ledger.publish("2024-01-03", salt="with answers")
    night = ledger.night("2024-01-03")
    with transaction(writer) as connection:
        record_quality(
            connection, pipeline="shops", interval_start=night.start, batch=predicted, model=model, labels=answers, rows=60,
            figures={"roc_auc": (0.7, 0.5)}, run=1,
        )  # fmt: skip
    ledger.publish("2024-01-03", salt="one row more")
    age(20)
    kept = {one.batch: one.kept for one in plan(keeping, settings, at=NOW).staying}
    assert kept[answers] == f"it holds the answers by which batch {predicted} is judged"


def test_rejects_go_before_rows_and_the_command_says_so(
    keeping: Definition, settings: Settings, ledger: Ledger, age: Callable[[int], None]
) -> None:
    batch = ledger.publish("2024-01-01")
    age(6)
    assert going(keeping, settings) == [(batch, "rejected")]
    list(prune(keeping, settings, plan(keeping, settings, at=NOW), who="ada"))
    with pytest.raises(Pruned, match=f"what was set aside of batch {batch} was pruned on"):
        list_rejects(keeping, ledger.night("2024-01-01"), settings)


def test_without_a_limit_nothing_goes(
    shops: Definition, settings: Settings, writer: sa.Engine, age: Callable[[int], None]
) -> None:
    ledger = Ledger(shops, writer)
    ledger.publish("2024-01-01")
    ledger.publish("2024-01-01", salt="mended")
    age(4000)
    assert plan(shops, settings, at=NOW).old == []


def test_a_reader_in_the_middle_is_not_waited_for(
    keeping: Definition, settings: Settings, replaced: dict[str, int], reader: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.pruning.ATTEMPTS", 2)
    with reader.connect() as slow:
        slow.execute(sa.text("SELECT count(*) FROM shops.published"))
        deeds = list(prune(keeping, settings, plan(keeping, settings, at=NOW), who="ada"))
        assert {"somebody is reading" in deed.stays for deed in deeds if deed.old.kind == "prediction"} == {True}
    assert all(not deed.stays for deed in prune(keeping, settings, plan(keeping, settings, at=NOW), who="ada"))


def test_a_run_cannot_be_pointed_at_rows_that_went(
    settings: Settings, keeping: Definition, replaced: dict[str, int], ledger: Ledger, writer: sa.Engine
) -> None:
    from domain.errors import DatabaseUnavailable
    from store.runs import claim, finish_run, point_run

    list(prune(keeping, settings, plan(keeping, settings, at=NOW), who="ada"))
    with claim(writer, "shops", ledger.night("2024-01-04"), trigger="test", holder={}) as run:
        with pytest.raises(DatabaseUnavailable, match="was dropped meanwhile"), transaction(writer) as connection:
            point_run(connection, run.id, input_batch=replaced["held"])
        finish_run(writer, run.id, state="failed", reason="test")


def test_the_house_is_kept(
    keeping: Definition, settings: Settings, replaced: dict[str, int], writer: sa.Engine, ask: Callable[..., list[Any]]
) -> None:
    with transaction(writer) as connection:
        connection.execute(sa.text("CREATE TABLE overnight_shops.landed_9999 (x int)"))
    log = settings.home / "logs" / "web.log"
    log.parent.mkdir(parents=True)
    log.write_text("old")
    import os

    os.utime(log, (0, 0))
    assert {one.what for one in sweep(settings, ["shops"], at=NOW, act=False)} == {"tables of no batch", "old logs"}
    assert log.exists()
    said = keep_house(settings, at=NOW, who="maintain")
    assert "parts of batches of shops" in said
    assert "1 tables of no batch" in said
    assert not log.exists()
    assert ask("SELECT to_regclass('overnight_shops.landed_9999')") == [(None,)]
    assert keep_house(settings, at=NOW, who="maintain") == "nothing is older than its limit"


def test_a_shadow_goes_when_its_answers_can_no_longer_come_and_the_rows_it_was_made_from_after_it(
    keeping: Definition, settings: Settings, ledger: Ledger, age: Callable[[int], None], owner: sa.Engine
) -> None:
    model = ledger.train("2024-01-03", promote=False)
    landed = ledger.publish("2024-01-03")
    shadow = ledger.cast_shadow("2024-01-03", model=model)
    age(20)
    rewrite(keeping, settings, owner, "min_intervals: 2", "min_intervals: 2, window: 4000 days")
    assert {one.batch: one.kept for one in plan(keeping, settings, at=NOW).staying}[shadow] == "its answers may still come"
    rewrite(keeping, settings, owner, "window: 4000 days", "window: 60 days")
    assert (shadow, "rows") in going(keeping, settings)
    ledger.publish("2024-01-03", salt="one row more")
    age(20)
    found = plan(keeping, settings, at=NOW)
    assert [one.batch for one in found.going if one.part == "rows"] == [shadow, landed], "the shadow first"
    assert [deed.stays for deed in prune(keeping, settings, found, who="ada") if deed.stays] == []


def rewrite(definition: Definition, settings: Settings, owner: sa.Engine, old: str, new: str) -> None:
    path = settings.deployments / "shops" / "pipeline.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    register(owner, load_definition(settings.deployments, "shops").pipeline, expectations=list(definition.expectations))
