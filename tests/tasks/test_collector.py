"""Between nights, what has been imported is put out of the collector's sight, and nothing else."""

import gc
import sys
import types
import weakref
from collections.abc import Iterator

import pytest

from tasks import collector
from tasks.collector import spare_modules


class Ring:
    """An object that only the collector can take away."""

    def __init__(self) -> None:
        self.own = self


@pytest.fixture(autouse=True)
def unseen(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(collector, "_spared", 0)
    yield
    gc.unfreeze()


def after_an_import(monkeypatch: pytest.MonkeyPatch, name: str) -> int:
    """How many objects are out of sight once a night has imported something."""
    monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    spare_modules()
    return gc.get_freeze_count()


def test_what_was_imported_is_spared_before_the_second_night_and_again_only_after_more_imports(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = gc.get_freeze_count()
    spare_modules()
    assert gc.get_freeze_count() == before, "the first night of a process pays nothing"
    first = after_an_import(monkeypatch, "of_the_first_night")
    assert first > before + 1000
    kept = [Ring() for _ in range(50)]
    spare_modules()
    assert (gc.get_freeze_count(), len(kept)) == (first, 50)
    assert after_an_import(monkeypatch, "of_the_fourth_night") > first


def test_what_a_night_leaves_is_still_collected(monkeypatch: pytest.MonkeyPatch) -> None:
    spare_modules()
    after_an_import(monkeypatch, "of_the_first_night")
    left = weakref.ref(Ring())
    spare_modules()
    gc.collect()
    assert left() is None
