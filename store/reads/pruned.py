"""What was pruned: permalinks to it are answered with when, by whom and why, and never with a gap."""

from datetime import datetime

from psycopg import sql

from domain.errors import Pruned
from domain.pipeline import Pipeline
from domain.standing import moment
from store.reads.connection import Connection, Row, fetch_one


def require_rows(connection: Connection, pipeline: Pipeline, batch: int) -> None:
    """Raises Pruned when the rows of a prediction batch are gone. Otherwise they stay until the transaction has ended, so this
    comes before they are read, in the same one."""
    gone = pruned(connection, batch, part="rows")
    if gone is not None:
        night = pipeline.calendar.label(pipeline.calendar.containing(gone["interval_start"]))
        said = tell_pruned(gone["at"], gone["who"], gone["why"], pipeline)
        raise Pruned(f"batch {batch}, which readers saw of {pipeline.name} {night} then, {said}")
    fetch_one(connection, _REQUIRE, {"batch": batch})


_REQUIRE = sql.SQL("SELECT reading.require_rows(%(batch)s)")


def tell_pruned(at: datetime, who: str, why: str, pipeline: Pipeline) -> str:
    return f"was pruned on {moment(at, pipeline.calendar)}, by {who}: {why}"


def pruned(connection: Connection, batch: int, *, part: str) -> Row | None:
    """The tombstone of a part of a batch, None while it is there."""
    return fetch_one(connection, _PRUNED, {"batch": batch, "part": part})


_PRUNED = sql.SQL("SELECT interval_start, rows, who, why, at FROM reading.pruning WHERE batch = %(batch)s AND part = %(part)s")
