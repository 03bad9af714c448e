"""The demo: an airline's nightly drop, taken night by night through Prefect, and a table of how each night went."""

from contextlib import nullcontext
from time import monotonic

import sqlalchemy as sa

from cli.nights import backfill_nights, prepared, print_nights
from cli.show import out, print_table, say
from deployments.catalogue import Definition
from domain.interval import Interval
from domain.words import BatchKind
from infra.airline import drop_flights
from infra.postgres import database_url
from infra.prefect_api import find_server
from infra.settings import Settings
from store.engine import create_engine, transaction
from store.listing import list_quality
from store.publications import published_batches

PIPELINE, FIRST, LAST = "flights", "2013-01-01", "2013-02-04"


def show_demo(settings: Settings) -> int:
    """Returns the exit code. The second time there is nothing to do, and it says so in a second."""
    began = monotonic()
    written = drop_flights(settings.data_folder / "flights")
    if written:
        say(f"dropped {written} daily files of real flights into {settings.data_folder / 'flights'}")
    definition = prepared(PIPELINE)
    calendar = definition.pipeline.calendar
    nights = list(calendar.between(calendar.named(FIRST), calendar.named(LAST)))
    if _are_published(settings, nights):
        say(f"nothing to do: the {len(nights)} nights from {FIRST} to {LAST} are published")
        _print_next()
        return 0
    from infra.services import PREFECT, run_services

    running = find_server(settings)
    say("the nights run through Prefect, whose server takes a moment to start" if running is None else "Prefect is up")
    with nullcontext() if running else run_services(settings, say=say, parts=(PREFECT,)):
        reports, code = backfill_nights(definition, nights)
    print_nights(definition, reports)
    _print_quality(settings, definition)
    say(f"\n{len(reports)} nights in {monotonic() - began:.0f} seconds")
    _print_next()
    return code


def _reading(settings: Settings) -> sa.Engine:
    return create_engine(database_url(settings, role="writer"), role="writer", pool_size=1)


def _are_published(settings: Settings, nights: list[Interval]) -> bool:
    """Whether readers see each night's input; its predictions too, once there was a model."""
    with transaction(_reading(settings)) as connection:
        done = published_batches(connection, PIPELINE, BatchKind.INPUT, start=nights[0].start, end=nights[-1].end)
    return {published.interval.start for published in done} == {night.start for night in nights}


def _print_quality(settings: Settings, definition: Definition) -> None:
    """What the predictions turned out to be worth, week by week, beside the dummy that always says the same."""
    with transaction(_reading(settings)) as connection:
        lines = list_quality(connection, pipeline=PIPELINE)
    weeks: dict[str, list[dict[str, float]]] = {}
    by_night: dict[object, dict[str, float]] = {}
    for line in lines:
        night = by_night.setdefault(line["interval_start"], {"rows": line["rows"]})
        night[line["metric"]], night[f"dummy {line['metric']}"] = line["value"], line["dummy"]
    label = definition.pipeline.calendar
    for start, night in by_night.items():
        week = label.containing(start).start.strftime("week %V")  # type: ignore[arg-type]
        weeks.setdefault(week, []).append(night)
    if not weeks:
        return
    metrics = [metric for metric in ("roc_auc", "log_loss", "accuracy") if all(metric in n for ns in weeks.values() for n in ns)]
    rows = []
    for week, group in weeks.items():
        total = sum(night["rows"] for night in group)
        means = [[sum(n[key] * n["rows"] for n in group) / total for key in (metric, f"dummy {metric}")] for metric in metrics]
        rows.append((week, len(group), f"{total:,.0f}", *(f"{own:.3f} / {dummy:.3f}" for own, dummy in means)))
    out.print()
    print_table(
        "Realised quality, predictions / dummy, mean over the nights by rows",
        ["", "nights", "rows", *metrics],
        rows,
        numbers=["nights", "rows", *metrics],
    )


def _print_next() -> None:
    say("next: make up, then open the morning page; or overnight status, overnight runs flights, overnight models flights")
