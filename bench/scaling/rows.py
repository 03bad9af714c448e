"""What a row costs, as nights grow from ten thousand rows to ten million."""

from collections.abc import Iterator, Sequence

import psycopg2

from bench.scaling.curves import Point
from bench.scaling.house import apart, define, home, nights_of, take, take_measured
from deployments.catalogue import Definition, load_definition
from domain.interval import Interval
from infra.postgres import ensure_database
from infra.settings import Settings

LEARNED = 30_000  # rows of each of the three nights that the model learns from
MOST_SECONDS = 180
DEFINITION = """
name: rows
title: What does a row cost?
interval: {every: day, timezone: UTC, from: 2024-01-01}
source: {kind: csv, path: "{data}/rows/{start:%Y-%m-%d}.csv"}
columns:
  id: {type: text, key: true}
  sold: {type: timestamp, time: true}
  shop: {type: text}
  city: {type: text}
  stock: {type: int}
  price: {type: float}
  visits: {type: int, null: true}
  left_over: {type: float, null: true}
target: {column: left_over, as: "left_over > 15", task: classification}
features: {numeric: [stock, price, visits], categorical: [shop, city], datetime: [sold]}
model: {retrain: never, params: {max_iter: 50}}
"""
RULES = """
- {expect: table_row_count_to_be_between, min_value: 100}
- {expect: column_values_to_not_be_null, column: shop}
- {expect: column_values_to_not_be_null, column: visits, mostly: 0.9, severity: warning}
- {expect: column_values_to_be_between, column: stock, min_value: 0, max_value: 6000}
- {expect: column_values_to_be_between, column: price, min_value: 0, max_value: 100}
- {expect: column_values_to_be_between, column: left_over, min_value: -100, max_value: 200}
- {expect: column_values_to_match_regex, column: shop, regex: "^s[0-9]+$"}
- {expect: column_values_to_be_unique, column: id}
- {expect: column_mean_to_be_between, column: price, min_value: 1, max_value: 100}
- {expect: column_unique_value_count_to_be_between, column: city, min_value: 3, max_value: 500}
"""
_MADE = """
COPY (SELECT 'r' || i AS id, timestamptz '{day}' + i % 1440 * interval '1 minute' AS sold, 's' || i % 16 AS shop,
    'c' || h / 7 % 105 AS city, 100 + h % 4900 AS stock, round((h % 9900 + 100) / 100.0, 2) AS price,
    CASE WHEN i % 50 > 0 THEN h / 3 % 2400 END AS visits, h % 60 - 40 + i % 16 * 2 + i % 1440 / 60 AS left_over
FROM (SELECT i, hashint8(i)::bigint & 1048575 AS h FROM generate_series(CAST(1 AS bigint), {rows}) i) made)
TO STDOUT (FORMAT csv, HEADER)
"""


def measure(marks: Sequence[int]) -> Iterator[Point]:
    with home() as settings:
        definition = define(settings, "rows", DEFINITION, rules=RULES)
        nights = iter(nights_of(definition, 4 + 2 * len(marks)))
        for _ in range(4):
            night = next(nights)
            write(settings, definition, night, LEARNED)
            take(definition, night, settings)
        for rows in marks:
            warm_up, counted = next(nights), next(nights)
            write(settings, definition, warm_up, 1_000)
            write(settings, definition, counted, rows)
            spent = apart(_take, settings, *(definition.pipeline.calendar.label(night) for night in (warm_up, counted)))
            (settings.data_folder / "rows" / f"{counted.start:%Y-%m-%d}.csv").unlink()
            yield _point(rows, spent)
            if spent["seconds"] > MOST_SECONDS:
                return


def _point(rows: int, spent: dict[str, float]) -> Point:
    stages = {name: cpu for name, cpu in spent.items() if name not in ("seconds", "peak MB", "train")}
    per_row = {name: round(cpu / rows * 1e6, 3) for name, cpu in stages.items()}
    whole = round(sum(stages.values()) / rows * 1e6, 3)
    return {"at": rows, **per_row, "whole night": whole, "seconds": round(spent["seconds"], 1), "peak MB": spent["peak MB"]}


def _take(settings: Settings, warm_up: str, counted: str) -> dict[str, float]:
    definition = load_definition(settings.deployments, "rows")
    take(definition, definition.pipeline.calendar.named(warm_up), settings)
    return take_measured(definition, definition.pipeline.calendar.named(counted), settings)[1]


def write(settings: Settings, definition: Definition, night: Interval, rows: int) -> None:
    path = settings.data_folder / definition.pipeline.name / f"{night.start:%Y-%m-%d}.csv"
    with psycopg2.connect(ensure_database(settings)) as connection, connection.cursor() as cursor, path.open("wb") as file:
        cursor.copy_expert(_MADE.format(day=f"{night.start:%Y-%m-%d}", rows=rows), file)
