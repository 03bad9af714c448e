"""Short ways to make a run, a batch and a publication through the store alone, as overnight_writer."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from deployments.catalogue import Definition
from domain.interval import Interval
from domain.words import BatchKind, Outcome, RunState
from store.batches import Batch, count_batch, open_batch, record_verdict, seal_batch
from store.engine import transaction
from store.models import ModelVersion, move_alias, save_model
from store.publications import publish
from store.runs import Run, claim, finish_run, point_run

Claim = Callable[..., Iterator[Run]]


class House:
    """The shops' ledger, acted on as a stage would."""

    def __init__(self, writer: sa.Engine, shops: Definition) -> None:
        self.writer, self.pipeline = writer, shops.pipeline

    def night(self, day: str) -> Interval:
        return self.pipeline.calendar.named(day)

    @contextmanager
    def run(self, day: str, *, hindsight: bool = False) -> Iterator[Run]:
        with claim(self.writer, "shops", self.night(day), trigger="test", holder={"pid": 1}, hindsight=hindsight) as run:
            yield run
            finish_run(self.writer, run.id, state=RunState.PUBLISHED, reason="")

    def load(self, run: Run, rows: int, *, counted: int | None = None, mark: str = "a") -> Batch:
        with transaction(self.writer) as connection:
            batch = open_batch(connection, run, BatchKind.INPUT, columns=list(self.pipeline.columns), fingerprint=mark)
            connection.execute(
                sa.text(f"INSERT INTO {batch.schema}.{batch.table} (shop, region, stock) SELECT 's' || i, :mark, i "
                        "FROM generate_series(1, :rows) i"),
                {"rows": rows, "mark": mark},
            )  # fmt: skip
            count_batch(connection, batch.id, rows=rows if counted is None else counted)
            point_run(connection, run.id, input_batch=batch.id)
        return batch

    def seal(self, run: Run, batch: Batch, *, outcome: Outcome | None = Outcome.PASSED) -> str:
        with transaction(self.writer) as connection:
            if outcome:
                record_verdict(connection, batch.id, run=run.id, outcome=outcome, reason="", suite_hash="", results=[])
            return seal_batch(connection, batch.id, run=run.id)

    def learn(self, run: Run, batch: Batch, *, until: str | None = None) -> ModelVersion:
        end = self.night(until).start if until else run.interval.start
        start = self.night("2024-01-01").start
        with transaction(self.writer) as connection:
            model = save_model(
                connection, run, trained_from=start, trained_until=end, batches=[batch.id], rows=1, task="classification",
                fingerprint="f", metrics={}, params={}, card={}, libraries={}, trusted_types=[], artifact=b"model",
                sha256="9372c470eeadd5ecd9c3c74c2b3cb633f8e2f2fad799250a0f70d652b6b825e4",
            )  # fmt: skip
            move_alias(
                connection, "shops", "champion", model=model.id, previous=None, effective_from=run.interval.start,
                who="test", why="test", evidence={},
            )  # fmt: skip
        return model

    def predict(self, run: Run, batch: Batch, model: ModelVersion, *, rows: int | None = None, mark: str = "p") -> Batch:
        with transaction(self.writer) as connection:
            predicted = open_batch(
                connection, run, BatchKind.PREDICTION, columns=["shop", "prediction"], fingerprint=mark,
                input_batch=batch.id, model=model.id,
            )  # fmt: skip
            connection.execute(
                sa.text(
                    f"INSERT INTO {predicted.schema}.{predicted.table} (shop, prediction, probability, model_version) "
                    f"SELECT shop, true, :rows, 1 FROM {batch.schema}.{batch.table} LIMIT :limit"
                ),
                {"limit": rows, "rows": run.id},
            )
            count_batch(connection, predicted.id, rows=batch_rows(connection, predicted))
            point_run(connection, run.id, prediction_batch=predicted.id)
            seal_batch(connection, predicted.id, run=run.id)
        return predicted

    def publish(self, run: Run) -> int:
        with transaction(self.writer) as connection:
            return publish(connection, run.id, who="test", why="test")


def batch_rows(connection: sa.Connection, batch: Batch) -> int:
    return int(connection.scalar(sa.text(f"SELECT count(*) FROM {batch.schema}.{batch.table}")) or 0)


@pytest.fixture
def house(writer: sa.Engine, shops: Definition) -> House:
    return House(writer, shops)
