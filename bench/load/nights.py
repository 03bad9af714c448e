"""Nights of a small pipeline, one after the other, for as long as they are wanted: new ones, corrected ones, held ones.

A process of its own: `python -m bench.load.nights SECONDS`, which prints how each night ended, a JSON object a line.
"""

import json
import random
import sys
from collections.abc import Iterator
from itertools import count, cycle
from time import sleep

from deployments.catalogue import Definition
from domain.errors import OvernightError
from domain.interval import Interval
from infra.settings import Settings, load_settings
from tasks.night import take_night
from tasks.prepare import prepare

NAME, ROWS = "load", 2000
DEFINITION = f"""
name: {NAME}
title: Will this shop sell out today?
interval: {{every: day, timezone: UTC, from: 2021-01-01}}
source: {{kind: csv, path: "{{data}}/{NAME}/{{start:%Y-%m-%d}}.csv"}}
columns:
  shop: {{type: text, key: true}}
  region: {{type: text}}
  stock: {{type: int}}
  price: {{type: float, null: true}}
  left_over: {{type: float, null: true}}
rejects: {{at_most: 10%}}
target: {{column: left_over, as: "left_over < 1", task: classification}}
features: {{numeric: [stock, price], categorical: [region]}}
model: {{params: {{max_iter: 20}}, min_intervals: 2, retrain: monthly, holdout: 1 day}}
"""
RULES = "- {expect: column_values_to_be_between, column: stock, min_value: 0, max_value: 1000}\n"
# A correction moves the pointer of a night that is being read: the moment at which rows could be mixed.
KINDS = ("new", "corrected", "corrected", "held", "corrected")


def define(settings: Settings) -> Definition:
    folder = settings.deployments / NAME
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pipeline.yaml").write_text(DEFINITION)
    (folder / "expectations.yaml").write_text(RULES)
    (settings.data_folder / NAME).mkdir(parents=True, exist_ok=True)
    return prepare(settings, NAME)[0]


def plan(definition: Definition) -> Iterator[tuple[str, Interval, int]]:
    """What to publish, without an end: three nights, of which the third is the first with predictions, then KINDS in turn."""
    calendar, night = definition.pipeline.calendar, definition.pipeline.calendar.first
    for _ in range(3):
        yield "new", night, 0
        night = calendar.after(night)
    newest = calendar.before(night.start)
    for salt, kind in zip(count(1), cycle(KINDS), strict=False):
        if kind == "new":
            newest = calendar.after(newest or calendar.first)
        yield kind, newest or calendar.first, salt


def write_night(settings: Settings, night: Interval, *, salt: int, bad: bool) -> None:
    chance = random.Random(f"{night.start} {salt}")
    lines = ["shop,region,stock,price,left_over"]
    for number in range(ROWS):
        stock = chance.randint(0, 100)
        said = "many" if bad and number % 4 == 0 else stock
        region, left = chance.choice(["north", "south", "east"]), max(0, stock - chance.randint(20, 80))
        lines.append(f"s{number:06d},{region},{said},{chance.random() * 9:.2f},{left}")
    (settings.data_folder / NAME / f"{night.start:%Y-%m-%d}.csv").write_text("\n".join(lines) + "\n")


def keep_publishing(settings: Settings, *, pause: float) -> None:
    """A night that Postgres went away from is asked for again, as the schedule would."""
    definition = define(settings)
    for kind, night, salt in plan(definition):
        write_night(settings, night, salt=salt, bad=kind == "held")
        state = _take(definition, night, settings)
        while state == "failed":
            sleep(0.5)
            state = _take(definition, night, settings)
        print(json.dumps({"kind": kind, "state": state}), flush=True)
        sleep(pause)


def _take(definition: Definition, night: Interval, settings: Settings) -> str:
    try:
        state = str(take_night(definition, night, settings, trigger="load").state)
    except OvernightError as error:
        print(f"{night.start:%Y-%m-%d}: {error}", file=sys.stderr)
        state = "failed"
    if state == "failed":
        print(json.dumps({"kind": "again", "state": state}), flush=True)
    return state


if __name__ == "__main__":
    keep_publishing(load_settings(), pause=float(sys.argv[1]))
