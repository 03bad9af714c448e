"""Every stranger's table by its name."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from zlib import crc32

import numpy as np

from bench.strangers import people, things, world
from bench.strangers.made import Brought, Chance

_BUNDLED = ("iris", "wine", "breast_cancer", "diabetes", "digits")
_MAKERS = (
    people.telco, people.income, people.hospital, people.stays, people.loans, people.survey, people.attrition,
    things.flats, things.bikes, things.taxis, things.claims, things.rain, things.wines, things.energy, things.machines,
    things.wares, things.parcels,
    world.football, world.penguins, world.tweets, world.weblog, world.crops, world.towns, world.wide, world.returns, world.fraud,
    world.orders,
)  # fmt: skip


def _bundled(at: Path, _: Chance, name: str) -> Brought:
    return world.bundled(name, at)


TABLES: dict[str, Callable[[Path, Chance], Brought]] = {
    **{maker.__name__: maker for maker in _MAKERS},
    **{name: partial(_bundled, name=name) for name in _BUNDLED},
}


def bring(name: str, folder: Path) -> Brought:
    """One table, the same every time."""
    folder.mkdir(parents=True, exist_ok=True)
    return TABLES[name](folder, np.random.default_rng(crc32(name.encode())))
