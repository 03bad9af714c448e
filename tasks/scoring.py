"""Rows through a model: COPY out, predict, COPY in, side by side in bounded memory.

Two threads wait on Postgres (one reads, one writes) while this one predicts. Nothing holds more than a few chunks. Predictions
travel as binary rows, into a table that this transaction made and that nobody else can see (FREEZE).
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Thread
from typing import Any, Self

import sqlalchemy as sa
from psycopg2 import sql

from domain.pipeline import Pipeline
from domain.spec.source import Column
from store.batches import Batch
from store.copying import BINARY_HEADER, BINARY_TRAILER, binary_statement, copy_statement
from store.drift import Drift
from store.engine import driver_cursor
from store.pipelines import EVERY
from tasks.context import Night
from tasks.folds import UNKNOWN
from tasks.frames import KEY, NIGHT, copy_out, scoring_query, to_frame
from tasks.models import Loaded
from tasks.predictions import Shown, predict, predict_folded, spell
from tasks.profiles import Watch
from tasks.ranges import Ranges, range_columns
from tasks.spread import WORTH_SPREADING, address_of, answers_from_workers

CELLS = 1 << 20  # probabilities that are worked out at once: 8 MB


@dataclass(slots=True)
class Tally:
    """What was seen on the way."""

    rows: int = 0
    unseen: Counter[str] = field(default_factory=Counter)
    drifts: Sequence[Drift] = ()


def score_rows(
    night: Night,
    loaded: Loaded,
    landed: Batch,
    batch: Batch,
    *,
    reading: sa.Connection,
    writing: sa.Connection,
    watch: Watch | None = None,
) -> Tally:
    """Every row of `landed` through the model into the table of `batch`, which is still being loaded.

    `watch` counts rows and predictions into the bins of the model's profile. What is the same for all rows becomes the
    column's default in that one table, and does not travel.
    """
    tally = Tally()
    _set_defaults(writing, batch, version=loaded.version.version)
    if not landed.rows:
        return tally
    folds = loaded.folds
    told = folds.tell(night.pipeline, landed.id) if folds is not None else {}
    query, kinds = scoring_query(night.pipeline, landed, loaded.columns, **told)
    keys = [night.pipeline.columns[name] for name in night.pipeline.key]
    columns = [*night.pipeline.key, "prediction", "probability"]
    if _ranges(night, watch) is not None:
        columns += range_columns(night.pipeline)
    every = EVERY in batch.columns
    columns += [EVERY] if every else []
    columns += ["hindsight"] if folds is not None else []
    address = address_of(night.definition, night.settings)
    if address is not None and folds is None and landed.rows >= WORTH_SPREADING:
        with CopyIn(writing, batch, columns, keys=keys) as into:
            for answer in answers_from_workers(
                address, night, landed, model=loaded.version.id, tally=tally, watch=watch, every=every
            ):
                into.write(answer)
    else:
        with copy_out(reading, query, kinds) as chunks, CopyIn(writing, batch, columns, keys=keys) as into:
            for answer in answer_rows(night, loaded, chunks, rows=landed.rows, tally=tally, watch=watch, every=every):
                into.write(answer)
    tally.drifts = watch.drifts() if watch is not None else ()
    return tally


def answer_rows(
    night: Night,
    loaded: Loaded,
    chunks: Iterable[Any],
    *,
    rows: int,
    tally: Tally,
    watch: Watch | None,
    every: bool = False,
) -> Iterator[Any]:
    """Each chunk's keys, predictions and probabilities (`every`: of all classes too), and of a model of folds the marks of
    hindsight; `tally` and `watch` count what went by. `rows` is how many there are, about."""
    from tasks.leaves import by_tables

    ranges, places_of = _ranges(night, watch), loaded.by_place
    forms = {id(model): by_tables(model, rows=rows) for model in {id(each): each for each in places_of.values()}.values()}
    models = {place: forms[id(model)] for place, model in places_of.items()}
    at_once = CELLS // max(1, len(getattr(loaded.estimator, "classes_", ())))
    for chunk in (part for whole in chunks for part in _parts(whole, rows=at_once)):
        frame, folds = loaded.prepare(to_frame(chunk)), loaded.folds
        if folds is None:
            shown = predict(models[UNKNOWN], frame, night.pipeline)
        else:
            places = chunk.column(NIGHT).to_numpy()
            shown = predict_folded(models, places, frame, night.pipeline)
        tally.rows += chunk.num_rows
        tally.unseen.update(loaded.estimator[0].count_unseen(frame))
        if watch is not None:
            watch.see(frame, shown.watched)
        answer = _answer(chunk, shown, night.pipeline, ranges=ranges, every=every)
        yield answer if folds is None else answer.append_column("hindsight", _marks(night, loaded, places))


def _marks(night: Night, loaded: Loaded, places: Any) -> Any:
    """Which rows only a model of later rows could speak of; of a night in hindsight all."""
    import pyarrow as pa

    return pa.array((places != UNKNOWN) & ~loaded.counted(places) | night.run.hindsight)


def _ranges(night: Night, watch: Watch | None) -> Ranges | None:
    """The ranges that are kept with the model's profile, where the pipeline asks for any."""
    kept = watch.profile.get("ranges") if watch is not None and range_columns(night.pipeline) else None
    return Ranges.from_json(kept) if kept else None


def _parts(chunk: Any, *, rows: int) -> Iterator[Any]:
    """A chunk in slices of so many rows at most: with many classes, what is said of each row is the larger part."""
    return (chunk.slice(start, rows) for start in range(0, chunk.num_rows, rows))


def _answer(chunk: Any, shown: Shown, pipeline: Pipeline, *, ranges: Ranges | None, every: bool) -> Any:
    """The key, the prediction with its probability or all of them, and its range where there is one, as Arrow."""
    import pyarrow as pa

    columns = {name: chunk.column(f"{KEY}{name}") for name in pipeline.key}
    columns["prediction"] = pa.array(shown.prediction)
    columns["probability"] = pa.nulls(len(chunk), pa.float64()) if shown.probability is None else pa.array(shown.probability)
    if ranges is not None:
        columns |= zip(range_columns(pipeline), map(pa.array, ranges.around(shown.prediction)), strict=True)
    if every and shown.each is not None:
        columns[EVERY] = spell(shown.classes, shown.each)
    return pa.RecordBatch.from_pydict(columns)


def _set_defaults(connection: sa.Connection, batch: Batch, *, version: int) -> None:
    statement = sql.SQL("ALTER TABLE {} ALTER model_version SET DEFAULT {}, ALTER hindsight SET DEFAULT {}").format(
        sql.Identifier(batch.schema, batch.table), sql.Literal(version), sql.Literal(batch.hindsight)
    )
    with driver_cursor(connection) as cursor:
        cursor.execute(statement)


class CopyIn:
    """A COPY … FROM STDIN that Arrow batches are written to, through a pipe, by a thread of its own."""

    def __init__(self, connection: sa.Connection, batch: Batch, columns: list[str], *, keys: Sequence[Column]) -> None:
        self._connection = connection
        self._whole = [place for place, column in enumerate(keys) if column.type == "int"]
        self._binary = all(column.type in ("text", "int") for column in keys)  # any other key goes back spelt as it came
        statement = binary_statement if self._binary else copy_statement
        self._statement = statement(batch.schema, batch.table, columns, freeze=True)
        self._read_end, write_end = os.pipe()
        self._pipe = os.fdopen(write_end, "wb", buffering=1 << 20)
        self._thread = Thread(target=self._copy, name="overnight copy in", daemon=True)
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._send(BINARY_HEADER if self._binary else b"")
        return self

    def write(self, rows: Any) -> None:
        """Raises what stopped the COPY, when it has stopped."""
        self._send(self._encoded(rows))

    def _encoded(self, rows: Any) -> Any:
        import pyarrow as pa
        from pyarrow import csv

        from tasks.ingest.binary import encode_binary

        if not self._binary:
            text = pa.BufferOutputStream()
            csv.write_csv(rows, text, csv.WriteOptions(include_header=False))
            return text.getvalue()
        columns = dict(zip(rows.schema.names, rows.columns, strict=True))
        whole = {rows.schema.names[place]: rows.column(place).cast(pa.int64()) for place in self._whole}
        return encode_binary(columns | whole, json={EVERY})

    def _send(self, data: Any) -> None:
        try:
            self._pipe.write(data)
        except OSError:
            self._finish()
            raise

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None and self._binary:
            self._send(BINARY_TRAILER)
        self._finish(failed=kind is not None)

    def _finish(self, *, failed: bool = False) -> None:
        with suppress(OSError):  # the COPY ended first; its error says why
            self._pipe.close()
        self._thread.join()
        if self._error is not None and not failed:
            raise self._error

    def _copy(self) -> None:
        try:
            with os.fdopen(self._read_end, "rb", buffering=1 << 20) as pipe, driver_cursor(self._connection) as cursor:
                cursor.copy_expert(self._statement, pipe, size=1 << 20)
        except BaseException as error:
            self._error = error
