"""`train`: when due, learns from the published nights before this one, judges on the newest of them, and promotes or not.

What is measured on what is decided in docs/decisions/0005-models.md and written on every card.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Any

import sqlalchemy as sa

from deployments.catalogue import Definition
from domain.drift import NIGHTS_IN_A_ROW, is_shift
from domain.fingerprint import fingerprint
from domain.promotion import Decision, decide_promotion, decide_training
from domain.report import StageReport
from domain.words import BatchKind, BatchState, Stage, StageState
from store.batches import load_batch
from store.drift import newest_drifts, save_profile
from store.engine import transaction
from store.models import (
    ModelVersion,
    asked_to_train,
    champion_for,
    find_fingerprint,
    model_asked_for,
    move_alias,
    newest_trained,
    save_model,
)
from store.publications import Published, published_batches
from store.runs import load_run
from tasks.artifacts import libraries_here, other_versions, pack
from tasks.cards import Trial, write_card
from tasks.confidence import tell_ranges, write_confidence
from tasks.context import Night, code_of
from tasks.estimators import build_estimator, estimator_path, fit_model, metric_of, threads
from tasks.features import feature_columns, hook_hash, load_hook
from tasks.folds import Folds, is_shifting
from tasks.later import find_later, refuse_later
from tasks.leaks import find_leaks, refuse_leaks
from tasks.learning import Lesson, read_lesson
from tasks.profiles import write_profile
from tasks.search import Found
from tasks.trial import pack_twins, search_lesson, try_recipe
from tasks.whole import ALL, learn_whole, learns_in_parts

CODE = (  # what decides which model comes out
    "train", "trial", "learning", "features", "encoding", "estimators", "folds", "frames", "leaks",
    "preparing",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ground:
    """What the decision to train is made on."""

    nights: Sequence[Published]
    fingerprint: str
    newest: ModelVersion | None
    same: ModelVersion | None
    champion: ModelVersion | None
    asked: bool
    drifted: str
    shifted: str = ""


def train(night: Night) -> StageReport:
    """Trains when `decide_training` says so. A new version is saved, and promoted if it won, in one transaction."""
    with transaction(night.engine) as connection:
        if model_asked_for(connection, night.run.id) == "as-was":
            why = "as-was: nothing is trained, for the champion of that night was asked for"
            return StageReport(Stage.TRAIN, StageState.SKIPPED, why)
        ground = _survey(night, connection)
    if ground.same is not None and ground.same.trained_for == night.interval.start and not ground.asked:
        return _reused(ground, ground.same)
    due = _decide(night, ground)
    if not due.yes:
        return StageReport(Stage.TRAIN, StageState.SKIPPED, due.why, fingerprint=ground.fingerprint)
    if ground.same is not None:
        return _reused(ground, ground.same)
    return _learn(night, ground, due)


def _survey(night: Night, connection: sa.Connection) -> Ground:
    pipeline, start = night.pipeline, night.interval.start
    table = load_run(connection, night.run.id).input_batch if pipeline.is_snapshot else None
    nights, name = survey_nights(connection, night.definition, start, table=table)
    newest = newest_trained(connection, pipeline.name, night=start)
    champion = champion_for(connection, pipeline.name, night=start)
    return Ground(
        nights,
        name,
        newest,
        find_fingerprint(connection, pipeline.name, name) or _stopped(newest, name),
        champion,
        asked_to_train(connection, night.run.id),
        _drifted(night, connection, newest, champion),
        _shifted(night, connection, newest, nights),
    )


def _stopped(newest: ModelVersion | None, name: str) -> ModelVersion | None:
    """The newest version, if it learned under this name in a search that its time stopped."""
    return newest if newest is not None and newest.params.get("learned_as") == name else None


def survey_nights(
    connection: sa.Connection, definition: Definition, start: datetime, *, table: int | None = None
) -> tuple[Sequence[Published], str]:
    """The nights that a model for the night that starts at `start` learns from, and the name of what it would be.

    A table that is whole every night holds all that is known, so of such nights it is this one alone: `table` is the
    number of its batch, or it is the one that readers see.
    """
    pipeline = definition.pipeline
    if pipeline.is_snapshot:
        nights = _whole_table(connection, pipeline.name, start, table)
    else:
        earliest = start.astimezone(pipeline.interval.timezone) - pipeline.model.window
        nights = published_batches(connection, pipeline.name, BatchKind.INPUT, start=earliest, end=start)
    name = fingerprint(
        [(each.interval.start.isoformat(), each.content_hash) for each in nights],
        definition_of(definition), code_of(definition, *CODE), libraries_here(),
    )  # fmt: skip
    return nights, name


def _whole_table(connection: sa.Connection, pipeline: str, start: datetime, table: int | None) -> Sequence[Published]:
    if table is None:
        return published_batches(connection, pipeline, BatchKind.INPUT, start=start)[:1]
    batch = load_batch(connection, table)
    return [Published(batch.interval, batch.id, batch.rows, batch.content_hash or "")]


def _drifted(night: Night, connection: sa.Connection, newest: ModelVersion | None, champion: ModelVersion | None) -> str:
    """The sentence that what readers were told has drifted since the newest training, empty when it has not: on each of the
    newest nights the predictions are past the limit and a watched feature has moved with them (docs/decisions/0005-models.md)."""
    limit = night.pipeline.model.drift_limit
    if newest is None or champion is None or limit is None:
        return ""
    found = newest_drifts(
        connection, champion.id, since=newest.trained_for, before=night.interval.start, nights=NIGHTS_IN_A_ROW
    )  # fmt: skip
    adrift = [
        each for each in found if is_shift(each.effect, rows=each.rows, limit=limit) and is_shift(each.cause, rows=each.rows)
    ]
    if len(adrift) < NIGHTS_IN_A_ROW:
        return ""
    return f"the predictions of version {champion.version} have drifted {len(adrift)} nights in a row " + (
        f"(psi {found[0].effect:.2f}, limit {limit:g}), and a feature with them (psi {found[0].cause:.2f})"
    )


def _shifted(
    night: Night, connection: sa.Connection, newest: ModelVersion | None, nights: Sequence[Published]
) -> str:  # fmt: skip
    """Why nobody can tell any more which rows were learned from, as the end of a sentence; empty when it can be told, or when no
    training is due by age at all. Rows that only their lines name are lost with every change, those in order of time with the
    table that was learned from."""
    folds = Folds.from_json(newest.params.get("folds")) if newest is not None else None
    if newest is None or folds is None or not nights or night.pipeline.model.retrain_after is None or folds.by == "key":
        return ""
    learned = load_batch(connection, newest.batches[0])
    if learned.state is BatchState.DROPPED:
        return "the table that it learned from was pruned, so which rows it learned from must be told anew"
    if learned.content_hash == nights[0].content_hash or not is_shifting(night.pipeline):
        return ""
    return "the table changed, and its rows have no name but their line, so which of them it learned from must be told anew"


def definition_of(definition: Definition) -> str:
    """A fingerprint of all that the user wrote about learning: target, features, model, columns' types, the folder's Python."""
    pipeline = definition.pipeline
    types = {name: pipeline.columns[name].type for name in (*pipeline.features.columns, pipeline.target.column)}
    return fingerprint(pipeline.model_fingerprint, types, definition.code_hash)


def _decide(night: Night, ground: Ground) -> Decision:
    newest, changed = ground.newest, ""
    if newest is not None and newest.params.get("definition") != definition_of(night.definition):
        changed = "what is written under target, features or model changed"
    elif ground.shifted:
        changed = ground.shifted
    elif newest is not None and newest.trained_for == night.interval.start:
        changed = "the nights, the code or the libraries that it learned with changed"
    return decide_training(
        night=night.interval.start,
        last_trained_for=newest.trained_for if newest else None,
        retrain_after=night.pipeline.model.retrain_after,
        nights=len(ground.nights),
        needed=1 if night.pipeline.is_snapshot else night.pipeline.model.min_intervals,
        asked=ground.asked,
        changed=changed,
        drifted=ground.drifted,
        unusable=_unusable(ground.champion),
    )


def _unusable(champion: ModelVersion | None) -> str:
    """Why the champion cannot be loaded here, empty when it can: scoring would refuse it, so the night trains one that it need
    not refuse."""
    other = other_versions(champion.libraries) if champion is not None else None
    return f"the champion, version {champion.version}, {other[1]}" if champion is not None and other else ""


def _reused(ground: Ground, version: ModelVersion) -> StageReport:
    why = f"version {version.version} learned the same from the same nights"
    return StageReport(
        Stage.TRAIN, StageState.REUSED, why, fingerprint=ground.fingerprint, detail={"version": version.version}
    )  # fmt: skip


def _learn(night: Night, ground: Ground, due: Decision) -> StageReport:
    build_estimator(night.pipeline, night.settings)  # a wrong definition is told before rows are read
    metric_of(night.pipeline)
    with transaction(night.engine) as connection:
        lesson = read_lesson(night, connection, ground.nights)
        later = find_later(night, connection, lesson.nights)
    unfit = lesson.why_unfit(needed=night.pipeline.model.min_intervals)
    unfit = unfit or refuse_later(night, later, has_champion=ground.champion is not None)
    if unfit:
        return StageReport(Stage.TRAIN, StageState.SKIPPED, unfit, rows_in=lesson.rows, fingerprint=ground.fingerprint)
    began = monotonic()
    with threads(night.settings, rows=lesson.rows) as count:
        search = night.pipeline.model.search
        until = began + search.time.total_seconds() if search is not None and search.time is not None else None
        trial = try_recipe(night, ground.champion, lesson, until=until)
        hints = find_leaks(night, lesson, trial)
        refusal = refuse_leaks(night, hints, has_champion=ground.champion is not None, classes=bool(trial.held.classes))
        if refusal:
            return StageReport(Stage.TRAIN, StageState.SKIPPED, refusal, rows_in=lesson.rows, fingerprint=ground.fingerprint)
        decision, metrics = _decide_promotion(night, trial), trial.to_json()
        found = search_lesson(night, lesson, slice(None), until=until)
        model = fit_model(lesson.features, lesson.answers, pipeline=found.pipeline, settings=night.settings)
        model = learn_whole(night, lesson, {ALL: model})[ALL]
        card = write_card(
            night, lesson, trial, decision, metrics=metrics, hints=hints, model=model, found=found, threads=count, began=began
        )  # fmt: skip
        confidence = write_confidence(night.pipeline, trial.held)
        profile = write_profile(lesson.features, trial.held) | confidence
        card["later_than_the_prediction"] = {name: one.to_json() for name, one in later.items()}
        card |= tell_ranges(night.pipeline, trial.held, confidence)
    return _save(
        night, ground, lesson, decision, trial=trial, metrics=metrics, due=due, model=model, found=found, card=card,
        profile=profile,
    )  # fmt: skip


def _decide_promotion(night: Night, trial: Trial) -> Decision:
    metric, promote = metric_of(night.pipeline), night.pipeline.model.promote
    return decide_promotion(
        metric=metric,
        challenger=trial.compared.figure(metric),
        champion=trial.champion_said.figure(metric) if trial.champion_said else None,
        dummy=trial.dummy.get(metric),
        at_least=promote.at_least,
        gain=promote.gain,
        relative=promote.relative,
        certain=promote.certain,
        interval=trial.difference,
    )


def _save(
    night: Night,
    ground: Ground,
    lesson: Lesson,
    decision: Decision,
    *,
    trial: Trial,
    metrics: dict[str, Any],
    due: Decision,
    model: Any,
    found: Found,
    card: dict[str, Any],
    profile: dict[str, Any],
) -> StageReport:
    artifact = pack(pack_twins(model, trial.twins, lesson.folds))
    rows = lesson.known if learns_in_parts(model, lesson) else lesson.rows
    with transaction(night.engine) as connection:
        version = save_model(
            connection, night.run, trained_from=lesson.nights[0].interval.start, trained_until=lesson.nights[-1].interval.end,
            batches=[each.batch for each in lesson.nights], rows=rows, task=night.pipeline.target.task,
            fingerprint=_name_of(ground, trial, found), metrics=metrics, params=_params(night, lesson, ground, found), card=card,
            libraries=libraries_here(), trusted_types=artifact.trusted_types, artifact=artifact.data, sha256=artifact.sha256,
            out_of_fold=lesson.folds is not None,
        )  # fmt: skip
        save_profile(connection, version.id, profile)
        evidence = {"metric": metric_of(night.pipeline), **metrics}
        alias = "champion" if decision.yes else "challenger"
        move_alias(
            connection, night.pipeline.name, alias, model=version.id, previous=ground.champion.id if ground.champion else None,
            effective_from=night.interval.start, who="overnight", why=decision.why, evidence=evidence,
        )  # fmt: skip
    outcome = "is champion" if decision.yes else "stays challenger"
    return StageReport(
        Stage.TRAIN, StageState.DONE, f"{due.why}; version {version.version} {outcome}: {decision.why}",
        rows_in=rows, rows_out=rows, fingerprint=ground.fingerprint,
        detail={"version": version.version, "promoted": decision.yes, "why": decision.why, "metrics": metrics},
    )  # fmt: skip


def _name_of(ground: Ground, trial: Trial, found: Found) -> str:
    """The fingerprint of what was learned; a search that its time stopped is named by the rungs that it came to, so that
    equal names go on meaning equal models."""
    stopped = [one.stopped for one in (*trial.searched.values(), found)]
    if not any(stopped):
        return ground.fingerprint
    return fingerprint(ground.fingerprint, *(f"search stopped at rung {rung}" if rung else "searched" for rung in stopped))


def _params(night: Night, lesson: Lesson, ground: Ground, found: Found) -> dict[str, Any]:
    """What a later night needs to use the model as it was made, and to see that the definition has changed."""
    return {
        "estimator": estimator_path(night.pipeline),
        "params": dict(found.pipeline.model.params),
        "columns": dict(feature_columns(night.pipeline)),
        "hook": hook_hash(night.definition) if load_hook(night.definition) else "",
        "target": night.pipeline.target.model_dump(mode="json", by_alias=True),
        "definition": definition_of(night.definition),
        "sampled": lesson.share,
        "folds": lesson.folds.to_json() if lesson.folds is not None else None,
        "learned_as": ground.fingerprint,
    }
