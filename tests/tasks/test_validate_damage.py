"""Twenty kinds of damage to a real night, against the suite that is proposed from the nights before: which are caught.

`-s` prints the table. A damage is caught when the night is held, or when the damaged rows are set aside.
"""

import csv
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from deployments.catalogue import Definition, load_definition
from domain.errors import OvernightError
from domain.words import Outcome
from infra.airline import drop_flights
from infra.settings import Settings
from store.engine import transaction
from store.pipelines import register
from store.runs import claim, load_run
from tasks.check import Checked, check
from tasks.context import Night
from tasks.ingest import ingest
from tasks.suggest import NightTable, as_yaml, suggest_from

LEARNED, CLEAN = 28, 60
FIRST = date(2013, 1, 1)
DAMAGED = "2013-03-20"
Row = dict[str, str]
Rows = list[Row]
chance = random.Random(4)


def some(rows: Rows, share: float, change: Callable[[Row], None]) -> Rows:
    for row in rows:
        if chance.random() < share:
            change(row)
    return rows


def each(rows: Rows, column: str, value: Callable[[str], str]) -> Rows:
    for row in rows:
        row[column] = value(row[column]) if row[column] else ""
    return rows


def shuffled(rows: Rows, column: str) -> Rows:
    values = [row[column] for row in rows]
    chance.shuffle(values)
    for row, value in zip(rows, values, strict=True):
        row[column] = value
    return rows


def swapped(rows: Rows, one: str, other: str) -> Rows:
    for row in rows:
        row[one], row[other] = row[other], row[one]
    return rows


def later(rows: Rows, hours: int) -> Rows:
    def shift(text: str) -> str:
        hour = min(int(text[11:13]) + hours, 23)
        return f"{text[:11]}{hour:02d}{text[13:]}"

    return each(rows, "sched_dep", shift)


def constant(column: str, value: str) -> Callable[[Rows], Rows]:
    return lambda rows: each(rows, column, lambda _: value)


def scaled(column: str, factor: float) -> Callable[[Rows], Rows]:
    return lambda rows: each(rows, column, lambda text: str(round(float(text) * factor)))


def emptied(column: str, share: float = 1.0) -> Callable[[Rows], Rows]:
    return lambda rows: some(rows, share, lambda row: row.update({column: ""}))


DAMAGES: dict[str, Callable[[Rows], Rows]] = {
    "shuffled distances": lambda rows: shuffled(rows, "distance"),
    "shuffled destinations": lambda rows: shuffled(rows, "dest"),
    "doubled rows": lambda rows: rows + [dict(row) for row in rows],
    "one key for 5% of rows": lambda rows: some(rows, 0.05, lambda row: row.update({"flight_id": "XX1-JFK-20130320T0000"})),
    "miles sent as kilometres": scaled("distance", 1.609),
    "minutes sent as seconds": scaled("air_time", 60),
    "delays sent as hours": lambda rows: each(rows, "arr_delay", lambda text: str(round(float(text) / 60))),
    "stuck sensor: one distance": constant("distance", "1089"),
    "stuck sensor: one air time": constant("air_time", "150"),
    "all nulls: tail number": emptied("tailnum"),
    "all nulls: distance": emptied("distance"),
    "90% nulls: departure time": emptied("dep_time", 0.9),
    "a new airport for 10%": lambda rows: some(rows, 0.1, lambda row: row.update({"origin": "SWF"})),
    "an unknown airline for 10%": lambda rows: some(rows, 0.1, lambda row: row.update({"carrier": "ZZ"})),
    "time zone off by an hour": lambda rows: later(rows, 1),
    "file cut off half way": lambda rows: rows[: len(rows) // 2],
    "swapped origin and destination": lambda rows: swapped(rows, "origin", "dest"),
    "swapped planned times": lambda rows: swapped(rows, "sched_dep_time", "sched_arr_time"),
    "yesterday's file again": lambda rows: [{**row, "sched_dep": row["sched_dep"].replace("-20 ", "-19 ")} for row in rows],
    "numbers as words in 5%": lambda rows: some(rows, 0.05, lambda row: row.update({"distance": "n/a"})),
    "negative distances": scaled("distance", -1),
    "lower-case codes": lambda rows: each(each(rows, "carrier", str.lower), "dest", str.lower),
}


@dataclass(frozen=True)
class Airline:
    """The flights pipeline with the suite that its first nights suggest."""

    definition: Definition
    settings: Settings

    def path(self, day: str) -> Path:
        return self.settings.data_folder / "flights" / f"{day}.csv"

    def check(self, day: str) -> Checked:
        return check(self.definition, self.definition.pipeline.calendar.named(day), self.settings)

    def damage(self, change: Callable[[Rows], Rows]) -> str:
        """How a damaged night is met: what was said, or an empty text if nothing was."""
        clean = self.path(DAMAGED).read_text()
        rows = list(csv.DictReader(clean.splitlines()))
        try:
            with self.path(DAMAGED).open("w", newline="") as file:
                writer = csv.DictWriter(file, fieldnames=list(rows[0]))
                writer.writeheader()
                writer.writerows(change(rows))
            said = self.check(DAMAGED)
        except OvernightError as error:
            return f"refused: {error.what}"
        finally:
            self.path(DAMAGED).write_text(clean)
        aside = said.caught + said.unreadable
        return said.reason if said.outcome is Outcome.HELD else f"{aside} rows set aside" if aside >= 5 else ""


@pytest.fixture
def airline(settings: Settings, owner: sa.Engine, writer: sa.Engine, tmp_path: Path) -> Airline:
    folder = settings.deployments / "flights"
    folder.mkdir(parents=True)
    shutil.copy(Path(__file__).parents[2] / "deployments" / "flights" / "pipeline.yaml", folder)
    drop_flights(settings.data_folder / "flights")
    definition = load_definition(settings.deployments, "flights")
    register(owner, definition.pipeline, expectations=[])
    tables = [land(definition, settings, writer, FIRST + timedelta(days=n)) for n in range(LEARNED)]
    with transaction(writer) as connection:
        found = suggest_from(connection, definition.pipeline, tables)
    (folder / "expectations.yaml").write_text(as_yaml(found, derived_from=f"{LEARNED} nights"))
    return Airline(load_definition(settings.deployments, "flights"), settings)


def land(definition: Definition, settings: Settings, writer: sa.Engine, day: date) -> NightTable:
    interval = definition.pipeline.calendar.named(day.isoformat())
    with claim(writer, "flights", interval, trigger="test", holder={}) as run:
        ingest(Night(run, definition, writer, settings))
        with transaction(writer) as connection:
            batch = load_run(connection, run.id).input_batch
    return NightTable("overnight_flights", f"landed_{batch}", str(interval.start), str(interval.end))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_proposed_suite_catches_damage_and_holds_no_clean_night(airline: Airline) -> None:
    missed = []
    for name, change in DAMAGES.items():
        said = airline.damage(change)
        missed += [] if said else [name]
        print(f"{'caught' if said else 'MISSED':7} {name:32} {said}", flush=True)
    alarms = {}
    for day in [(FIRST + timedelta(days=LEARNED + n)).isoformat() for n in range(CLEAN)]:
        clean = airline.check(day)
        if clean.outcome is Outcome.HELD:
            alarms[day] = clean.reason
            print(f"ALARM   {day} {clean.reason}", flush=True)
    print(f"{len(DAMAGES) - len(missed)} of {len(DAMAGES)} caught; {len(alarms)} false alarms in {CLEAN} clean nights")
    assert alarms == {}
    assert len(missed) <= 2, missed
