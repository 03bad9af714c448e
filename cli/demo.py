"""The demo: an airline's nightly drop and its operational database, taken night by night through Prefect, and a table of how
each night went."""

import shutil
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from time import monotonic

import sqlalchemy as sa

from cli.nights import backfill_nights, prepared, print_nights
from cli.show import near, out, print_table, say, say_next
from deployments.catalogue import Definition
from domain.errors import EXIT_DONE
from domain.interval import Interval
from domain.words import BatchKind, Task
from infra.airline import drop_flights
from infra.operations import fill_operations
from infra.postgres import database_url
from infra.prefect_api import find_server
from infra.settings import Settings
from store.engine import create_engine, transaction
from store.listing import list_quality
from store.publications import published_batches

_METRICS = {Task.CLASSIFICATION: ("roc_auc", "log_loss", "accuracy"), Task.REGRESSION: ("mae", "rmse", "r2")}


@dataclass(frozen=True)
class Shown:
    """A pipeline of the demo with the nights that are taken of it."""

    definition: Definition
    first: str
    last: str

    @property
    def name(self) -> str:
        return self.definition.pipeline.name

    @cached_property
    def nights(self) -> list[Interval]:
        calendar = self.definition.pipeline.calendar
        return list(calendar.between(calendar.named(self.first), calendar.named(self.last)))


def show_demo(settings: Settings) -> int:
    """Returns the exit code. The second time there is nothing to do, and it says so in a second."""
    began = monotonic()
    flights = Shown(prepared("flights"), "2013-01-01", "2013-02-04")
    departures = Shown(prepared("departures"), "2013-01-15", "2013-02-04")
    _provide_sources(settings)
    shown = [flights, departures]
    missing = [each for each in shown if not _are_published(settings, each)]
    if not missing:
        done = " and ".join(f"the {len(s.nights)} nights of {s.name} from {s.first} to {s.last}" for s in shown)
        say(f"nothing to do: {done} are published")
        _print_next()
        return EXIT_DONE
    from infra.services import PREFECT, run_services

    running = find_server(settings)
    say("the nights run through Prefect, whose server takes a moment to start" if running is None else "Prefect is up")
    with nullcontext() if running else run_services(settings, say=say, parts=(PREFECT,)):
        taken = [(each, *backfill_nights(each.definition, each.nights)) for each in missing]
    for each, reports, _ in taken:
        print_nights(each.definition, reports)
    for each in missing:
        _print_quality(settings, each)
    say(f"\n{sum(len(reports) for _, reports, _ in taken)} nights in {monotonic() - began:.0f} seconds")
    _print_next()
    return max(code for _, _, code in taken)


def _provide_sources(settings: Settings) -> None:
    written = drop_flights(settings.data_folder / "flights")
    if written:
        say(f"dropped {written} daily files of real flights into {near(settings.data_folder / 'flights')}")
    filled = fill_operations(database_url(settings))
    if filled:
        say(f"filled the airline's database with {filled:,} rows of flights and weather, beside Overnight's own")


def _reading(settings: Settings) -> sa.Engine:
    return create_engine(database_url(settings, role="writer"), role="writer", pool_size=1)


def _are_published(settings: Settings, shown: Shown) -> bool:
    """Whether readers see each night's input; its predictions too, once there was a model."""
    nights = shown.nights
    with transaction(_reading(settings)) as connection:
        done = published_batches(connection, shown.name, BatchKind.INPUT, start=nights[0].start, end=nights[-1].end)
    return {published.interval.start for published in done} == {night.start for night in nights}


def _print_quality(settings: Settings, shown: Shown) -> None:
    """What the predictions turned out to be worth, week by week, beside the dummy that always says the same."""
    with transaction(_reading(settings)) as connection:
        lines = list_quality(connection, pipeline=shown.name)
    weeks: dict[str, list[dict[str, float]]] = {}
    by_night: dict[object, dict[str, float]] = {}
    for line in lines:
        night = by_night.setdefault(line["interval_start"], {"rows": line["rows"]})
        night[line["metric"]], night[f"dummy {line['metric']}"] = line["value"], line["dummy"]
    label = shown.definition.pipeline.calendar
    for start, night in by_night.items():
        week = label.containing(start).start.strftime("week %V")  # type: ignore[arg-type]
        weeks.setdefault(week, []).append(night)
    if not weeks:
        return
    metrics = [
        metric
        for metric in _METRICS[shown.definition.pipeline.target.task]
        if all(metric in n for ns in weeks.values() for n in ns)
    ]
    rows = []
    for week, group in weeks.items():
        total = sum(night["rows"] for night in group)
        means = [[sum(n[key] * n["rows"] for n in group) / total for key in (metric, f"dummy {metric}")] for metric in metrics]
        rows.append((week, len(group), f"{total:,.0f}", *(f"{own:.3f} / {dummy:.3f}" for own, dummy in means)))
    out.print()
    print_table(
        f"Realised quality of {shown.name}, predictions / dummy",
        ["", "nights", "rows", *metrics],
        rows,
        numbers=["nights", "rows", *metrics],
    )


def _print_next() -> None:
    if shutil.which("overnight") is None:
        say(f"overnight is {near(Path(sys.argv[0]).absolute())} here; `. {near(Path(sys.prefix))}/bin/activate` lets you type it")
    say_next("make up, and open the morning page", "overnight status", "overnight models departures")
