"""The trust line, and the rule that says when a pipeline is late. Needs no scheduler: a calendar, a ledger, a clock."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any, Literal

from domain.interval import Calendar, Interval

Hindsight = Literal["none", "some", "all"]


@dataclass(frozen=True, slots=True)
class Freshness:
    """`late_since` is the deadline that passed without the interval that was due, and `missed` is the first such interval; both
    None while fresh. `left_out` counts the intervals after the newest published one that nobody waits for, as they are waived."""

    fresh: bool
    due: Interval | None
    late_since: datetime | None
    missed: Interval | None = None
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class TrustLine:
    """What stands beside every number a reader sees. `held` says why a night of which they see nothing is kept back, `question`
    what the predictions answer where another question is asked by now."""

    pipeline: str
    interval: Interval | None
    batch: int | None
    model_version: int | None
    published_at: datetime | None
    fresh: bool
    late_since: datetime | None
    verdict: str | None
    reason: str
    rows: int = 0
    hindsight_rows: int = 0
    held: str = ""
    question: str = ""

    @property
    def hindsight(self) -> Hindsight:
        return grade_hindsight(self.hindsight_rows, self.rows)

    def to_json(self) -> dict[str, Any]:
        interval = self.interval and {"start": self.interval.start.isoformat(), "end": self.interval.end.isoformat()}
        return {
            "pipeline": self.pipeline,
            "interval": interval,
            "batch": self.batch,
            "model_version": self.model_version,
            "published_at": _iso(self.published_at),
            "fresh": self.fresh,
            "late_since": _iso(self.late_since),
            "verdict": self.verdict,
            "reason": self.reason,
            "hindsight": self.hindsight,
            "hindsight_rows": self.hindsight_rows,
        }


def grade_hindsight(marked: int, rows: int) -> Hindsight:
    """Of how many predictions the model had seen past the night: of none, unless asked for by name or marked row by row."""
    return "none" if not marked else "all" if marked >= rows else "some"


def tell_hindsight(marked: int, rows: int) -> str:
    """How much of a night was predicted in hindsight; empty for none. Holds no comma, which would cut a header."""
    if not marked:
        return ""
    if marked >= rows:
        return "every prediction of this night was made by a model that saw past it"
    return f"{marked} of {rows} rows were predicted by a model that saw past this night"


def tell_held(why: str) -> str:
    """That a night is kept back, and why: one part of a trust line, so it holds neither comma nor semicolon."""
    plain = _as_part(re.sub(r"(?<=\d),(?=\d{3})", "", why.rstrip(". ")))
    return f"held: {plain[:1].lower() + plain[1:]}"[:300]


def tell_question(question: str) -> str:
    """What the predictions answer, where another question is asked by now: one part of a trust line; empty for the same one."""
    return f"answers another question than is asked now: {_as_part(question)}"[:300] if question else ""


def _as_part(text: str) -> str:
    return re.sub(r"\s*[,;]\s*", " - ", " ".join(text.split()))


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def deadline_of(interval: Interval, *, calendar: Calendar, at: time) -> datetime:
    """The first moment with the wall-clock time `at` in the pipeline's zone, at or after the interval's end."""
    end = interval.end.astimezone(calendar.timezone)
    moment = datetime.combine(end.date(), at, calendar.timezone)
    return moment if moment >= end else datetime.combine(end.date() + timedelta(days=1), at, calendar.timezone)


def judge_freshness(
    *, calendar: Calendar, deadline: time, newest_published: Interval | None, now: datetime, waived: Collection[datetime] = (),
) -> Freshness:  # fmt: skip
    """The newest interval that is due by `now` decides: fresh when it, or a later one, is published, and late otherwise.

    Late since the deadline of the first interval after the newest published one, whether or not anything ran, until the
    newest due one is there. Nobody waits for the intervals that start at one of `waived`. Older intervals that were left out
    do not make it late: `explain_trust` names them.
    """
    left_out = {start for start in waived if start <= now and (newest_published is None or start > newest_published.start)}
    due = calendar.before(now)
    while due is not None and (due.start in left_out or deadline_of(due, calendar=calendar, at=deadline) > now):
        due = calendar.before(due.start)
    if due is None or (newest_published is not None and newest_published.start >= due.start):
        return Freshness(True, due, None, left_out=len(left_out))
    missed = calendar.after(newest_published) if newest_published else calendar.first
    while missed.start in left_out:
        missed = calendar.after(missed)
    return Freshness(False, due, deadline_of(missed, calendar=calendar, at=deadline), missed, len(left_out))
