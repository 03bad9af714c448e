"""Work on other machines: what a Dask worker is asked for, and which work there is to ask for.

A worker is a process with Overnight's code and settings of its own. What it is handed are names and numbers; rows it takes
from Postgres, and what it has done stands in the ledger, under the locks that are there. So a worker that dies loses
nothing but the time it had spent: Dask gives its work to another one.
"""

import logging
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from psycopg2 import sql

from deployments.catalogue import Definition
from domain.errors import UsageError
from domain.interval import Interval
from domain.planning import BACKFILL, ModelMode
from domain.report import NightReport
from infra.settings import Settings, load_settings
from store.batches import Batch, load_batch
from store.engine import driver_cursor, transaction
from store.models import load_artifact, load_version
from tasks.context import Night, load_night
from tasks.frames import copy_out, scoring_query
from tasks.lane import PUBLISH, TRAIN, Lane
from tasks.models import Loaded, read_model
from tasks.night import whoami
from tasks.profiles import Watch

if TYPE_CHECKING:
    from tasks.scoring import Tally

log = logging.getLogger("overnight.night")
WORTH_SPREADING = 500_000  # rows; below, a process has scored them before workers have loaded the model
RANGE = 200_000  # rows, about: a second of prediction
AHEAD = 2  # nights that each worker has: while one waits for another's training, the next one's rows are taken in and judged


def address_of(definition: Definition, settings: Settings) -> str | None:
    """The scheduler that this pipeline's work is spread by, None when it is not.

    Raises UsageError when it is to be spread and nobody says where.
    """
    runner = definition.pipeline.runner
    if runner.kind != "dask":
        return None
    from infra.cluster import own_scheduler

    address = runner.address or settings.dask_address or own_scheduler()
    if address is None:
        raise UsageError(
            "runner: dask needs the address of a scheduler, in runner.address or OVERNIGHT_DASK_ADDRESS",
            where=f"deployments/{definition.pipeline.name}/pipeline.yaml", hint="dask scheduler",
        )  # fmt: skip
    return address


def backfill_address(definition: Definition, nights: Sequence[Interval], settings: Settings) -> str | None:
    """The scheduler for several nights at once, None when they are taken one by one: snapshots are told by what changed since the
    one before."""
    alone = len(nights) < 2 or definition.pipeline.source.mode == "snapshot"
    return None if alone else address_of(definition, settings)


class Turns(Lane):
    """A lane whose turns are flags on Dask's scheduler: each night raises its own and waits for those of the one before."""

    def __init__(self, settings: Settings, backfill: str, place: int) -> None:
        self.settings, self.backfill, self.place = settings, backfill, place
        self._passed: set[str] = set()

    def ask(self, gate: str) -> None:
        from infra.cluster import wait_for_flag

        if self.place > 0:
            wait_for_flag(flag(self.backfill, self.place - 1, TRAIN if gate == TRAIN else PUBLISH))

    def say(self, **what: Any) -> None:
        from infra.cluster import raise_flag

        raise_flag(flag(self.backfill, self.place, what["passed"]))
        self._passed.add(what["passed"])

    def end(self) -> None:
        """However the night ended, it is over, and those behind it go on as soon as those before it are over too."""
        for gate in (TRAIN, PUBLISH):
            if gate not in self._passed:
                self.ask(gate)
                self.say(passed=gate)


def flag(backfill: str, place: int, gate: str) -> str:
    return f"overnight {backfill} {place} {gate}"


def take_there(
    pipeline: str, label: str, model: ModelMode, backfill: str, holder: Mapping[str, Any], place: int
) -> NightReport:  # fmt: skip
    """One night of a backfill, taken whole by the worker that this is called on, with its own settings; `place` counts the
    backfill's nights from 0, and `holder` is what the ledger is to know of who asks for it."""
    turns = Turns(load_settings(), backfill, place)
    try:
        return turns.take_one(pipeline, label, trigger=BACKFILL, holder={**holder, "through": "dask"}, model=model)
    finally:
        turns.end()


def pieces_of(
    definition: Definition, nights: Sequence[Interval], *, model: ModelMode, tell: bool
) -> list[tuple[str, str, ModelMode, str, Mapping[str, Any], int]]:
    """What `take_there` is called with for each night of a backfill that this process leads."""
    backfill, label = uuid.uuid4().hex[:12], definition.pipeline.calendar.label
    holder = {"leader": whoami(), **({"tell": True} if tell else {})}
    return [(definition.pipeline.name, label(night), model, backfill, holder, place) for place, night in enumerate(nights)]


def take_nights_there(
    definition: Definition, nights: Sequence[Interval], *, address: str, model: ModelMode, tell: bool = False
) -> Iterator[NightReport]:  # fmt: skip
    """A backfill's nights on workers, without Prefect: each report as its night ends, oldest first."""
    from infra.cluster import connect, work_in_turn

    with connect(address) as client:
        pieces, submit = pieces_of(definition, nights, model=model, tell=tell), partial(client.submit, take_there, pure=False)
        for _, future in work_in_turn(client, submit, pieces, ahead=AHEAD):
            yield future.result()


@dataclass(frozen=True, slots=True)
class Scored:
    """A range's predictions, as Arrow's own bytes, and what was seen on the way."""

    rows: int
    answers: bytes
    unseen: Counter[str]
    watch: Watch | None


def ranges_of(connection: sa.Connection, landed: Batch) -> list[tuple[int, int | None]]:
    """The table in stretches of pages, `RANGE` rows each, about: from, and up to but not with; the last one is open."""
    with driver_cursor(connection) as cursor:
        relation = sql.Identifier(landed.schema, landed.table).as_string(cursor)
        cursor.execute("SELECT pg_relation_size(%s::regclass) / current_setting('block_size')::int", (relation,))
        (pages,) = cursor.fetchone() or (0,)
    step = max(1, int(pages) * RANGE // max(1, landed.rows))
    starts = list(range(0, max(1, int(pages)), step))
    return [*pairwise(starts), (starts[-1], None)]


def score_there(
    run_id: int, landed_id: int, model_id: int, watch: Watch | None, every: bool, start: int, end: int | None
) -> Scored:  # fmt: skip
    """One stretch of a sealed batch through the model, on the worker that this is called on. Nothing is written."""
    import pyarrow as pa

    from tasks.scoring import Tally, answer_rows

    night = load_night(run_id, load_settings())
    loaded = _model(run_id, model_id)
    tally, answers = Tally(), []
    with transaction(night.engine) as connection:
        landed = load_batch(connection, landed_id)
        query, kinds = scoring_query(night.pipeline, landed, loaded.columns)
        with copy_out(connection, query + _between(start, end), kinds) as chunks:
            answers = list(answer_rows(night, loaded, chunks, rows=RANGE, tally=tally, watch=watch, every=every))
    sink = pa.BufferOutputStream()
    if answers:
        with pa.ipc.new_stream(sink, answers[0].schema) as stream:
            for answer in answers:
                stream.write_batch(answer)
    return Scored(tally.rows, sink.getvalue().to_pybytes(), tally.unseen, watch)


def _between(start: int, end: int | None) -> sql.Composable:
    upper = sql.SQL("") if end is None else sql.SQL(" AND t.ctid < {}::tid").format(sql.Literal(f"({end},0)"))
    return sql.SQL(" WHERE t.ctid >= {}::tid").format(sql.Literal(f"({start},0)")) + upper


@lru_cache(maxsize=2)
def _model(run_id: int, model_id: int) -> Loaded:
    """A worker scores many ranges of one night, and loads its model once."""
    night = load_night(run_id, load_settings())
    with transaction(night.engine) as connection:
        version, artifact = load_version(connection, model_id), load_artifact(connection, model_id)
    return read_model(night, version, artifact)


def answers_from_workers(
    address: str, night: Night, landed: Batch, *, model: int, tally: "Tally", watch: Watch | None, every: bool
) -> Iterator[Any]:
    """What `answer_rows` yields, from workers that each take a stretch of the table; in the order in which they are done,
    which no content hash depends on."""
    import pyarrow as pa

    from infra.cluster import connect, work_through

    blank = Watch(watch.profile, step=watch.step) if watch is not None else None
    with transaction(night.engine) as connection:
        pieces = [(night.run.id, landed.id, model, blank, every, *stretch) for stretch in ranges_of(connection, landed)]
    with connect(address) as client:
        for scored in work_through(client, score_there, pieces):
            tally.rows += scored.rows
            tally.unseen.update(scored.unseen)
            if watch is not None:
                watch.join(scored.watch)
            yield from pa.ipc.open_stream(scored.answers) if scored.answers else ()
