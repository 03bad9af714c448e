"""What operators did to nights: who, when, why. The newest word on a night is what holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from store import schema


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
