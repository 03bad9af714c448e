"""`score`: the champion that law 5 allows, over the night's input batch, in chunks, into a prediction batch of its own."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from domain.drift import is_shift
from domain.fingerprint import fingerprint
from domain.pipeline import Pipeline
from domain.report import StageReport
from domain.words import BatchKind, BatchState, Stage, StageState
from store.batches import Batch, count_batch, load_batch, newest_batch, open_batch, seal_batch
from store.drift import load_profile, record_drift
from store.engine import transaction
from store.models import (
    ModelVersion,
    champion_for,
    find_version,
    load_artifact,
    load_version,
    model_asked_for,
    newest_challenger,
    newest_champion,
)
from store.pipelines import EVERY
from store.runs import load_run, point_run, stage_reports
from tasks.context import Night
from tasks.estimators import threads
from tasks.models import Loaded, read_model, same_question
from tasks.profiles import LOOKED_AT, Watch
from tasks.ranges import range_columns
from tasks.scoring import Tally, score_rows
from tasks.shadow import add_shadow

CODE = (
    "score", "scoring", "leaves", "predictions", "features", "encoding", "folds", "frames", "models", "preparing", "ranges",
    "ingest/binary",
)  # fmt: skip
_KEPT = ("prediction", "probability", "model_version", "hindsight")


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be scored with what. `name` is equal for equal work; `why` says what is not as in the night's newest batch."""

    landed: Batch
    champion: ModelVersion
    existing: Batch | None
    name: str
    why: str = ""


def score(night: Night) -> StageReport:
    """Scores the run's input batch; `skipped` leaves the run without predictions when no model may score the night.

    Raises EnvironmentRefused when the champion cannot be trusted to be what was recorded.
    """
    with transaction(night.engine) as connection:
        found = _find(night, connection)
        if isinstance(found, str):
            return StageReport(Stage.SCORE, StageState.SKIPPED, found)
        if found.existing is not None:
            point_run(connection, night.run.id, model=found.champion.id, prediction_batch=found.existing.id)
            reused = _reused(found, found.existing)
        else:
            artifact = load_artifact(connection, found.champion.id)
    if found.existing is not None:
        return _with_shadow(night, reused, found)
    loaded = read_model(night, found.champion, artifact)
    with threads(night.settings, rows=found.landed.rows) as count, transaction(night.engine) as connection:
        batch, tally = _fill(night, connection, found, loaded)
        seal_batch(connection, batch.id, run=night.run.id)
        point_run(connection, night.run.id, model=found.champion.id, prediction_batch=batch.id)
    return _with_shadow(night, _report(night, found, batch, tally, threads=count), found)


def _with_shadow(night: Night, report: StageReport, work: Task) -> StageReport:
    return add_shadow(night, report, landed=work.landed, champion=work.champion, code=night.code_of(*CODE))


def _find(night: Night, connection: sa.Connection) -> Task | str:
    """The work, or the sentence why there is none."""
    run = load_run(connection, night.run.id)
    assert run.input_batch is not None
    landed = load_batch(connection, run.input_batch)
    if run.keeps(Stage.SCORE):
        return _keep(night, connection, landed)
    champion = _champion(night, connection)
    if isinstance(champion, str):
        return champion
    hindsight = run.hindsight
    every = (EVERY,) if night.pipeline.keeps_probabilities else ()
    name = fingerprint(landed.content_hash, champion.sha256, champion.version, night.code_of(*CODE), hindsight, *every)
    newest = newest_batch(connection, night.pipeline.name, BatchKind.PREDICTION, night.interval)
    # Predictions carry the verdict of their own input batch, so equal rows in another batch do not make them the same.
    same = (
        newest is not None
        and newest.state is BatchState.SEALED
        and newest.fingerprint == name
        and newest.input_batch == landed.id
    )
    if same and not run.repeats(Stage.SCORE):
        return Task(landed, champion, newest, name)
    return Task(landed, champion, None, name, _why_anew(newest, landed, champion, same=same) if newest is not None else "")


def _keep(night: Night, connection: sa.Connection, landed: Batch) -> Task | str:
    """The predictions that an earlier run made of these rows, whatever with, or the sentence that there are none."""
    newest = newest_batch(connection, night.pipeline.name, BatchKind.PREDICTION, night.interval)
    if newest is None or newest.model is None or newest.state is not BatchState.SEALED or newest.input_batch != landed.id:
        return f"nobody has scored the rows of batch {landed.id}, and the run was to begin at {night.run.from_stage}"
    return Task(landed, load_version(connection, newest.model), newest, newest.fingerprint)


def _why_anew(newest: Batch, landed: Batch, champion: ModelVersion, *, same: bool) -> str:
    if same:
        return f"; asked for anew beside batch {newest.id}"
    parts = {"of other rows": newest.input_batch != landed.id, "by another model": newest.model != champion.id}
    other = " and ".join(part for part, changed in parts.items() if changed) or "by other code or on other terms"
    return f"; batch {newest.id} was made {other}"


def _champion(night: Night, connection: sa.Connection) -> ModelVersion | str:
    pipeline = night.pipeline
    if model_asked_for(connection, night.run.id) == "as-if":
        return _trained_for(night, connection)
    newest = newest_champion(connection, pipeline.name)
    champion = newest if night.run.hindsight else champion_for(connection, pipeline.name, night=night.interval.start)
    if champion is not None and not same_question(champion, pipeline):
        return f"no model yet for this question: version {champion.version} was trained before the target changed"
    if champion is not None:
        return champion
    if newest is None:
        return _never_promoted(night, connection)
    until = newest.may_score_from.astimezone(pipeline.interval.timezone)
    return (
        f"no model yet: version {newest.version} learned from nights until {until:%Y-%m-%d %H:%M}, past this one's start (law 5)"
    )


def _never_promoted(night: Night, connection: sa.Connection) -> str:
    """Why there is no champion, with what helps: the newest version lost, or nothing could be learned."""
    name, lost = night.pipeline.name, newest_challenger(connection, night.pipeline.name)
    if lost is not None:
        version, why = lost
        return (
            f"no model yet: version {version} was not promoted, for {why}; better features may help, or, to score with it all "
            f"the same: overnight promote {name} {version} --why ..."
        )
    trained = next((report for report in stage_reports(connection, night.run.id) if report.stage is Stage.TRAIN), None)
    return f"no model yet: {trained.reason}" if trained is not None and trained.reason else "no model yet"


def _trained_for(night: Night, connection: sa.Connection) -> ModelVersion | str:
    """What this run's training made or found for this very night, whether it was promoted or not; or why there is none."""
    report = next(report for report in stage_reports(connection, night.run.id) if report.stage is Stage.TRAIN)
    number = report.detail.get("version")
    found = find_version(connection, night.pipeline.name, number) if number is not None else None
    return found or f"no model as if trained for this night: {report.reason}"


def _fill(night: Night, connection: sa.Connection, work: Task, loaded: Loaded) -> tuple[Batch, Tally]:
    """Opens the batch, fills its table and counts it, in the caller's transaction; the rows are read beside it."""
    batch = open_batch(
        connection, load_run(connection, night.run.id), BatchKind.PREDICTION, columns=kept_columns(night.pipeline),
        fingerprint=work.name, code=night.code_of(*CODE), image=night.settings.image_digest,
        input_batch=work.landed.id, model=work.champion.id,
    )  # fmt: skip
    with transaction(night.engine) as reading:
        watch = _watch(reading, work)
        tally = score_rows(night, loaded, work.landed, batch, reading=reading, writing=connection, watch=watch)
    count_batch(connection, batch.id, rows=tally.rows)
    record_drift(
        connection, tally.drifts, pipeline=night.pipeline.name, interval_start=night.interval.start, batch=batch.id,
        model=work.champion.id, run=night.run.id,
    )  # fmt: skip
    return batch, tally


def kept_columns(pipeline: Pipeline) -> tuple[str, ...]:
    """What a prediction batch's content hash covers."""
    return (*pipeline.key, *_KEPT, *range_columns(pipeline), *((EVERY,) if pipeline.keeps_probabilities else ()))


def _told(tally: Tally) -> str:
    """That predictions have drifted, with the feature that did most; the calendar alone moves predictions every night, so
    they are not called adrift while every feature is where it was."""
    effect = next((line for line in tally.drifts if line.kind == "prediction"), None)
    causes = [line for line in tally.drifts if line.kind == "feature" and is_shift(line.psi, rows=line.rows)]
    if effect is None or not causes or not is_shift(effect.psi, rows=effect.rows):
        return ""
    cause = max(causes, key=lambda line: line.psi)
    return f"; its predictions have drifted (psi {effect.psi:.2f}), of its features {cause.feature} most ({cause.psi:.2f})"


def _watch(connection: sa.Connection, work: Task) -> Watch | None:
    profile = load_profile(connection, work.champion.id)
    return Watch(profile, step=max(1, work.landed.rows // LOOKED_AT)) if profile is not None else None


def _reused(work: Task, batch: Batch) -> StageReport:
    why = f"batch {batch.id} holds version {work.champion.version}'s predictions for the same rows"
    detail: dict[str, Any] = {"batch": batch.id, "version": work.champion.version}
    return StageReport(
        Stage.SCORE, StageState.REUSED, why, work.landed.rows, batch.rows, fingerprint=work.name, detail=detail
    )  # fmt: skip


def _report(night: Night, work: Task, batch: Batch, tally: Tally, *, threads: int) -> StageReport:
    reason = f"version {work.champion.version} scored {tally.rows:,} rows{work.why}"
    if night.run.hindsight and work.champion.may_score_from > night.interval.start:
        reason += " in hindsight: it has learned from this night or later ones"
    reason += _told(tally)
    drift = {line.feature: line.psi for line in tally.drifts}
    unseen = {name: rows for name, rows in tally.unseen.items() if rows}
    detail = {"batch": batch.id, "version": work.champion.version, "threads": threads, "unseen": unseen, "drift": drift}
    return StageReport(
        Stage.SCORE, StageState.DONE, reason, work.landed.rows, tally.rows, fingerprint=work.name, detail=detail
    )  # fmt: skip
