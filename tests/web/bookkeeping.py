"""Fills the ledger the way the stages do, through the store's own functions, in a line a night."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from deployments.catalogue import Definition
from domain.interval import Interval
from domain.report import StageReport
from domain.verdict import RuleResult
from domain.words import BatchKind, Outcome, RunState, Severity, Stage, StageState
from infra.postgres import Postmaster, embedded_url
from store.batches import count_batch, load_batch, open_batch, record_verdict, seal_batch
from store.drift import Drift, record_drift
from store.engine import create_engine, transaction
from store.models import move_alias, save_model
from store.publications import publish, published_batches
from store.quality import record_quality
from store.runs import Run, begin_stage, claim, finish_run, finish_stage, point_run
from tasks.diff import diff_night
from tests.conftest import copy_database, open_shops

RULES = [
    RuleResult("stock between 0 and 1000", "column_values_to_be_between", ("stock",), Severity.CRITICAL, "row", "passed",
               "every row keeps it", limit="10%", unexpected_count=0, unexpected_percent=0.0, judged_count=60,
               line={"expect": "column_values_to_be_between", "column": "stock", "min_value": 0, "max_value": 1000}).to_json(),
    RuleResult("region is there", "column_values_to_not_be_null", ("region",), Severity.WARNING, "row", "failed",
               "3 of 60 rows have no region", limit="2%", unexpected_count=3, unexpected_percent=5.0, judged_count=60,
               examples=({"shop": "s004", "region": None},),
               picture={"kind": "value", "values": [["north", 20], ["south", 20], ["ea<st", 17]], "others": 0, "distinct": 3,
                        "rows": 60, "empty": 3, "of": 60}).to_json(),
    RuleResult("column_mean_to_be_between(stock)", "column_mean_to_be_between", ("stock",), Severity.CRITICAL, "table", "passed",
               "the mean of stock is 47.5, limit 10 to 90", limit="10 to 90", observed=47.5,
               line={"expect": "column_mean_to_be_between", "column": "stock", "min_value": 10, "max_value": 90},
               picture={"kind": "number", "low": 1, "high": 96, "counts": [0, *[5] * 12, 0], "rows": 60, "empty": 0,
                        "of": 60}).to_json(),
]  # fmt: skip


def write_nights(server: Postmaster, name: str, *, folder: Path, fill: Callable[["Ledger"], object]) -> str:
    """Makes a database with the nights that `fill` publishes, of which tests take copies; its name.

    A copy costs a tenth of what writing the nights once more would.
    """
    owner = create_engine(copy_database(server, name), role="owner")
    writer = create_engine(embedded_url(server, user="overnight_writer", database=name), role="writer")
    fill(Ledger(open_shops(folder, owner), writer))
    for engine in (owner, writer):
        engine.dispose()
    return name


@dataclass(frozen=True)
class Ledger:
    """A pipeline with the columns of `shops`, and the writer's engine."""

    definition: Definition
    writer: sa.Engine

    @property
    def name(self) -> str:
        return self.definition.pipeline.name

    def night(self, day: str) -> Interval:
        return self.definition.pipeline.calendar.named(day)

    def publish(
        self, day: str, *, rows: int = 60, model: int | None = None, rejects: int = 2, salt: str = "", shift: float = 0.0
    ) -> int:
        """A published night; with `model`, with predictions of that model's line. Returns the newest batch's number."""
        with claim(self.writer, self.name, self.night(day), trigger="test", holder={"pid": 1}) as run:
            batch = self._land(run, rows=rows, rejects=rejects, salt=salt)
            self._stage(run, Stage.INGEST, rows=rows, rejects=rejects)
            outcome = Outcome.PASSED_WITH_REJECTS if rejects else Outcome.PASSED
            self._judge(run, batch, outcome, f"{rows} rows passed, {rejects} set aside")
            self._stage(run, Stage.VALIDATE, rows=rows)
            newest = self._predict(run, batch, model=model, rows=rows, shift=shift) if model else batch
            self._stage(run, Stage.SCORE, rows=rows if model else 0, state=StageState.DONE if model else StageState.SKIPPED)
            with transaction(self.writer) as connection:
                differs = diff_night(connection, self.definition.pipeline, load_batch(connection, newest)) if model else None
                publish(connection, run.id, who="overnight", why=f"run {run.id}")
            self._stage(
                run,
                Stage.PUBLISH,
                rows=rows,
                reason=f"batch {newest} published: {rows} predictions",
                detail={"diff": differs.to_json() if differs else None},
            )
            finish_run(self.writer, run.id, state=RunState.PUBLISHED, reason=f"batch {newest} published")
        return newest

    def hold(self, day: str, reason: str = "7.2 % of stock is empty, limit 2 %", *, rows: int = 60) -> None:
        with claim(self.writer, self.name, self.night(day), trigger="test", holder={"pid": 1}) as run:
            batch = self._land(run, rows=rows, rejects=1, salt="held")
            self._stage(run, Stage.INGEST, rows=rows)
            self._judge(run, batch, Outcome.HELD, reason)
            self._stage(run, Stage.VALIDATE, rows=rows, state=StageState.HELD, reason=reason)
            finish_run(self.writer, run.id, state=RunState.HELD, reason=reason)

    def fail(self, day: str, reason: str = "no file matches data/shops.csv") -> None:
        with claim(self.writer, self.name, self.night(day), trigger="test", holder={"pid": 1}) as run:
            self._stage(run, Stage.INGEST, state=StageState.FAILED, reason=reason)
            finish_run(self.writer, run.id, state=RunState.FAILED, reason=reason)

    def abandon(self, day: str) -> None:
        """A run that stays open although nobody holds its lock: what a SIGKILL leaves behind."""
        with suppress(InterruptedError), claim(self.writer, self.name, self.night(day), trigger="test", holder={"pid": 1}) as run:
            begin_stage(self.writer, run.id, Stage.INGEST)
            raise InterruptedError

    def train(
        self, day: str, *, promote: bool = True, previous: int | None = None, card: Mapping[str, Any] | None = None,
        metrics: Mapping[str, Any] | None = None, task: str = "classification", target: Mapping[str, Any] | None = None,
    ) -> int:  # fmt: skip
        """A model trained by a night, and champion from it on. Returns its line."""
        night = self.night(day)
        with claim(self.writer, self.name, night, trigger="test", holder={"pid": 1}) as run:
            with transaction(self.writer) as connection:
                made = save_model(
                    connection, run, trained_from=night.start - timedelta(days=30), trained_until=night.start, batches=[1],
                    rows=600, task=task, fingerprint=f"f{day}", metrics=metrics or {"challenger": {"roc_auc": 0.74}},
                    params={"max_iter": 20, **({"target": target} if target else {})},
                    card=card or {"measured": {"metric": "roc_auc"}, "seconds": 1.2},
                    libraries={"scikit-learn": "1.7"}, trusted_types=[], artifact=b"x", sha256=sha256(b"x").hexdigest(),
                )  # fmt: skip
                if promote:
                    move_alias(
                        connection, self.name, "champion", model=made.id, previous=previous, effective_from=night.start,
                        who="overnight", why="roc_auc 0.7400 against the dummy's 0.5000", evidence={},
                    )  # fmt: skip
            finish_run(self.writer, run.id, state=RunState.SKIPPED, reason="only to train")
        return made.id

    def cast_shadow(self, day: str, *, model: int) -> int:
        """What a challenger said of the rows that readers see, unseen."""
        with claim(self.writer, self.name, self.night(day), trigger="test", holder={"pid": 1}) as run:
            with transaction(self.writer) as connection:
                start, end = run.interval.start, run.interval.end
                (landed,) = published_batches(connection, self.name, BatchKind.INPUT, start=start, end=end)
                batch = open_batch(
                    connection, run, BatchKind.SHADOW, columns=["shop"], fingerprint="s", input_batch=landed.batch, model=model
                )
                connection.execute(
                    sa.text(f"INSERT INTO {batch.schema}.{batch.table} (shop, prediction, probability, model_version)"
                            f" SELECT shop, true, 0.5, 1 FROM {batch.schema}.landed_{landed.batch}")
                )  # fmt: skip
                count_batch(connection, batch.id, rows=landed.rows)
                seal_batch(connection, batch.id, run=run.id)
            finish_run(self.writer, run.id, state=RunState.SKIPPED, reason="only a shadow")
        return batch.id

    def judge_quality(self, day: str, *, batch: int, model: int, value: float, dummy: float = 0.5) -> None:
        night = self.night(day)
        with claim(self.writer, self.name, night, trigger="test", holder={"pid": 1}) as run:
            with transaction(self.writer) as connection:
                record_quality(
                    connection, pipeline=self.name, interval_start=night.start, batch=batch, model=model, labels=1, rows=60,
                    figures={"roc_auc": (value, dummy), "log_loss": (0.6, 0.69)}, run=run.id,
                )  # fmt: skip
            finish_run(self.writer, run.id, state=RunState.SKIPPED, reason="only labels")

    def _stage(self, run: Run, stage: Stage, *, rows: int = 0, rejects: int = 0, state: StageState = StageState.DONE,
               reason: str = "", detail: Mapping[str, Any] | None = None) -> None:  # fmt: skip
        line = begin_stage(self.writer, run.id, stage)
        finish_stage(self.writer, line, StageReport(stage, state, reason, rows, rows, rejects, detail=dict(detail or {})))

    def _land(self, run: Run, *, rows: int, rejects: int, salt: str) -> int:
        columns = list(self.definition.pipeline.columns)
        with transaction(self.writer) as connection:
            batch = open_batch(
                connection, run, BatchKind.INPUT, columns=columns, fingerprint=f"{run.interval.start}{salt}",
                source={"files": [{"name": "2024.csv", "bytes": 4000}]},
            )  # fmt: skip
            connection.execute(sa.text(f"""
                INSERT INTO {batch.schema}.{batch.table} (shop, opened, region, stock, price, left_over)
                SELECT 's' || to_char(i, 'FM000000'), :start + i * interval '1 minute',
                    (ARRAY['north', 'south', 'east'])[1 + i % 3], i % 97,
                    CASE WHEN i % 7 > 0 THEN round((i % 89)::numeric / 10, 2) END, i % 50 FROM generate_series(1, :rows) i
            """), {"start": run.interval.start, "rows": rows})  # fmt: skip
            connection.execute(sa.text(f"""
                INSERT INTO {batch.schema}.rejected_{batch.id} (source, line, column_name, value, rule, reason, row_text)
                SELECT 'shops/day.csv', i + 1, 'stock', 'many', 'type', 'stock: ''many'' is no whole number', 's9,x,<b>north</b>'
                FROM generate_series(2, :rejects) i UNION ALL
                SELECT NULL, NULL, 'region', '<i>', 'region_in_set', 'region is none of north, south',
                    jsonb_build_object('shop', 's<b>0', 'stock', 3)::text FROM generate_series(1, least(:rejects, 1))
            """), {"rejects": rejects})  # fmt: skip
            count_batch(connection, batch.id, rows=rows, rejected=rejects)
            point_run(connection, run.id, input_batch=batch.id)
        return batch.id

    def _judge(self, run: Run, batch: int, outcome: Outcome, reason: str, results: Sequence[Mapping[str, Any]] = RULES) -> None:
        with transaction(self.writer) as connection:
            record_verdict(connection, batch, run=run.id, outcome=outcome, reason=reason, suite_hash="s", results=results)
            seal_batch(connection, batch, run=run.id)

    def _predict(self, run: Run, parent: int, *, model: int, rows: int, shift: float) -> int:
        with transaction(self.writer) as connection:
            batch = open_batch(
                connection, run, BatchKind.PREDICTION, columns=["shop", "prediction", "probability"], fingerprint=f"p{parent}",
                input_batch=parent, model=model,
            )  # fmt: skip
            connection.execute(sa.text(f"""
                INSERT INTO {batch.schema}.{batch.table} (shop, prediction, probability, model_version)
                SELECT shop, stock % 3 = 0, (stock % 10) / 10.0 + :shift,
                    (SELECT version FROM overnight.model WHERE id = :model) FROM {batch.schema}.landed_{parent}
            """), {"model": model, "shift": shift})  # fmt: skip
            count_batch(connection, batch.id, rows=rows)
            seal_batch(connection, batch.id, run=run.id)
            drift = [
                Drift("prediction", "prediction", 0.1 + shift, 0.08, 0, 0, rows),
                Drift("feature", "price", 0.03 + 2 * shift, 0.05, 1 / 7, 0.1, rows),
                Drift("feature", "region", 0.004, 0.01, 0, 0, rows),
            ]
            record_drift(
                connection, drift, pipeline=self.name, interval_start=run.interval.start, batch=batch.id, model=model, run=run.id
            )
            point_run(connection, run.id, prediction_batch=batch.id, model=model)
        return batch.id
