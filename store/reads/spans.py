"""Nights of several pipelines, asked about in one statement, however many there are."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from psycopg import sql

# Of each pipeline, by name, the starts of the first and the last night that are asked about.
Spans = Mapping[str, tuple[datetime, datetime]]
ASKED = sql.SQL("unnest(%(names)s::text[], %(firsts)s::timestamptz[], %(lasts)s::timestamptz[]) AS n (name, first, last)")


def parameters(spans: Spans) -> dict[str, list[Any]]:
    """What a statement that reads `ASKED` is given."""
    return {"names": [*spans], "firsts": [first for first, _ in spans.values()], "lasts": [last for _, last in spans.values()]}
