"""Between nights, what stays is put out of the collector's sight, and what a night leaves is not."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from tasks import collector
from tasks.collector import spare_what_stays


class Ring:
    """An object that only the collector can take away."""

    def __init__(self) -> None:
        self.own = self


@pytest.fixture(autouse=True)
def first_night(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(collector, "_begun", 0)
    yield
    gc.unfreeze()


def test_what_stays_is_spared_before_the_second_night_and_ever_more_seldom() -> None:
    before, kept, seen = gc.get_freeze_count(), [], []
    for _ in range(9):
        kept += [Ring() for _ in range(50)]
        spare_what_stays()
        seen.append(gc.get_freeze_count())
    assert seen[0] == before, "the first night of a process pays nothing"
    assert seen[1] > before + 1000
    grew = [number for number, (last, now) in enumerate(zip([before, *seen], seen, strict=False), start=1) if now > last]
    assert grew == [2, 4, 8]


def test_what_a_night_leaves_is_still_collected() -> None:
    spare_what_stays()
    spare_what_stays()
    left = weakref.ref(Ring())
    spare_what_stays()
    gc.collect()
    assert left() is None
