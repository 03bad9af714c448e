"""`train`: when due, learns from the published nights before this one, judges on the newest of them, and promotes or not.

What is measured on what is decided in docs/decisions/0005-models.md and written on every card.
"""

from time import monotonic
from typing import Any

from domain.fingerprint import fingerprint
from domain.promotion import Decision, decide_promotion
from domain.report import StageReport
from domain.words import Stage, StageState
from store.drift import save_profile
from store.engine import transaction
from store.models import ModelVersion, model_asked_for, move_alias, save_model
from tasks.artifacts import libraries_here, pack
from tasks.cards import Trial, write_card
from tasks.confidence import tell_ranges, write_confidence
from tasks.context import Night
from tasks.due import Ground, decide, definition_of, survey
from tasks.estimators import build_estimator, estimator_path, fit_model, metric_of, threads
from tasks.features import feature_columns, hook_hash, load_hook
from tasks.later import find_later, refuse_later
from tasks.leaks import find_leaks, refuse_leaks
from tasks.learning import Lesson, read_lesson
from tasks.profiles import write_profile
from tasks.search import Found
from tasks.trial import pack_twins, search_lesson, try_recipe
from tasks.whole import ALL, learn_whole, learns_in_parts


def train(night: Night) -> StageReport:
    """Trains when `decide_training` says so. A new version is saved, and promoted if it won, in one transaction."""
    if night.run.keeps(Stage.TRAIN):
        why = f"nothing is trained, for the run was to begin at {night.run.from_stage}"
        return StageReport(Stage.TRAIN, StageState.SKIPPED, why)
    with transaction(night.engine) as connection:
        if model_asked_for(connection, night.run.id) == "as-was":
            why = "as-was: nothing is trained, for the champion of that night was asked for"
            return StageReport(Stage.TRAIN, StageState.SKIPPED, why)
        ground = survey(night, connection)
    if ground.same is not None and ground.same.trained_for == night.interval.start and not ground.asked:
        return _reused(ground, ground.same)
    due = decide(night, ground)
    if not due.yes:
        return StageReport(Stage.TRAIN, StageState.SKIPPED, due.why, fingerprint=ground.fingerprint)
    if ground.same is not None:
        return _reused(ground, ground.same)
    return _learn(night, ground, due)


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
        uncompared=trial.note,
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
    artifact = pack(pack_twins(model, trial.twins, lesson))
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
