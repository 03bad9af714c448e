"""What an operator does to champions: promote a version by name, roll back to the one before, and see which nights that leaves.

Every move is a line of the journal with who, when, why and the evidence; nothing is ever overwritten.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from domain.errors import LeakRefused, UsageError
from domain.interval import Interval
from domain.pipeline import Pipeline
from domain.words import BatchKind
from store.engine import transaction
from store.models import (
    AliasMove,
    ModelVersion,
    champion_for,
    find_version,
    list_moves,
    load_version,
    move_alias,
    nights_scored_by,
    record_action,
)
from store.publications import published_batches

ROLLED_BACK = "rolled back"


@dataclass(frozen=True, slots=True)
class Moved:
    """Who is champion now and was before; `holds_from` is the first night of the change, `to_rescore` the published nights
    from then on that still show the previous champion's predictions."""

    champion: ModelVersion
    previous: ModelVersion | None
    holds_from: datetime
    to_rescore: Sequence[Interval]


def champion_on(engine: sa.Engine, pipeline: Pipeline, night: Interval) -> ModelVersion | None:
    """Who is, or was, champion for a night, as the journal stands now."""
    with transaction(engine) as connection:
        return champion_for(connection, pipeline.name, night=night.start)


def journal(engine: sa.Engine, pipeline: Pipeline) -> Sequence[AliasMove]:
    """Every move of every alias, newest first."""
    with transaction(engine) as connection:
        return list_moves(connection, pipeline.name)


def promote(engine: sa.Engine, pipeline: Pipeline, version: int, *, who: str, why: str, night: Interval | None = None) -> Moved:
    """Makes a version champion from `night` on; without one, from the first night that is not published yet.

    Raises UsageError when there is no such version or it is champion for that night already, LeakRefused when the
    version learned from past the night's start (law 5).
    """
    with transaction(engine) as connection:
        chosen = _existing(connection, pipeline, version)
        start = night.start if night else _first_open_night(connection, pipeline, chosen)
        if chosen.may_score_from > start:
            until = chosen.may_score_from.astimezone(pipeline.interval.timezone)
            raise LeakRefused(
                f"version {version} learned until {until:%Y-%m-%d %H:%M}, so it may not score a night that starts before",
                where=pipeline.name,
                hint=f"overnight promote {pipeline.name} {version} --from {until:%Y-%m-%d}",
            )
        before = champion_for(connection, pipeline.name, night=start)
        if before is not None and before.id == chosen.id:
            raise UsageError(
                f"version {version} is champion for that night already",
                where=pipeline.name,
                hint=f"overnight models {pipeline.name}",
            )
        return _move(connection, pipeline, chosen, before, start, who=who, why=why, what="promote")


def rollback(engine: sa.Engine, pipeline: Pipeline, *, who: str, why: str) -> Moved:
    """Makes the champion before this one champion again, from the night on from which this one was.

    Raises UsageError when there is no champion, or none before it.
    """
    with transaction(engine) as connection:
        moves = list_moves(connection, pipeline.name, alias="champion")
        if not moves:
            raise UsageError("there is no champion to roll back", where=pipeline.name, hint=f"overnight models {pipeline.name}")
        newest = max(moves, key=lambda move: (move.effective_from, move.id))
        current = newest.model
        arrival = next((m for m in moves if m.model == current and not m.evidence.get(ROLLED_BACK)), newest)
        if arrival.previous is None:
            raise UsageError(
                f"version {arrival.version} is the first champion, so there is none before it", where=pipeline.name,
                hint=f"overnight models {pipeline.name}",
            )  # fmt: skip
        before, chosen = load_version(connection, current), load_version(connection, arrival.previous)
        start = max(arrival.effective_from, newest.effective_from)
        return _move(connection, pipeline, chosen, before, start, who=who, why=why, what="rollback")


def _existing(connection: sa.Connection, pipeline: Pipeline, version: int) -> ModelVersion:
    found = find_version(connection, pipeline.name, version)
    if found is None:
        raise UsageError(f"there is no version {version}", where=pipeline.name, hint=f"overnight models {pipeline.name}")
    return found


def _first_open_night(connection: sa.Connection, pipeline: Pipeline, chosen: ModelVersion) -> datetime:
    """After the newest published predictions, and not before the newest move, which would go on to hold."""
    published = published_batches(connection, pipeline.name, BatchKind.PREDICTION)
    moves = list_moves(connection, pipeline.name, alias="champion")
    moments = [chosen.may_score_from, *(each.interval.end for each in published[-1:]), *(m.effective_from for m in moves[:1])]
    return max(moments)


def _move(
    connection: sa.Connection,
    pipeline: Pipeline,
    chosen: ModelVersion,
    before: ModelVersion | None,
    start: datetime,
    *,
    who: str,
    why: str,
    what: str,
) -> Moved:
    evidence = {"asked": what, ROLLED_BACK: what == "rollback", "challenger": chosen.metrics.get("held_out")}
    move_alias(
        connection, pipeline.name, "champion", model=chosen.id, previous=before.id if before else None,
        effective_from=start, who=who, why=why, evidence=evidence,
    )  # fmt: skip
    detail = {"version": chosen.version, "previous": before.version if before else None, "why": why}
    record_action(connection, pipeline.name, what, who=who, interval_start=start, detail=detail)
    to_rescore = nights_scored_by(connection, before.id, since=start) if before else []
    return Moved(chosen, before, start, to_rescore)
