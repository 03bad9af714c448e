"""One key through every published night, with what each was asked."""

from collections.abc import Sequence
from typing import Any

from psycopg import sql

from domain.pipeline import Pipeline
from store.reads.connection import Connection, Row, fetch
from store.reads.rows import CASTS, column_types

TAUGHT = "overnight target"  # no column of a contract holds a space


def read_history(connection: Connection, pipeline: Pipeline, key: Sequence[Any], *, limit: int) -> list[Row]:
    """The newest nights first; each line also says, as TAUGHT, the target that its model was taught, None where nobody knows."""
    types = column_types(pipeline)
    statement = _HISTORY.format(
        view=sql.Identifier(pipeline.name, "published"), name=sql.Literal(pipeline.name), taught=sql.Identifier(TAUGHT),
        same=sql.SQL(" AND ").join(
            sql.SQL("{} = %s::{}").format(sql.Identifier(name), sql.SQL(CASTS[types[name]])) for name in pipeline.key
        ),
    )  # fmt: skip
    return fetch(connection, statement, [*key, limit])


_HISTORY = sql.SQL("""
SELECT h.*, m.params -> 'target' AS {taught} FROM (SELECT * FROM {view} WHERE {same} ORDER BY interval_start DESC LIMIT %s) h
    LEFT JOIN reading.model m ON m.pipeline = {name} AND m.version = h.model_version ORDER BY h.interval_start DESC
""")
