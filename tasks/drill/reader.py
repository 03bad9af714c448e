"""A reader that asks all the while, and keeps what it should never have been shown."""

import threading
from collections.abc import Mapping

import sqlalchemy as sa
from psycopg2 import sql

from domain.errors import OvernightError
from infra.settings import Settings
from store.engine import create_engine, driver_cursor, transaction

# Of each night: how many batches its rows come from, how many rows there are, and how many the ledger has promised.
_SEEN = """
SELECT p.interval_start, count(DISTINCT p.batch), count(*), (SELECT rows FROM reading.batch b WHERE b.id = min(p.batch)),
    count(DISTINCT p.model_version)
FROM {published} p GROUP BY p.interval_start
"""
_INPUTS = "SELECT interval_start, count(*) FROM reading.published WHERE kind = 'input' GROUP BY interval_start"


class Poller(threading.Thread):
    """`faults` are sentences, `polls` the answers, `away` the times that the database did not answer."""

    def __init__(self, settings: Settings, pipeline: str) -> None:
        super().__init__(daemon=True, name="drill reader")
        self._engine = create_engine(settings.reader_url or "", role="reader", pool_size=1)
        self._seen = sql.SQL(_SEEN).format(published=sql.Identifier(pipeline, "published"))
        self._stopping = threading.Event()
        self.polls, self.away, self.faults = 0, 0, list[str]()
        self._known: Mapping[str, set[object]] = {"predictions": set(), "rows": set()}

    def run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._look()
                self.polls += 1
            except OvernightError:
                self.away += 1
                self._stopping.wait(0.1)

    def _look(self) -> None:
        with transaction(self._engine) as connection, driver_cursor(connection) as cursor:
            cursor.execute(self._seen)
            predictions = cursor.fetchall()
            inputs = connection.execute(sa.text(_INPUTS)).all()
        for night, batches, rows, promised, models in predictions:
            if batches != 1 or models != 1 or rows != promised:
                self.faults.append(f"{night}: {rows} rows of {batches} batches and {models} models, promised {promised}")
        for night, count in inputs:
            if count != 1:
                self.faults.append(f"{night}: {count} batches are published at once")
        self._compare("predictions", {line[0] for line in predictions})
        self._compare("rows", {line[0] for line in inputs})

    def _compare(self, what: str, now: set[object]) -> None:
        gone = self._known[what] - now
        if gone:
            self.faults.append(f"the {what} of {', '.join(map(str, gone))} were there and are gone")
        self._known[what].update(now)

    def stop(self) -> None:
        self._stopping.set()
        self.join()
        self._engine.dispose()
