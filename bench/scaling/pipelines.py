"""What a night, `overnight status` and the morning page cost, as pipelines join the house."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from bench.clock import database_cpu, own_cpu
from bench.scaling.curves import Point
from bench.scaling.house import cost_of, home, nights_of, server_of, take
from bench.scaling.questions import as_commands, pages, status
from bench.scaling.shops import define_shops, warm_up, write_shops
from deployments.catalogue import Definition
from infra.settings import Settings

NIGHTS = 3  # two to learn from, one that trains and is scored


def measure(marks: Sequence[int]) -> Iterator[Point]:
    with home() as settings:
        warm_up(settings)
        found: list[Definition] = []
        for number in range(1, max(marks) + 1):
            name = f"shops_{number:03d}"
            definition = define_shops(settings, name)
            found.append(definition)
            for night in nights_of(definition, NIGHTS):
                write_shops(settings, definition, night)
                take(definition, night, settings)
            if number in marks:
                yield {"at": number, **_costs(definition, settings, number)}


def _costs(definition: Definition, settings: Settings, number: int) -> Point:
    server, name = server_of(settings), definition.pipeline.name
    more = nights_of(definition, NIGHTS + 5)[NIGHTS:]
    before = own_cpu() + database_cpu(server)
    for night in more:
        write_shops(settings, definition, night)
        take(definition, night, settings)
    a_night = (own_cpu() + database_cpu(server) - before) / len(more)
    with pages(settings, more[-1].end + timedelta(hours=3)) as ask, as_commands(settings):
        costs = {
            "a night": a_night, "status, per pipeline": cost_of(server, status) / (number + 1),
            "morning page, per pipeline": cost_of(server, lambda: ask("/")) / (number + 1),
            "pipeline page": cost_of(server, lambda: ask(f"/p/{name}")),
        }  # fmt: skip
    return {name: round(cost * 1e3, 2) for name, cost in costs.items()}
