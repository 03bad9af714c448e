"""What readers may be told, asked of Postgres itself and not of the web: the rows of each batch, and when each pointer moved."""

import hashlib
import io
import threading
from collections.abc import Mapping
from contextlib import closing
from time import monotonic
from typing import Any

import psycopg2
from psycopg2 import sql

EVERY_SECONDS = 0.01
_ROWS = sql.SQL("SELECT * FROM {}.history WHERE batch = %s")
_FILE = sql.SQL("""
COPY (SELECT shop, prediction, probability, model_version, hindsight, region, stock, price, left_over FROM {}.history
WHERE batch = {} ORDER BY shop) TO STDOUT (FORMAT csv, HEADER)
""")
_POINTER = """
SELECT batch FROM reading.published WHERE pipeline = %s AND kind = 'prediction' ORDER BY interval_start DESC LIMIT 1
"""
_EVER = "SELECT DISTINCT batch FROM reading.publication WHERE pipeline = %s AND kind = 'prediction'"
Rows = Mapping[str, Mapping[str, Any]]


class Truth(threading.Thread):
    """Watches the newest night's pointer. A batch's rows never change, so they are read once."""

    def __init__(self, url: str, pipeline: str) -> None:
        super().__init__(daemon=True, name="truth")
        self._url, self._pipeline = url, pipeline
        self._lock, self._stopping = threading.Lock(), threading.Event()
        self._rows: dict[int, Rows] = {}
        self._files: dict[int, str] = {}
        self.moves: list[tuple[float, int]] = []

    def run(self) -> None:
        while not self._stopping.is_set():
            try:
                with closing(psycopg2.connect(self._url)) as connection:
                    connection.autocommit = True
                    self._watch(connection)
            except psycopg2.Error:
                self._stopping.wait(0.05)

    def _watch(self, connection: Any) -> None:
        with connection.cursor() as cursor:
            while not self._stopping.wait(EVERY_SECONDS):
                cursor.execute(_POINTER, [self._pipeline])
                line = cursor.fetchone()
                if line and (not self.moves or self.moves[-1][1] != line[0]):
                    self.moves.append((monotonic(), line[0]))

    def stop(self) -> None:
        self._stopping.set()
        self.join()

    def behind(self, batch: int, asked_at: float) -> float:
        """For how many seconds another batch had been published when this one was asked for; 0 when it was the newest."""
        ends = [later for (_, one), (later, _) in zip(self.moves, self.moves[1:], strict=False) if one == batch]
        return max(0.0, asked_at - ends[-1]) if ends and self.moves[-1][1] != batch else 0.0

    def rows(self, batch: int) -> Rows:
        """By key. Raises psycopg2.Error while Postgres is away."""
        if batch not in self._rows:
            with self._lock, closing(psycopg2.connect(self._url)) as connection, connection.cursor() as cursor:
                cursor.execute(_ROWS.format(sql.Identifier(self._pipeline)), [batch])
                names = [one.name for one in cursor.description or ()]
                lines = [dict(zip(names, line, strict=True)) for line in cursor.fetchall()]
                self._rows[batch] = {line["shop"]: line for line in lines}
        return self._rows[batch]

    def file_hash(self, batch: int) -> str:
        """Of the CSV that COPY makes of the whole batch."""
        if batch not in self._files:
            with self._lock, closing(psycopg2.connect(self._url)) as connection, connection.cursor() as cursor:
                text = io.BytesIO()
                statement = _FILE.format(sql.Identifier(self._pipeline), sql.Literal(batch))
                cursor.copy_expert(statement.as_string(connection), text)
                self._files[batch] = hashlib.sha256(text.getvalue()).hexdigest()
        return self._files[batch]

    def ever_published(self) -> set[int]:
        with closing(psycopg2.connect(self._url)) as connection, connection.cursor() as cursor:
            cursor.execute(_EVER, [self._pipeline])
            return {line[0] for line in cursor.fetchall()}
