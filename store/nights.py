"""What the ledger knows of a pipeline's nights, for whoever plans the next ones."""

from collections.abc import Mapping
from datetime import datetime

import sqlalchemy as sa

from domain.planning import ATTEMPTS_AT_MOST, Known
from domain.words import RunState

# A night is published when readers see its input: a night without a model has no predictions.
_KNOWN = sa.text("""
SELECT coalesce(n.interval_start, w.interval_start) AS interval_start, coalesce(n.state, 'skipped') AS state,
    coalesce(n.reason, '') AS reason, coalesce(n.runs, 0) AS runs, coalesce(w.why, '') AS waived,
    EXISTS (SELECT FROM overnight.pointer p WHERE p.pipeline = n.pipeline AND p.kind = 'input'
        AND p.interval_start = n.interval_start) AS published
FROM (SELECT * FROM reading.night WHERE pipeline = :pipeline AND interval_start >= :start AND interval_start < :end) n
    FULL JOIN (SELECT * FROM reading.waived WHERE pipeline = :pipeline AND interval_start >= :start AND interval_start < :end) w
    ON w.interval_start = n.interval_start
""")


def known_nights(connection: sa.Connection, pipeline: str, *, start: datetime, end: datetime) -> Mapping[datetime, Known]:
    """The intervals in `[start, end)` that were ever tried or waived, by their start."""
    lines = connection.execute(_KNOWN, {"pipeline": pipeline, "start": start, "end": end})
    return {
        line.interval_start: Known(RunState(line.state), line.reason, line.runs, line.published, waived=line.waived)
        for line in lines
    }


def waived_nights(connection: sa.Connection, pipeline: str, *, start: datetime, end: datetime) -> set[datetime]:
    """The starts of the nights in `[start, end)` that are left out on purpose."""
    return set(connection.scalars(_WAIVED, {"pipeline": pipeline, "start": start, "end": end}))


_WAIVED = sa.text("""
SELECT interval_start FROM reading.waived WHERE pipeline = :pipeline AND interval_start >= :start AND interval_start < :end
""")


# Nights whose newest run was to take late rows in and died or failed, a few times at most.
_UNFINISHED_RETAKES = sa.text("""
SELECT n.interval_start FROM (
    SELECT DISTINCT ON (interval_start) interval_start, state, trigger FROM overnight.run
    WHERE pipeline = :pipeline AND interval_start >= :start AND interval_start < :end
    ORDER BY interval_start, id DESC) n
WHERE n.trigger = 'late rows' AND n.state IN ('failed', 'crashed')
    AND (SELECT count(*) FROM overnight.run r WHERE r.pipeline = :pipeline AND r.interval_start = n.interval_start
        AND r.trigger = 'late rows' AND r.state IN ('failed', 'crashed')) < :at_most
ORDER BY 1
""")


def unfinished_retakes(connection: sa.Connection, pipeline: str, *, start: datetime, end: datetime) -> list[datetime]:
    """The starts of the nights in `[start, end)` that were taken again for late rows without coming to an end."""
    values = {"pipeline": pipeline, "start": start, "end": end, "at_most": ATTEMPTS_AT_MOST}
    return list(connection.scalars(_UNFINISHED_RETAKES, values))


_SCHEDULED = sa.text("""
SELECT pipeline, interval_start FROM overnight.run WHERE state = 'running'
    AND trigger IN ('schedule', 'catch-up', 'late rows') LIMIT 1
""")


def scheduled_night_under_way(connection: sa.Connection) -> tuple[str, datetime] | None:
    """A night that the schedule has started and that is running now, whichever pipeline it is of."""
    line = connection.execute(_SCHEDULED).first()
    return (line.pipeline, line.interval_start) if line else None


_HISTORY = sa.text("""
SELECT avg(b.rows + b.rejected)::float8 AS rows, avg(extract(epoch FROM r.ended_at - r.started_at))::float8 AS seconds
FROM (SELECT * FROM overnight.run WHERE pipeline = :pipeline AND state = 'published' ORDER BY id DESC LIMIT 30) r
    JOIN overnight.batch b ON b.id = r.input_batch
""")


def history_of(connection: sa.Connection, pipeline: str) -> tuple[float | None, float | None]:
    """Rows read and seconds taken by a night, the mean of the newest thirty that published; None without any."""
    line = connection.execute(_HISTORY, {"pipeline": pipeline}).one()
    return line.rows, line.seconds


# A night that was published before reads and takes what it did then.
_TAKEN = sa.text("""
SELECT DISTINCT ON (r.interval_start) r.interval_start, (b.rows + b.rejected)::float8 AS rows,
    extract(epoch FROM r.ended_at - r.started_at)::float8 AS seconds
FROM overnight.run r JOIN overnight.batch b ON b.id = r.input_batch
WHERE r.pipeline = :pipeline AND r.interval_start >= :start AND r.interval_start < :end AND r.state = 'published'
ORDER BY r.interval_start, r.id DESC
""")


def history_of_each(
    connection: sa.Connection, pipeline: str, *, start: datetime, end: datetime
) -> Mapping[datetime, tuple[float, float]]:
    """Rows read and seconds taken by each night in `[start, end)` that published, when it last did."""
    lines = connection.execute(_TAKEN, {"pipeline": pipeline, "start": start, "end": end})
    return {line.interval_start: (line.rows, line.seconds) for line in lines}
