"""Intervals: the half-open ranges of time that runs are for, and the calendar that cuts time into them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

from domain.errors import UsageError

_EVERY = re.compile(r"^(?:(\d+) )?(minute|hour|day|week|month)s?$")
_EXACT = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1)}


def _with_fixed_offset(moment: datetime) -> datetime:
    offset = moment.utcoffset()
    if offset is None:
        raise ValueError("an interval needs a time zone at both ends")
    return moment.replace(tzinfo=timezone(offset), fold=0)


@dataclass(frozen=True, slots=True, order=True)
class Interval:
    """`[start, end)`. Both ends carry a fixed UTC offset, because Python compares two moments of one named zone by the
    clock on the wall, which shows the same hour twice on one night of the year."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", _with_fixed_offset(self.start))
        object.__setattr__(self, "end", _with_fixed_offset(self.end))
        if self.start >= self.end:
            raise ValueError(f"an interval ends after it starts, not {self.start} to {self.end}")

    def __contains__(self, moment: datetime) -> bool:
        return self.start <= moment < self.end


@dataclass(frozen=True, slots=True)
class Calendar:
    """Cuts time into intervals of one length, in one time zone, from `origin` until `until` (or for ever).

    Days, weeks and months follow the wall clock, so a day may last 23 or 25 hours; hours and minutes are exact
    and counted from the origin, so none is skipped or doubled when the clocks change.
    """

    every: str
    timezone: ZoneInfo
    origin: date
    until: date | None = None

    def __post_init__(self) -> None:
        self._step()

    def _step(self) -> tuple[int, str]:
        match = _EVERY.match(self.every)
        if not match or match[1] == "0":
            raise ValueError(f"every: {self.every!r} is none of '15 minutes', 'hour', 'day', 'week', 'month'")
        return int(match[1] or 1), match[2]

    def _midnight(self, day: date) -> datetime:
        return datetime.combine(day, time(), self.timezone)

    def _boundary(self, index: int) -> datetime:
        """The start of interval number `index`, counted from the origin."""
        count, unit = self._step()
        if unit in _EXACT:
            start = self._midnight(self.origin).astimezone(UTC) + index * count * _EXACT[unit]
            return start.astimezone(self.timezone)
        if unit == "month":
            months = self.origin.year * 12 + self.origin.month - 1 + index * count
            return self._midnight(date(months // 12, months % 12 + 1, 1))
        days = count * (7 if unit == "week" else 1)
        return self._midnight(self.origin + timedelta(days=index * days))

    def _index(self, moment: datetime) -> int:
        """The number of the interval that holds `moment`; negative before the origin."""
        count, unit = self._step()
        if unit in _EXACT:
            passed = moment.astimezone(UTC) - self._midnight(self.origin).astimezone(UTC)
            return passed // (count * _EXACT[unit])
        local = moment.astimezone(self.timezone).date()
        if unit == "month":
            return ((local.year - self.origin.year) * 12 + local.month - self.origin.month) // count
        return (local - self.origin).days // (count * (7 if unit == "week" else 1))

    def _numbered(self, index: int) -> Interval:
        return Interval(self._boundary(index), self._boundary(index + 1))

    @property
    def first(self) -> Interval:
        """The interval at the origin."""
        return self._numbered(0)

    def distance(self, first: Interval, last: Interval) -> int:
        """How many intervals `last` is after `first`."""
        return self._index(last.start) - self._index(first.start)

    def containing(self, moment: datetime) -> Interval:
        return self._numbered(self._index(moment))

    def before(self, moment: datetime) -> Interval | None:
        """The newest interval that has ended by `moment`, or None when none has."""
        index = self._index(moment) - 1
        if self.until is not None:
            index = min(index, self._index(self._midnight(self.until)) - 1)
        return self._numbered(index) if index >= 0 else None

    def after(self, interval: Interval) -> Interval:
        return self._numbered(self._index(interval.start) + 1)

    def between(self, first: Interval, last: Interval) -> Iterator[Interval]:
        """Each interval from `first` to `last`, both included, oldest first."""
        for index in range(self._index(first.start), self._index(last.start) + 1):
            yield self._numbered(index)

    def named(self, name: str) -> Interval:
        """The interval that `label` gave this name: a date, a month, or a moment that starts one.

        Raises UsageError when the text is no date, or lies outside the calendar.
        """
        text = f"{name}-01" if re.fullmatch(r"\d{4}-\d{2}", name) else name
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise UsageError(f"{name!r} is not an interval; write it as {self.label(self._numbered(0))}") from None
        local = moment.replace(tzinfo=self.timezone) if moment.tzinfo is None else moment
        interval = self.containing(local)
        if interval.start < self._midnight(self.origin) or (self.until and interval.end > self._midnight(self.until)):
            span = f"{self.origin}" + (f" until {self.until}" if self.until else "")
            raise UsageError(f"interval {name} lies outside the pipeline's calendar, which runs from {span}")
        return interval

    def label(self, interval: Interval) -> str:
        """How people and URLs name an interval: by its start, as briefly as its length allows."""
        _, unit = self._step()
        start = interval.start.astimezone(self.timezone)
        if unit in _EXACT:
            return start.isoformat(timespec="minutes")
        return start.strftime("%Y-%m") if unit == "month" else start.date().isoformat()
