"""Law 1: a sealed batch never changes; the database sees to it, whoever asks."""

import pytest
import sqlalchemy as sa

from domain.errors import StageFailed
from store.batches import count_batch, load_batch
from store.engine import transaction
from tests.laws.conftest import House

CHANGES = [
    "INSERT INTO {table} (shop) VALUES ('x')",
    "UPDATE {table} SET stock = 0",
    "DELETE FROM {table}",
    "TRUNCATE {table}",
    "DROP TABLE {table}",
    "ALTER TABLE {table} ADD COLUMN x int",
    "ALTER TABLE {schema}.landed DETACH PARTITION {table}",
    "INSERT INTO {schema}.landed (batch_id, shop) VALUES ({id}, 'x')",
    "UPDATE overnight.batch SET content_hash = 'x' WHERE id = {id}",
    "UPDATE overnight.batch SET state = 'loaded' WHERE id = {id}",
    "DELETE FROM overnight.batch WHERE id = {id}",
]


@pytest.mark.parametrize("change", CHANGES)
def test_the_writer_cannot_change_a_sealed_batch(house: House, change: str) -> None:
    with house.run("2024-01-05") as run:
        batch = house.load(run, 3)
        house.seal(run, batch)
    names = {"table": f"{batch.schema}.{batch.table}", "schema": batch.schema, "id": batch.id}
    with pytest.raises(StageFailed, match=r"permission denied|must be owner|sealed"), transaction(house.writer) as connection:
        connection.execute(sa.text(change.format(**names)))


def test_the_ledger_line_of_a_sealed_batch_refuses_even_its_owner(house: House, owner: sa.Engine) -> None:
    with house.run("2024-01-05") as run:
        batch = house.load(run, 3)
        house.seal(run, batch)
    with pytest.raises(StageFailed, match="sealed and never changes"), transaction(owner) as connection:
        count_batch(connection, batch.id, rows=4)


@pytest.mark.parametrize("table", ["publication", "verdict", "alias_move", "quality", "model"])
def test_what_was_written_down_stays_written(house: House, owner: sa.Engine, table: str) -> None:
    with house.run("2024-01-01") as run:
        house.seal(run, batch := house.load(run, 2))
    with house.run("2024-01-02") as run:
        model = house.learn(run, batch)
        house.seal(run, landed := house.load(run, 2))
        predicted = house.predict(run, landed, model)
        house.publish(run)
        with transaction(house.writer) as connection:
            connection.execute(
                sa.text("INSERT INTO overnight.quality (pipeline, interval_start, batch, model, labels, metric, value, dummy,"
                        " rows, run) VALUES ('shops', :at, :b, :m, :l, 'x', 1, 1, 1, :r)"),
                {"at": run.interval.start, "b": predicted.id, "m": model.id, "l": landed.id, "r": run.id},
            )  # fmt: skip
    for change in (f"DELETE FROM overnight.{table}", f"UPDATE overnight.{table} SET id = DEFAULT"):
        with pytest.raises(StageFailed, match="append-only"), transaction(owner) as connection:
            connection.execute(sa.text(change))


def test_the_same_rows_in_another_order_have_the_same_hash_and_other_rows_another(house: House) -> None:
    hashes = []
    for day, mark in (("2024-01-05", "a"), ("2024-01-06", "a"), ("2024-01-07", "b")):
        with house.run(day) as run:
            hashes.append(house.seal(run, house.load(run, 50, mark=mark)))
    assert hashes[0] == hashes[1] != hashes[2]


def test_sealing_twice_is_refused(house: House) -> None:
    with house.run("2024-01-05") as run:
        batch = house.load(run, 3)
        house.seal(run, batch)
        with pytest.raises(StageFailed, match="sealed"):
            house.seal(run, batch)
    with transaction(house.writer) as connection:
        assert load_batch(connection, batch.id).rows == 3


DOORS = [
    "GRANT UPDATE ON {table} TO PUBLIC",
    "GRANT UPDATE (stock) ON {table} TO PUBLIC",
    "ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
    "CREATE RULE door AS ON INSERT TO {table} DO ALSO NOTHING",
]


@pytest.mark.parametrize("door", DOORS)
def test_a_table_in_which_the_writer_left_a_door_is_not_sealed(house: House, door: str) -> None:
    with house.run("2024-01-05") as run:
        batch = house.load(run, 3)
        with transaction(house.writer) as connection:
            connection.execute(sa.text(door.format(table=f"{batch.schema}.{batch.table}")))
        with pytest.raises(StageFailed, match="not as it was made"):
            house.seal(run, batch)
