"""What is declared, where every pointer stands, and which runs are alive: all that a trust line needs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from psycopg import sql
from pydantic import ValidationError

from domain.errors import DefinitionError, UsageError
from domain.interval import Interval
from domain.pipeline import Pipeline
from domain.standing import Attempt
from domain.words import RunState
from store.reads.connection import Connection, Row, fetch, fetch_one
from store.reads.spans import ASKED, Spans, parameters


@dataclass(frozen=True, slots=True)
class Published:
    """Where one pointer stands, with the newest verdict on what it points at, and the `target` that its model was taught."""

    interval: Interval
    kind: str
    batch: int
    publication: int
    published_at: datetime
    who: str
    why: str
    rows: int
    rejected: int
    hindsight: bool
    hindsight_rows: int
    input_batch: int | None
    model_version: int | None
    verdict: str | None
    verdict_reason: str | None
    target: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class NightLine:
    """The newest run of one interval that tells something, and how many there were."""

    interval: Interval
    attempt: Attempt
    runs: int
    input_batch: int | None
    prediction_batch: int | None
    started_at: datetime
    ended_at: datetime | None


@lru_cache(maxsize=256)
def _read_definition(document: str, order: tuple[str, ...]) -> Pipeline:
    """The definition with its columns in the order of the tables, which jsonb does not keep and a key's index needs."""
    definition = json.loads(document)
    places = {name: place for place, name in enumerate(order)}
    columns = sorted(definition["columns"].items(), key=lambda item: places.get(item[0], len(places)))
    return Pipeline.model_validate({**definition, "columns": dict(columns)})


def declared(connection: Connection, *, name: str | None = None) -> list[Pipeline]:
    """The pipelines as they were last registered, by name; of one name, none or one.

    Raises DefinitionError when this version cannot read what another one has registered.
    """
    lines = fetch(connection, _DECLARED, {"name": name})
    try:
        return [_read_definition(line["definition"], tuple(line["columns"])) for line in lines]
    except ValidationError as error:
        first = error.errors()[0]
        raise DefinitionError(
            f"a registered definition is not one of this version ({'.'.join(map(str, first['loc']))}: {first['msg']})",
            hint="overnight check",
        ) from error


def faults_of(connection: Connection, names: Sequence[str]) -> dict[str, str]:
    """What is wrong with the folders of those pipelines whose nights fail because of it."""
    return {line["name"]: line["fault"] for line in fetch(connection, _FAULTS, {"names": list(names)})}


_FAULTS = sql.SQL("SELECT name, fault FROM reading.pipeline WHERE name = ANY (%(names)s) AND fault IS NOT NULL")


_DECLARED = sql.SQL("""
SELECT definition::text AS definition, ARRAY(SELECT attname::text FROM pg_attribute
    WHERE attrelid = to_regclass(format('%%I.history', name)) AND attnum > 0 AND NOT attisdropped ORDER BY attnum) AS columns
FROM reading.pipeline WHERE %(name)s::text IS NULL OR name = %(name)s ORDER BY name
""")


def newest_published(connection: Connection, names: Sequence[str], *, kind: str) -> dict[str, Published]:
    """Each pipeline's newest published night of one kind."""
    lines = fetch(connection, _NEWEST_PUBLISHED, {"names": list(names), "kind": kind})
    return {line["pipeline"]: _published(line) for line in lines}


_TARGET = sql.SQL("(SELECT m.params -> 'target' FROM reading.model m WHERE m.id = p.model) AS target")
_NEWEST_PUBLISHED = sql.SQL("""
SELECT r.* FROM unnest(%(names)s::text[]) AS n (name), LATERAL (
    SELECT p.*, {target} FROM reading.published p
    WHERE p.pipeline = n.name AND p.kind = %(kind)s ORDER BY p.interval_start DESC LIMIT 1) r
""").format(target=_TARGET)


def find_gaps(connection: Connection, names: Sequence[str]) -> dict[str, list[Interval]]:
    """Each pipeline's spans between published nights, of either kind, of which nothing is published or waived, oldest first."""
    gaps: dict[str, list[Interval]] = {}
    for line in fetch(connection, _GAPS, {"names": list(names)}):
        gaps.setdefault(line["pipeline"], []).append(Interval(line["start"], line["until"]))
    return gaps


_GAPS = sql.SQL("SELECT pipeline, start, until FROM reading.gap WHERE pipeline = ANY (%(names)s) ORDER BY pipeline, start")


def waived_between(connection: Connection, spans: Spans, *, by: datetime | None = None) -> dict[str, dict[datetime, str]]:
    """Who has waived which of the nights of these spans, and why, by pipeline and by their starts; no word later than `by`."""
    found: dict[str, dict[datetime, str]] = {name: {} for name in spans}
    for line in fetch(connection, _WAIVED, {**parameters(spans), "by": by}) if spans else ():
        found[line["pipeline"]][line["interval_start"]] = f"by {line['who']}: {line['why']}"
    return found


_WAIVED = sql.SQL("""
SELECT w.pipeline, w.interval_start, w.who, w.why FROM reading.waived w JOIN {asked}
    ON w.pipeline = n.name AND w.interval_start BETWEEN n.first AND n.last AND (%(by)s::timestamptz IS NULL OR w.at <= %(by)s)
""").format(asked=ASKED)


def published_between(connection: Connection, spans: Spans) -> dict[str, list[Published]]:
    """Every pointer of both kinds for the nights of these spans, by pipeline, oldest first."""
    found: dict[str, list[Published]] = {name: [] for name in spans}
    for line in fetch(connection, _BETWEEN, parameters(spans)) if spans else ():
        found[line["pipeline"]].append(_published(line))
    return found


_BETWEEN = sql.SQL("""
SELECT p.* FROM {asked}, LATERAL (
    SELECT p.*, {target} FROM reading.published p
    WHERE p.pipeline = n.name AND p.interval_start BETWEEN n.first AND n.last OFFSET 0) p
ORDER BY p.pipeline, p.interval_start, p.kind
""").format(asked=ASKED, target=_TARGET)


def published_on(connection: Connection, name: str, starts: Sequence[datetime]) -> dict[datetime, Published]:
    """The prediction batches that readers see of the nights that start then, by their starts."""
    lines = fetch(connection, _ON, {"name": name, "starts": list(starts)})
    return {line["interval_start"]: _published(line) for line in lines}


_ON = sql.SQL("""
SELECT p.*, {target} FROM reading.published p
WHERE pipeline = %(name)s AND kind = 'prediction' AND interval_start = ANY (%(starts)s::timestamptz[])
""").format(target=_TARGET)


def _published(line: Row) -> Published:
    names = [name for name in Published.__dataclass_fields__ if name != "interval"]
    return Published(Interval(line["interval_start"], line["interval_end"]), **{name: line[name] for name in names})


def newest_tried(connection: Connection, names: Sequence[str]) -> dict[str, NightLine]:
    """Each pipeline's newest night that any run ever took."""
    return {line["pipeline"]: _night(line) for line in fetch(connection, _NEWEST_TRIED, {"names": list(names)})}


_NEWEST_TRIED = sql.SQL("""
SELECT r.* FROM unnest(%(names)s::text[]) AS n (name), LATERAL (
    SELECT * FROM reading.night t WHERE t.pipeline = n.name AND t.interval_start = (
        SELECT interval_start FROM reading.run x WHERE x.pipeline = n.name ORDER BY interval_start DESC LIMIT 1)) r
""")


def nights_between(connection: Connection, spans: Spans) -> dict[str, list[NightLine]]:
    """The nights of these spans that any run ever took, by pipeline, oldest first."""
    found: dict[str, list[NightLine]] = {name: [] for name in spans}
    for line in fetch(connection, _NIGHTS, parameters(spans)) if spans else ():
        found[line["pipeline"]].append(_night(line))
    return found


_NIGHTS = sql.SQL("""
SELECT t.* FROM {asked}, LATERAL (
    SELECT * FROM reading.night t WHERE t.pipeline = n.name AND t.interval_start BETWEEN n.first AND n.last OFFSET 0) t
ORDER BY t.pipeline, t.interval_start
""").format(asked=ASKED)


def _night(line: Row) -> NightLine:
    return NightLine(
        Interval(line["interval_start"], line["interval_end"]),
        Attempt(line["run"], RunState(line["state"]), line["reason"]),
        line["runs"], line["input_batch"], line["prediction_batch"], line["started_at"], line["ended_at"],
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Alive:
    """Which nights were held by a living process, at a moment before the rest of an answer was read.

    A run takes its lock before it writes its line and lets go after it has closed it; so a run that is open now, had
    started by then, and held nothing, has lost its process.
    """

    locks: frozenset[int]
    at: datetime
    standby: bool

    def holds(self, line: NightLine, key: int) -> bool:
        return self.standby or key in self.locks or line.started_at >= self.at


def living_runs(connection: Connection) -> Alive:
    """Asks Postgres who holds which night's lock; ask this before the snapshot that it is compared with."""
    line = fetch_one(connection, _LIVING)
    assert line is not None
    return Alive(frozenset(line["locks"]), line["at"], line["standby"])


# The two halves of an advisory lock's key are shown as unsigned oids. A standby does not know its primary's locks.
_LIVING = sql.SQL("""
SELECT clock_timestamp() AS at, pg_is_in_recovery() AS standby,
    coalesce(array_agg((classid::bigint << 32) | objid::bigint) FILTER (WHERE granted), '{}') AS locks
FROM pg_locks
WHERE locktype = 'advisory' AND objsubid = 1 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
""")


def lock_keys(connection: Connection, nights: Sequence[tuple[str, datetime]]) -> dict[tuple[str, datetime], int]:
    """The key under which `store.runs.claim` locks each night."""
    if not nights:
        return {}
    names, starts = zip(*nights, strict=True)
    lines = fetch(connection, _KEYS, {"names": list(names), "starts": list(starts)})
    return {(line["name"], line["start"]): line["key"] for line in lines}


_KEYS = sql.SQL("""
SELECT name, start, hashtextextended(format('overnight %%s %%s', name, round(extract(epoch FROM start))), 0) AS key
FROM unnest(%(names)s::text[], %(starts)s::timestamptz[]) AS n (name, start)
""")


@dataclass(frozen=True, slots=True)
class Mark:
    """What changes whenever anything changes that an answer about these pipelines may show. While runs are `open`, the death of a
    process changes answers too, and is written nowhere."""

    publication: int
    ledger: str
    open: int


def ledger_mark(connection: Connection, name: str | None) -> Mark:
    line: dict[str, Any] | None = fetch_one(connection, _MARK, {"name": name})
    assert line is not None
    return Mark(line["publication"] or 0, line["ledger"], line["open"])


_MARK = sql.SQL("""
SELECT u.publication, r.open, concat_ws('/', u.publication, r.*, s.*, a.*, p.*, d.*, w.*) AS ledger
FROM (SELECT max(id) AS publication FROM reading.publication WHERE %(name)s::text IS NULL OR pipeline = %(name)s) u,
    (SELECT max(id), max(ended_at), count(ended_at), count(*) - count(ended_at) AS open
        FROM reading.run WHERE %(name)s::text IS NULL OR pipeline = %(name)s) r,
    (SELECT max(id) FROM reading.stage_run) s,
    (SELECT max(id) FROM reading.alias_move) a,
    (SELECT max(id) FROM reading.pruning) d,
    (SELECT max(at), count(*) FROM reading.waived WHERE %(name)s::text IS NULL OR pipeline = %(name)s) w,
    (SELECT max(registered_at), count(*), string_agg(name || fault, '/' ORDER BY name)
        FROM reading.pipeline WHERE %(name)s::text IS NULL OR name = %(name)s) p
""")


def published_as_of(connection: Connection, name: str, *, moment: datetime, start: datetime | None) -> Published | None:
    """The prediction batch that readers saw of a night at `moment`; of no night in particular, of the newest then. Raises
    UsageError for a moment that has not come yet."""
    line = fetch_one(connection, _AS_OF, {"name": name, "moment": moment, "start": start})
    assert line is not None
    if line["ahead"]:
        said = moment.isoformat(timespec="seconds")
        raise UsageError(f"as_of: what readers will see at {said} nobody knows yet; leave it out for what they see now")
    return _published(line) if line["batch"] is not None else None


_AS_OF = sql.SQL("""
SELECT c.ahead, u.interval_start, u.interval_end, u.kind, u.batch, u.id AS publication, u.at AS published_at, u.who, u.why,
    b.rows, b.rejected, b.hindsight, b.hindsight_rows, b.input_batch, m.version AS model_version, v.outcome AS verdict,
    v.reason AS verdict_reason, m.params -> 'target' AS target
FROM (SELECT %(moment)s > clock_timestamp() AS ahead) c LEFT JOIN (
    (SELECT * FROM reading.publication WHERE pipeline = %(name)s AND kind = 'prediction' AND at <= %(moment)s
        AND (%(start)s::timestamptz IS NULL OR interval_start = %(start)s)
        ORDER BY interval_start DESC, id DESC LIMIT 1) u
    JOIN reading.batch b ON b.id = u.batch
    LEFT JOIN reading.model m ON m.id = b.model
    LEFT JOIN LATERAL (SELECT outcome, reason FROM reading.verdict
        WHERE batch = b.input_batch AND at <= %(moment)s ORDER BY id DESC LIMIT 1) v ON true
) ON true
""")
