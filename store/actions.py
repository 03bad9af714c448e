"""What operators did to nights: who, when, why. The newest word on a night is what holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from domain.interval import Interval
from domain.standing import HELD_BY
from store import schema

HOLD, RELEASE = "hold", "release"


@dataclass(frozen=True, slots=True)
class Action:
    """One line of the journal."""

    what: str
    who: str
    detail: Mapping[str, Any]
    at: datetime


def newest_action(connection: sa.Connection, pipeline: str, interval_start: datetime, *whats: str) -> Action | None:
    """The newest of the named actions on a night, None when there was none."""
    line = connection.execute(
        sa.select(schema.action.c.what, schema.action.c.who, schema.action.c.detail, schema.action.c.at)
        .where(
            schema.action.c.pipeline == pipeline,
            schema.action.c.interval_start == interval_start,
            schema.action.c.what.in_(whats),
        )
        .order_by(schema.action.c.id.desc())
        .limit(1)
    ).first()
    return Action(line.what, line.who, line.detail, line.at) if line else None


def standing_hold(connection: sa.Connection, pipeline: str, interval: Interval) -> str | None:
    """The sentence of an operator who holds this night, None when nobody does."""
    word = newest_action(connection, pipeline, interval.start, HOLD, RELEASE)
    return f"{HELD_BY}{word.who}: {word.detail.get('why', '')}" if word and word.what == HOLD else None


def is_released(connection: sa.Connection, pipeline: str, interval: Interval, *, input_batch: int) -> bool:
    """Whether an operator has released the night as it stands: with this input, whatever is predicted from it."""
    word = newest_action(connection, pipeline, interval.start, HOLD, RELEASE)
    return word is not None and word.what == RELEASE and word.detail.get("batch") == input_batch
