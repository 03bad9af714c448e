"""The trial of a recipe: twins asked about rows that they have not seen, beside the champion and the dummy on the same rows."""

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from domain.errors import EnvironmentRefused
from domain.promotion import NO_CHAMPION
from store.engine import transaction
from store.models import ModelVersion, load_artifact
from tasks.cards import Trial
from tasks.context import Night
from tasks.estimators import fit_model, metric_of
from tasks.evidence import interval
from tasks.learning import Lesson, read_rows
from tasks.metrics import measure_prior, prior_of
from tasks.models import Loaded, read_model, same_question
from tasks.predictions import Said, joined, judge
from tasks.search import Found, find_params
from tasks.whole import learn_whole

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


def try_recipe(
    night: Night, champion: ModelVersion | None, lesson: Lesson, *, until: float | None = None
) -> Trial:  # fmt: skip
    """Fits a twin of the challenger on the rows before the held-out ones, or one for each fold, and measures all three on rows
    that none of them has seen: where the champion learned from some held-out nights, the comparison uses the others."""
    twins, counted, said, found = _ask_twins(night, lesson, until=until)
    task = night.pipeline.target.task
    prior = prior_of(lesson.answers, task)
    known = prior if lesson.folds is not None else prior_of(lesson.answers[~lesson.held], task)
    dummy = measure_prior(said.answers, known)
    metric, certain = metric_of(night.pipeline), interval(said, metric_of(night.pipeline))
    heard, note = _ask_champion(night, champion, lesson)
    last = twins[max(number for number, _, held in lesson.splits if held.any())]
    if heard is None:
        return Trial(last, twins, counted, said, dummy, said, dummy, champion, None, prior, note, certain, searched=found)
    rows, champion_said = heard
    both = rows & counted
    compared, champion_said = said.only(both[counted]), champion_said.only(both[rows])
    return Trial(
        last, twins, counted, said, dummy, compared, measure_prior(compared.answers, known), champion, champion_said, prior, note,
        certain, interval(compared, metric, other=champion_said), found,
    )  # fmt: skip


def _ask_twins(night: Night, lesson: Lesson, *, until: float | None) -> "tuple[dict[int, Any], Array, Said, dict[int, Found]]":
    """The twins, and what they say of every row that figures are of, each of rows that it has not learned from; and what each
    of them found when it searched its own rows."""
    classes = sorted({str(value) for value in lesson.answers}) if lesson.folds is not None else ()
    twins: dict[int, Any] = {}
    parts, searched = [], {}
    for number, fit, _ in lesson.splits:
        searched[number] = found = search_lesson(night, lesson, fit, until=until)
        twins[number] = fit_model(lesson.features[fit], lesson.answers[fit], pipeline=found.pipeline, settings=night.settings)
    twins = learn_whole(night, lesson, twins)
    for number, _, held in lesson.splits:
        if lesson.counted[held].any():
            said = judge(twins[number], lesson.features[held], lesson.answers[held], night.pipeline, classes=classes)
            parts.append((held, said))
    counted, whole = joined(parts, lesson.rows)
    return twins, counted, whole, searched


def search_lesson(night: Night, lesson: Lesson, rows: "Array | slice", *, until: float | None) -> Found:
    """What `model.search` chooses on some of a lesson's rows."""
    return find_params(
        lesson.features[rows], lesson.answers[rows], place=lesson.place[rows],
        ordered=lesson.folds is None or lesson.folds.by == "time", pipeline=night.pipeline, settings=night.settings, until=until,
    )  # fmt: skip


def _ask_champion(night: Night, champion: ModelVersion | None, lesson: Lesson) -> "tuple[tuple[Array, Said] | None, str]":
    """What the champion says of those rows that it has not learned from, and which they are; or None. And which it was."""
    if champion is None:
        return None, NO_CHAMPION
    name = f"version {champion.version}"
    if not same_question(champion, night.pipeline):
        return None, f"the champion, {name}, answers another question, so it was not compared"
    try:
        with transaction(night.engine) as connection:
            loaded = read_model(night, champion, load_artifact(connection, champion.id))
            if lesson.folds is not None:
                found = _ask_folded(night, connection, loaded, lesson)
            else:
                found = _ask_whole(night, connection, loaded, lesson)
    except EnvironmentRefused as refusal:
        return None, f"the champion could not be judged: {refusal.what}"
    if found is None:
        return None, f"the champion, {name}, learned from every held-out row, so it was not compared"
    return found, f"{name} was judged on the {len(found[1]):,} held-out rows that it had not learned from"


def _ask_whole(night: Night, connection: sa.Connection, loaded: Loaded, lesson: Lesson) -> "tuple[Array, Said] | None":
    unseen = lesson.held & lesson.since(loaded.version.trained_until)
    if not unseen.any():
        return None
    nights = lesson.nights[int(lesson.place[unseen].min()) :]
    rows, answers, _ = read_rows(night, connection, nights, loaded.columns, share=lesson.share)
    return unseen, judge(loaded.estimator, loaded.prepare(rows), answers, night.pipeline)


def _ask_folded(night: Night, connection: sa.Connection, loaded: Loaded, lesson: Lesson) -> "tuple[Array, Said] | None":
    """The same rows of the same table, each asked of the champion's twin that has not seen it, by the champion's own folds."""
    if loaded.folds is None:
        return None
    rows, answers, place = read_rows(
        night, connection, lesson.nights, loaded.columns, share=lesson.share, folds=loaded.folds
    )  # fmt: skip
    frame, counted = loaded.prepare(rows), loaded.counted(place)
    classes = sorted({str(name) for name in getattr(loaded.estimator, "classes_", ())} | {str(value) for value in answers})
    parts = []
    for fold in sorted({int(number) for number in place[counted]}):
        mask = place == fold
        said = judge(loaded.twins[fold], frame[mask], answers[mask], night.pipeline, classes=classes)
        parts.append((mask, said))
    return joined(parts, lesson.rows) if parts else None


def pack_twins(model: Any, twins: dict[int, Any], lesson: Lesson) -> Any:
    """What is stored: the model, and beside it one twin for each fold where there are folds. A fold that was empty has no
    twin of its own; whatever falls into it one night is as new to the model of all rows as to any other. None stands where no
    model is free of what a fold must not know: its rows are marked."""
    if lesson.folds is None:
        return model
    twins = {fold: model for fold in range(lesson.folds.count) if lesson.is_empty(fold)} | twins
    return {"all": model, "twins": [twins.get(fold) for fold in range(lesson.folds.count)]}
