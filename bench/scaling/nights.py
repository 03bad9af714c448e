"""What a night costs, and what it costs to ask about them, as nights pile up."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

import psycopg2

from bench.clock import database_cpu, own_cpu
from bench.scaling.curves import Point
from bench.scaling.house import cost_of, home, nights_of, server_of, take, timed
from bench.scaling.questions import as_commands, pages, plan, status
from bench.scaling.shops import define_shops, warm_up, write_shops
from deployments.catalogue import Definition
from domain.interval import Interval
from domain.report import NightReport
from domain.words import Stage, StageState
from infra.postgres import ensure_database
from infra.settings import Settings

COUNTED = 10


def measure(marks: Sequence[int]) -> Iterator[Point]:
    with home() as settings:
        warm_up(settings)
        definition = define_shops(settings, "shops")
        nights = nights_of(definition, max(marks))
        taken: list[tuple[float, float]] = []  # CPU seconds and seconds of each night that did not train
        for number, night in enumerate(nights, start=1):
            counted = any(mark - COUNTED < number <= mark for mark in marks)
            cost = _take(definition, night, settings, counted=counted)
            taken += [cost] if cost else []
            if number in marks:
                yield {
                    "at": number,
                    **_nights(taken[-min(COUNTED, number) :]),
                    **_questions(definition, nights[:number], settings),
                }


def _take(definition: Definition, night: Interval, settings: Settings, *, counted: bool) -> tuple[float, float] | None:
    write_shops(settings, definition, night)
    reports: list[NightReport] = []
    if not counted:
        take(definition, night, settings)
        return None
    server = server_of(settings)
    before = own_cpu() + database_cpu(server)
    seconds = timed(lambda: reports.append(take(definition, night, settings)))
    cpu = own_cpu() + database_cpu(server) - before
    trained = any(stage.stage is Stage.TRAIN and stage.state is StageState.DONE for stage in reports[0].stages)
    return None if trained and night.start > definition.pipeline.calendar.first.start else (cpu, seconds)


def _nights(taken: Sequence[tuple[float, float]]) -> Point:
    cpu, seconds = (sum(one[side] for one in taken) / len(taken) for side in (0, 1))
    return {"a night": round(cpu * 1e3, 1), "seconds per night": round(seconds, 3)}


def _questions(definition: Definition, nights: list[Interval], settings: Settings) -> Point:
    server = server_of(settings)
    with pages(settings, nights[-1].end + timedelta(hours=3)) as ask, as_commands(settings):
        costs = {
            "status": cost_of(server, status), "plan of all": cost_of(server, lambda: plan(definition, nights, settings)),
            "morning page": cost_of(server, lambda: ask("/")), "pipeline page": cost_of(server, lambda: ask("/p/shops")),
        }  # fmt: skip
    with psycopg2.connect(ensure_database(settings)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_database_size(current_database())")
        (size,) = cursor.fetchone() or (0,)
    return {name: round(cost * 1e3, 2) for name, cost in costs.items()} | {"database MB": size >> 20}
