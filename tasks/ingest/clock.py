"""Reads wall-clock times in a pipeline's zone, as Postgres does, and finds the ones that its clocks never showed."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_ZONED = pa.timestamp("us", tz="UTC")
_MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ClockReading:
    """`moments` in UTC; `never` marks times that were skipped when clocks went forward; `twice` counts those that were
    shown twice when they went back, and are read as the second time, as Postgres reads them."""

    moments: Any
    never: NDArray[np.bool_]
    twice: int


@dataclass(frozen=True, slots=True)
class _Change:
    """The clocks change at `moment`; all in microseconds since 1970 in UTC."""

    moment: int
    before: int
    after: int


def _offset(zone: ZoneInfo, moment: datetime) -> int:
    return (moment.astimezone(zone).utcoffset() or timedelta()) // _MICROSECOND


@lru_cache(maxsize=512)
def _changes(zone: ZoneInfo, year: int) -> tuple[_Change, ...]:
    """Every change of a zone's clocks in a year, found day by day and then to the second."""
    found = []
    day = datetime(year, 1, 1, tzinfo=UTC)
    while day.year == year and year < 9999:
        tomorrow = day + timedelta(days=1)
        before, after = _offset(zone, day), _offset(zone, tomorrow)
        if before != after:
            low, high = day, tomorrow
            while high - low > timedelta(seconds=1):
                middle = low + (high - low) // 2
                low, high = (middle, high) if _offset(zone, middle) == before else (low, middle)
            found.append(_Change((high.replace(microsecond=0) - _EPOCH) // _MICROSECOND, before, after))
        day = tomorrow
    return tuple(found)


def read_clock(naive: Any, zone: ZoneInfo) -> ClockReading:
    """Moments of an Arrow array of naive timestamps; nulls stay null."""
    known = np.asarray(naive.is_valid())
    local = np.asarray(naive.fill_null(0).cast(pa.int64()))
    never, twice = np.zeros(len(local), dtype=bool), 0
    if not known.any():
        return ClockReading(pa.nulls(len(local), _ZONED), never, 0)
    low, high = int(local[known].min()), int(local[known].max())
    years = range(_year(low) - 1, _year(high) + 2)
    changes = [change for year in years for change in _changes(zone, max(1, min(year, 9998)))]
    first = datetime(max(1, min(years[0], 9998)), 1, 1, tzinfo=UTC)
    offsets = np.array([_offset(zone, first), *(change.after for change in changes)], np.int64)
    starts = np.array([change.moment + change.after for change in changes], np.int64)
    for change in changes:
        gap, fold = change.moment + change.before, change.moment + change.after
        if gap < fold and low < fold and high >= gap:
            never |= known & (local >= gap) & (local < fold)
        elif fold < gap and low < gap and high >= fold:
            twice += int((known & (local >= fold) & (local < gap)).sum())
    moments = local - offsets[np.searchsorted(starts, local, side="right")]
    return ClockReading(pa.array(moments, mask=~known).cast(_ZONED), never, twice)


def _year(microseconds: int) -> int:
    return int(np.datetime64(microseconds, "us").astype("datetime64[Y]").astype(int)) + 1970
