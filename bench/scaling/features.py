"""What a feature costs, as a model sees ten of them, or a thousand."""

from collections.abc import Iterator, Sequence

import numpy as np

from bench.scaling.curves import Point
from bench.scaling.house import apart, define, home, nights_of, take, take_measured
from deployments.catalogue import Definition, load_definition
from domain.interval import Interval
from infra.settings import Settings

ROWS, LEARNED = 2_000, 3
DEFINITION = """
name: {name}
title: What does a feature cost?
interval: {{every: day, timezone: UTC, from: 2024-01-01}}
source: {{kind: csv, path: "{{data}}/{name}/{{start:%Y-%m-%d}}.csv"}}
columns: {{id: {{type: text, key: true}}, sold: {{type: timestamp, time: true}}, {columns}, answer: {{type: float, null: true}}}}
target: {{column: answer, as: "answer > 0", task: classification}}
features: {{numeric: [{features}]}}
model: {{params: {{max_iter: 20}}, retrain: never}}
"""


def measure(marks: Sequence[int]) -> Iterator[Point]:
    with home() as settings:
        for count in marks:
            names = [f"f{number:04d}" for number in range(count)]
            text = DEFINITION.format(
                name=f"wide_{count}", columns=", ".join(f"{name}: {{type: float}}" for name in names), features=", ".join(names)
            )
            definition = define(settings, f"wide_{count}", text)
            for night in nights_of(definition, LEARNED + 1):
                _write(settings, definition, night, names)
            spent = apart(_take, settings, definition.pipeline.name)
            stages = {name: spent[name] for name in ("ingest", "validate", "train", "score")}
            whole = sum(cpu for name, cpu in spent.items() if name not in ("seconds", "peak MB"))
            costs = {name: round(cpu / count * 1e3, 2) for name, cpu in {**stages, "whole night": whole}.items()}
            yield {"at": count, **costs, "seconds": round(spent["seconds"], 1), "peak MB": spent["peak MB"]}


def _take(settings: Settings, name: str) -> dict[str, float]:
    definition = load_definition(settings.deployments, name)
    *learned, counted = nights_of(definition, LEARNED + 1)
    for night in learned:
        take(definition, night, settings)
    _import_models()
    return take_measured(definition, counted, settings)[1]


def _import_models() -> None:
    """What a process imports once is no cost of a feature."""
    import importlib

    for name in ("sklearn.ensemble", "sklearn.inspection", "skops.io", "pandas"):
        importlib.import_module(name)


def _write(settings: Settings, definition: Definition, night: Interval, names: Sequence[str]) -> None:
    chance = np.random.default_rng(night.start.toordinal())
    values = chance.normal(size=(ROWS, len(names)))
    answers = values[:, 0] + values[:, 1] * 0.5 + chance.normal(size=ROWS)
    path = settings.data_folder / definition.pipeline.name / f"{night.start:%Y-%m-%d}.csv"
    with path.open("w") as file:
        file.write(f"id,sold,{','.join(names)},answer\n")
        for number, (line, answer) in enumerate(zip(values, answers, strict=True)):
            moment = f"{night.start:%Y-%m-%d}T{number % 24:02d}:{number % 60:02d}:00+00:00"
            file.write(f"r{number},{moment},{','.join(map('{:.4f}'.format, line))},{answer:.4f}\n")
