"""Batches: immutable, numbered sets of rows, each loaded into a table of its own, audited there, then sealed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from psycopg2 import sql

from domain.interval import Interval
from domain.words import BatchKind, BatchState, Outcome
from store import schema
from store.engine import driver_cursor
from store.pipelines import inner_schema
from store.runs import Run


def table_of(kind: BatchKind, number: int) -> str:
    """The table, within the pipeline's inner schema, that holds a batch's rows.

    Statements about one batch ask it and not its parent, of which every new batch makes Postgres read the whole list again.
    """
    return f"{_TABLES[kind][0]}_{number}"


_TABLES = {BatchKind.INPUT: ("landed", "rejected"), BatchKind.PREDICTION: ("predictions",), BatchKind.SHADOW: ("predictions",)}


@dataclass(frozen=True, slots=True)
class Batch:
    """One line of the ledger. `rows` landed or were predicted, `rejected` were set aside; read = rows + rejected.
    `hindsight_rows` are the predictions that a model made which had seen past them, counted by sealing."""

    id: int
    pipeline: str
    kind: BatchKind
    interval: Interval
    state: BatchState
    rows: int
    rejected: int
    columns: tuple[str, ...]
    content_hash: str | None
    fingerprint: str
    input_batch: int | None
    model: int | None
    hindsight: bool
    hindsight_rows: int = 0

    @property
    def table(self) -> str:
        return table_of(self.kind, self.id)

    @property
    def schema(self) -> str:
        return inner_schema(self.pipeline)


def open_batch(
    connection: sa.Connection,
    run: Run,
    kind: BatchKind,
    *,
    columns: Sequence[str],
    fingerprint: str,
    contract_hash: str = "",
    source: Mapping[str, Any] | None = None,
    code: str = "",
    image: str | None = None,
    input_batch: int | None = None,
    model: int | None = None,
) -> Batch:
    """A new number and its empty tables, in the caller's transaction: nothing of it exists until that commits.

    `columns` are what the content hash will cover. Raises LeakRefused (through the database) when the model learned
    from past the run's interval (law 5) and the run is not in hindsight.
    """
    hindsight = run.hindsight and kind is not BatchKind.INPUT
    batch_id = connection.scalar(
        sa.insert(schema.batch)
        .values(
            pipeline=run.pipeline, kind=kind, interval_start=run.interval.start, interval_end=run.interval.end,
            rows=0, columns=list(columns), fingerprint=fingerprint, contract_hash=contract_hash, source=dict(source or {}),
            code=code, image=image, input_batch=input_batch, model=model, hindsight=hindsight, run=run.id,
        )
        .returning(schema.batch.c.id)
    )  # fmt: skip
    assert batch_id is not None
    for part in _TABLES[kind]:
        statement = sql.SQL(_CREATE_PART).format(
            parent=sql.Identifier(inner_schema(run.pipeline), part),
            child=sql.Identifier(inner_schema(run.pipeline), f"{part}_{batch_id}"),
            id=sql.Literal(batch_id),
        )
        with driver_cursor(connection) as cursor:
            cursor.execute(statement)
    return load_batch(connection, batch_id)


_CREATE_PART = """
CREATE TABLE {child} (LIKE {parent} INCLUDING DEFAULTS);
ALTER TABLE {child} ALTER batch_id SET DEFAULT {id}, ADD CHECK (batch_id = {id});
"""


def load_batch(connection: sa.Connection, batch_id: int, *, lock: bool = False) -> Batch:
    """Raises LookupError when there is no such batch. `lock` keeps it from being pruned until the transaction ends."""
    query = sa.select(schema.batch).where(schema.batch.c.id == batch_id)
    line = connection.execute(query.with_for_update(read=True, key_share=True) if lock else query).first()
    if line is None:
        raise LookupError(f"the ledger knows no batch {batch_id}")
    return _batch(line)


def _batch(line: Any) -> Batch:
    return Batch(
        line.id, line.pipeline, BatchKind(line.kind), Interval(line.interval_start, line.interval_end),
        BatchState(line.state), line.rows, line.rejected, tuple(line.columns), line.content_hash, line.fingerprint,
        line.input_batch, line.model, line.hindsight, line.hindsight_rows,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a batch was made from, as the ledger tells it. `suite_hash` is of the suite that judged it before it was sealed; empty
    when none did."""

    run: int
    files: Sequence[Mapping[str, Any]]
    contract_hash: str
    suite_hash: str
    code: str
    image: str | None


def load_recipe(connection: sa.Connection, batch_id: int) -> Recipe:
    """Raises LookupError when there is no such batch."""
    first = (
        sa.select(schema.verdict.c.suite_hash).where(schema.verdict.c.batch == batch_id).order_by(schema.verdict.c.id).limit(1)
    )
    line = connection.execute(sa.select(schema.batch).where(schema.batch.c.id == batch_id)).first()
    if line is None:
        raise LookupError(f"the ledger knows no batch {batch_id}")
    files = list((line.source or {}).get("files", []))
    return Recipe(line.run, files, line.contract_hash, connection.scalar(first) or "", line.code, line.image)


def hash_content(connection: sa.Connection, place: str, table: str, *, columns: Sequence[str]) -> str:
    """The content hash of any table, as sealing computes it: of these columns, whatever the order of the rows."""
    statement = sql.SQL("SELECT overnight.content_hash(to_regclass(format('%I.%I', {}, {})), {}::text[])").format(
        sql.Literal(place), sql.Literal(table), sql.Literal(list(columns))
    )
    with driver_cursor(connection) as cursor:
        cursor.execute(statement)
        (found,) = cursor.fetchone() or ("",)
    return str(found)


def newest_batch(connection: sa.Connection, pipeline: str, kind: BatchKind, interval: Interval) -> Batch | None:
    """The interval's newest batch that still has its rows: what a rerun compares itself with."""
    line = connection.execute(
        sa.select(schema.batch)
        .where(
            schema.batch.c.pipeline == pipeline,
            schema.batch.c.kind == kind,
            schema.batch.c.interval_start == interval.start,
            schema.batch.c.state != BatchState.DROPPED,
        )
        .order_by(schema.batch.c.id.desc())
        .limit(1)
    ).first()
    return _batch(line) if line else None


def count_batch(connection: sa.Connection, batch_id: int, *, rows: int, rejected: int = 0) -> None:
    """Writes the figures that sealing will hold against the tables (law 3)."""
    connection.execute(sa.update(schema.batch).where(schema.batch.c.id == batch_id).values(rows=rows, rejected=rejected))


def seal_batch(connection: sa.Connection, batch_id: int, *, run: int) -> str:
    """Ends all change (law 1): counts, hashes, takes the tables from the writer, attaches them. Returns the content hash."""
    _learn_size(connection, load_batch(connection, batch_id))
    found = connection.scalar(sa.text("SELECT overnight.seal_batch(:batch, :run)"), {"batch": batch_id, "run": run})
    return str(found)


def _learn_size(connection: sa.Connection, batch: Batch) -> None:
    """A look at three thousand rows, so that the first readers' pages are planned for as many as there are. Without it Postgres
    takes a new table for a small one until it has looked itself, a minute later, and reads all rows for a page."""
    with driver_cursor(connection) as cursor:
        cursor.execute("SET LOCAL default_statistics_target = 10")
        cursor.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(batch.schema, batch.table)))


def take_batch(connection: sa.Connection, batch_id: int, *, run: int) -> None:
    """Makes whoever validates the owner of a loaded batch's tables, so that who made them can change them no more."""
    connection.execute(sa.text("SELECT overnight.take_batch(:batch, :run)"), {"batch": batch_id, "run": run})


def abandon_batch(connection: sa.Connection, batch_id: int) -> None:
    """Drops the tables of a batch that was loaded and never sealed; its line stays."""
    connection.execute(sa.text("SELECT overnight.abandon_batch(:batch)"), {"batch": batch_id})


def record_verdict(
    connection: sa.Connection,
    batch_id: int,
    *,
    run: int,
    outcome: Outcome,
    reason: str,
    suite_hash: str,
    results: Sequence[Mapping[str, Any]],
) -> None:
    connection.execute(
        sa.insert(schema.verdict).values(
            batch=batch_id, run=run, outcome=outcome, reason=reason, suite_hash=suite_hash, results=[dict(r) for r in results]
        )
    )


def newest_results(connection: sa.Connection, batch_id: int) -> Sequence[Mapping[str, Any]]:
    """What the newest verdict on a batch says of each rule."""
    query = sa.select(schema.verdict.c.results).where(schema.verdict.c.batch == batch_id).order_by(schema.verdict.c.id.desc())
    return connection.scalar(query.limit(1)) or []


def newest_verdict(connection: sa.Connection, batch_id: int) -> tuple[Outcome, str, str] | None:
    """Outcome, reason and suite hash of the newest verdict on a batch."""
    line = connection.execute(
        sa.select(schema.verdict.c.outcome, schema.verdict.c.reason, schema.verdict.c.suite_hash)
        .where(schema.verdict.c.batch == batch_id)
        .order_by(schema.verdict.c.id.desc())
        .limit(1)
    ).first()
    return (Outcome(line.outcome), line.reason, line.suite_hash) if line else None
