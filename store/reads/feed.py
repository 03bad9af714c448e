"""What happened to a pipeline's nights, as readers of a feed hear of it."""

from psycopg import sql

from store.reads.connection import Connection, Row, fetch
from store.reads.marked import HELD_AFTERWARDS


def news_of(connection: Connection, pipeline: str, *, limit: int) -> list[Row]:
    """The newest nights that were published, corrected (readers had another batch before) or held, before or after readers saw
    them, newest first."""
    return fetch(connection, _NEWS, {"pipeline": pipeline, "limit": limit})


# The newest of each kind first, so that the length of the history costs nothing.
_NEWS = sql.SQL("""
WITH moved AS (
    SELECT run, CASE WHEN bool_or(previous IS NOT NULL) THEN 'corrected' ELSE 'published' END AS event, max(at) AS at,
        max(batch) AS batch, max(previous) AS previous
    FROM (SELECT * FROM reading.publication WHERE pipeline = %(pipeline)s AND run IS NOT NULL
        ORDER BY id DESC LIMIT 2 * %(limit)s) p
    GROUP BY run
), held AS (
    SELECT id, 'held' AS event, ended_at, coalesce(prediction_batch, input_batch), CAST(NULL AS bigint)
    FROM reading.run WHERE pipeline = %(pipeline)s AND state = 'held' ORDER BY id DESC LIMIT %(limit)s
), marked AS (
    SELECT run, 'held' AS event, at, batch, CAST(NULL AS bigint)
    FROM ({held_afterwards}) h WHERE pipeline = %(pipeline)s ORDER BY run DESC LIMIT %(limit)s
)
SELECT n.*, r.interval_start, r.interval_end, r.reason, b.rows, b.hindsight_rows, m.version AS model_version,
    v.outcome AS verdict, v.reason AS verdict_reason
FROM (SELECT * FROM moved UNION ALL SELECT * FROM held UNION ALL SELECT * FROM marked) n
    JOIN reading.run r ON r.id = n.run
    LEFT JOIN reading.batch b ON b.id = n.batch
    LEFT JOIN reading.model m ON m.id = b.model
    LEFT JOIN LATERAL (SELECT outcome, reason FROM reading.verdict
        WHERE batch = coalesce(b.input_batch, b.id) ORDER BY id DESC LIMIT 1) v ON true
ORDER BY n.at DESC, n.run DESC LIMIT %(limit)s
""").format(held_afterwards=sql.SQL(HELD_AFTERWARDS))
