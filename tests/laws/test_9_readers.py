"""Law 9: readers cannot write; tried against the running server, logged in as the reader."""

import psycopg2
import pytest
import sqlalchemy as sa

from store.engine import transaction
from tests.laws.conftest import House

ATTEMPTS = [
    "INSERT INTO reading.run (pipeline) VALUES ('x')",
    "UPDATE reading.published SET batch = 1",
    "DELETE FROM shops.published",
    "DELETE FROM shops.latest",
    "SELECT * FROM overnight.run",
    "SELECT artifact FROM overnight.model",
    "SELECT * FROM overnight_shops.landed",
    "SELECT overnight.publish(1, 'x', 'x')",
    "SELECT overnight.seal_batch(1, 1)",
    "CREATE TABLE shops.mine (a int)",
    "CREATE TABLE public.mine (a int)",
    "CREATE SCHEMA mine",
    "SET ROLE overnight_writer",
    "SET ROLE overnight_owner",
    "SET SESSION AUTHORIZATION postgres",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "ALTER ROLE overnight_reader SUPERUSER",
    "DROP VIEW shops.latest",
    "SELECT lo_create(0)",
]


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_the_reader_is_refused(house: House, reader: sa.Engine, attempt: str) -> None:
    """Also after it has switched off the read-only default, which is a courtesy and not the guard."""
    with house.run("2024-01-05") as run:
        house.seal(run, house.load(run, 2))
        house.publish(run)
    for prelude in ("SELECT 1", "SET default_transaction_read_only = off", "SET TRANSACTION READ WRITE"):
        raw = psycopg2.connect(reader.url.set(drivername="postgresql").render_as_string(hide_password=False))
        with raw, raw.cursor() as cursor:
            cursor.execute(prelude)
            with pytest.raises(psycopg2.Error):
                cursor.execute(attempt)
        raw.close()


def test_the_reader_reads_what_is_published_and_nothing_else(house: House, reader: sa.Engine) -> None:
    with house.run("2024-01-01") as run:
        house.seal(run, batch := house.load(run, 2))
    with house.run("2024-01-02") as run:
        model = house.learn(run, batch)
        house.seal(run, landed := house.load(run, 2))
        predicted = house.predict(run, landed, model)
        with transaction(reader) as connection:
            assert connection.execute(sa.text("SELECT * FROM shops.published")).all() == []
        house.publish(run)
    with transaction(reader) as connection:
        lines = connection.execute(sa.text("SELECT batch, shop, prediction FROM shops.latest ORDER BY shop")).all()
    assert lines == [(predicted.id, "s1", True), (predicted.id, "s2", True)]
