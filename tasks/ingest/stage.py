"""The stage: decides whether the source is new, loads it in one transaction, and holds the night over the reject limit."""

from collections.abc import Iterator
from dataclasses import dataclass
from time import monotonic
from typing import Any

import sqlalchemy as sa

from domain.errors import Refused
from domain.fingerprint import fingerprint
from domain.report import StageReport
from domain.verdict import RuleResult, percent
from domain.words import BatchKind, BatchState, Outcome, Severity, Stage, StageState, counted
from store.batches import (
    Batch,
    abandon_batch,
    count_batch,
    load_batch,
    load_recipe,
    newest_batch,
    open_batch,
    record_verdict,
    seal_batch,
)
from store.engine import transaction
from store.pipelines import MORE
from store.runs import point_run
from store.sources import batch_before, count_changes
from tasks.changes import input_changes
from tasks.context import Night
from tasks.expectations import preload
from tasks.ingest.load import Brought, Loaded, load_files
from tasks.ingest.rejects import over_budget, sentence_of
from tasks.ingest.spread import brought_by_workers
from tasks.ingest.take import Taken, take_source


@dataclass(frozen=True, slots=True)
class _Found:
    """The night's source, and the fingerprint of all that its rows depend on."""

    taken: Taken
    fingerprint: str
    seconds: float


def ingest(night: Night) -> StageReport:
    """Takes the night's source into a batch of its own, or finds that an earlier run has done so.

    Raises SourceError when the source is missing, unreadable or not what the contract says; nothing remains of it then.
    """
    if night.run.keeps(Stage.INGEST):
        return _keep(night)
    began = monotonic()
    pipeline = night.pipeline
    zone, data = pipeline.interval.timezone, night.settings.data_folder
    with take_source(pipeline.source, night.interval, zone=zone, data=data, server=night.engine.url) as taken:
        found = _Found(taken, input_fingerprint(night, taken), monotonic() - began)
        with brought_by_workers(night, taken.files) as elsewhere, transaction(night.engine) as connection:
            newest = newest_batch(connection, pipeline.name, BatchKind.INPUT, night.interval)
            same = newest is not None and newest.fingerprint == found.fingerprint
            if newest is not None and same and not night.run.repeats(Stage.INGEST):
                point_run(connection, night.run.id, input_batch=newest.id)
                return _reused(newest, found)
            why = _why_anew(night, connection, found, newest) if newest is not None else ""
            if newest is not None and newest.state is BatchState.LOADED:
                abandon_batch(connection, newest.id)
            preload()
            return _load(night, connection, found, elsewhere, why=why)


def _keep(night: Night) -> StageReport:
    """The rows that an earlier run took in. Raises Refused when there are none."""
    first = night.run.from_stage
    with transaction(night.engine) as connection:
        newest = newest_batch(connection, night.pipeline.name, BatchKind.INPUT, night.interval)
        if newest is None:
            again = f"overnight run {night.pipeline.name} --interval {night.pipeline.calendar.label(night.interval)}"
            raise Refused(f"no rows of this night are kept, so it cannot begin at {first}", hint=again)
        point_run(connection, night.run.id, input_batch=newest.id)
    reason = f"the run was to begin at {first}, so the rows of batch {newest.id} were kept, whatever the source holds now"
    return StageReport(
        Stage.INGEST, StageState.REUSED, reason, newest.rows + newest.rejected, newest.rows, newest.rejected,
        newest.fingerprint, {"batch": newest.id},
    )  # fmt: skip


def _why_anew(night: Night, connection: sa.Connection, found: _Found, newest: Batch) -> str:
    """Why the rows of the night's newest batch do not do."""
    if newest.state is BatchState.LOADED:
        return f"batch {newest.id} was left half done, and is taken in anew"
    if newest.fingerprint == found.fingerprint:
        return f"taken in anew beside batch {newest.id}, for that was asked for"
    made = load_recipe(connection, newest.id)
    source = [file.sha256 for file in found.taken.files]
    changed = input_changes(night.definition, made, source=source) or ["suite"]  # of one that no suite has judged
    return f"taken in anew, for {' and '.join(f'the {part}' for part in changed)} changed since batch {newest.id}"


def input_fingerprint(night: Night, taken: Taken) -> str:
    """Of all that an input batch depends on: the source's content, the contract, the suite and the code."""
    return fingerprint(
        taken.content, night.pipeline.contract_fingerprint, night.definition.suite_hash, night.code_of("ingest")
    )  # fmt: skip


def _reused(batch: Batch, found: _Found) -> StageReport:
    reason = f"the source, the contract and the code are those of batch {batch.id}, so its rows were kept"
    detail = {"batch": batch.id, "files": found.taken.to_json(), "seconds": {"take": _round(found.seconds)}}
    return StageReport(
        Stage.INGEST, StageState.REUSED, reason, batch.rows + batch.rejected, batch.rows, batch.rejected, found.fingerprint,
        detail,
    )  # fmt: skip


def _load(
    night: Night, connection: sa.Connection, found: _Found, elsewhere: Iterator[Brought | None] | None, *, why: str
) -> StageReport:  # fmt: skip
    pipeline = night.pipeline
    more = [MORE] if pipeline.new_columns == "add" else []
    batch = open_batch(
        connection, night.run, BatchKind.INPUT,
        columns=[*pipeline.columns, *more], fingerprint=found.fingerprint, contract_hash=pipeline.contract_fingerprint,
        source={"files": found.taken.to_json()}, code=night.code_of("ingest"),
        image=night.settings.image_digest,
    )  # fmt: skip
    loaded = load_files(connection, batch, pipeline, found.taken.files, elsewhere=elsewhere)
    count_batch(connection, batch.id, rows=loaded.rows, rejected=loaded.rejected)
    changes = _changes(night, connection, batch) if pipeline.source.mode == "snapshot" else None
    held = _hold_reason(night, loaded)
    if held:
        result = RuleResult(
            "rejects.at_most", "rejects_at_most", (), Severity.CRITICAL, "table", "failed", held,
            limit=percent(pipeline.rejects.at_most), unexpected_count=loaded.rejected, judged_count=loaded.rows + loaded.rejected,
        )  # fmt: skip
        record_verdict(
            connection, batch.id, run=night.run.id, outcome=Outcome.HELD, reason=held,
            suite_hash="", results=[result.to_json()],  # no suite has seen these rows
        )  # fmt: skip
        seal_batch(connection, batch.id, run=night.run.id)
    point_run(connection, night.run.id, input_batch=batch.id)
    return _report(load_batch(connection, batch.id), found, loaded, held, changes, why=why)


def _changes(night: Night, connection: sa.Connection, batch: Batch) -> dict[str, int] | None:
    """How a snapshot differs from the last one before it."""
    before = batch_before(connection, night.pipeline.name, night.interval)
    if before is None:
        return None
    added, gone, changed = count_changes(
        connection, batch, before, key=night.pipeline.key, columns=list(night.pipeline.columns)
    )  # fmt: skip
    return {"since": before.id, "added": added, "gone": gone, "changed": changed}


def _hold_reason(night: Night, loaded: Loaded) -> str | None:
    if not loaded.rejected:
        return None
    kinds = {name: column.type for name, column in night.pipeline.columns.items()}
    worst = sentence_of(loaded.counts, kinds)
    return over_budget(rejected=loaded.rejected, read=loaded.read, at_most=night.pipeline.rejects.at_most, worst=worst)


def _report(
    batch: Batch, found: _Found, loaded: Loaded, held: str | None, changes: dict[str, int] | None, *, why: str
) -> StageReport:
    notes = [*([why] if why else []), *found.taken.notes, *loaded.notes]
    if changes:
        new = counted(changes["added"], "row")
        notes.append("{new} new, {gone:,} gone, {changed:,} changed since batch {since}".format(new=new, **changes))
    detail: dict[str, Any] = {
        "batch": batch.id,
        "files": found.taken.to_json(),
        "bytes": sum(file.bytes for file in found.taken.files),
        "seconds": {"take": _round(found.seconds)} | {name: _round(value) for name, value in loaded.seconds.items()},
        "rejects": loaded.by_rule,
        "notes": notes,
        "changes": changes,
    } | ({"brought": loaded.brought} if loaded.brought else {})
    reason = held or "; ".join(notes)
    state = StageState.HELD if held else StageState.DONE
    return StageReport(Stage.INGEST, state, reason, loaded.read, batch.rows, batch.rejected, found.fingerprint, detail)


def _round(seconds: float) -> float:
    return round(seconds, 3)
