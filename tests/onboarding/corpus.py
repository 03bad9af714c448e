"""The corpus: every table by its name."""

import random
from collections.abc import Callable
from pathlib import Path

from tests.onboarding import sources as of
from tests.onboarding import tables as made
from tests.onboarding.made import Made

_MAKERS = (
    made.prices, made.churn, made.housing, made.sensors, made.income, made.claims, made.species, made.leaking, made.zeros,
    made.reviews, made.classes, made.wide, made.reserved, made.unlabelled, made.preamble, made.headless,
    of.utf16, of.packed, of.parquet, of.jsonl, of.database, of.daily, of.small,
)  # fmt: skip
TABLES: dict[str, Callable[[Path, random.Random], Made]] = {maker.__name__: maker for maker in _MAKERS}


def make(name: str, folder: Path) -> Made:
    """One table of the corpus, the same bytes every time."""
    folder.mkdir(parents=True, exist_ok=True)
    return TABLES[name](folder, random.Random(name))
