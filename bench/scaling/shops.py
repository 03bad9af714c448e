"""A small pipeline whose nights can be had in any number: a hundred shops, and whether they sell out."""

import random

from bench.scaling.house import define, nights_of, take
from deployments.catalogue import Definition
from domain.interval import Interval
from infra.settings import Settings

ROWS = 100
DEFINITION = """
name: {name}
title: Will this shop sell out today?
interval: {{every: day, timezone: Europe/Berlin, from: 2021-01-01}}
source: {{kind: csv, path: "{{data}}/{name}/{{start:%Y-%m-%d}}.csv"}}
columns:
  shop: {{type: text, key: true}}
  opened: {{type: timestamp, time: true}}
  region: {{type: text}}
  stock: {{type: int}}
  price: {{type: float, null: true}}
  left_over: {{type: float, null: true}}
target: {{column: left_over, as: "left_over < 1", task: classification}}
features: {{numeric: [stock, price], categorical: [region], datetime: [opened]}}
model: {{params: {{max_iter: 20}}, min_intervals: 2, retrain: monthly, holdout: 1 day}}
"""
RULES = """
- {expect: column_values_to_be_between, column: stock, min_value: 0, max_value: 1000}
- {expect: column_values_to_not_be_null, column: region}
"""


def define_shops(settings: Settings, name: str) -> Definition:
    return define(settings, name, DEFINITION.format(name=name), rules=RULES)


def warm_up(settings: Settings) -> None:
    """Four nights of a pipeline that no figure counts: what a process imports once is no cost of a night."""
    definition = define_shops(settings, "before")
    for night in nights_of(definition, 4):
        write_shops(settings, definition, night)
        take(definition, night, settings)


def write_shops(settings: Settings, definition: Definition, night: Interval) -> None:
    chance = random.Random(night.start.isoformat())
    lines = ["shop,opened,region,stock,price,left_over"]
    for number in range(ROWS):
        stock = chance.randint(0, 100)
        moment = f"{night.start:%Y-%m-%d}T{8 + number % 9:02d}:{number % 60:02d}:00+00:00"
        left = max(0, stock - chance.randint(20, 80))
        lines.append(
            f"s{number:06d},{moment},{chance.choice(['north', 'south', 'east'])},{stock},{chance.random() * 9:.2f},{left}"
        )
    path = settings.data_folder / definition.pipeline.name / f"{night.start:%Y-%m-%d}.csv"
    path.write_text("\n".join(lines) + "\n")
