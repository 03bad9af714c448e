"""A model version's card: what it learned from, what was measured on what, and how it was decided."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from domain.promotion import Decision
from store.models import ModelVersion
from store.publications import Published
from tasks.context import Night
from tasks.estimators import SEED, estimator_path, metric_of
from tasks.evidence import curves, importance, intervals, slices
from tasks.learning import Lesson
from tasks.metrics import Prior
from tasks.predictions import Said
from tasks.search import Found
from tasks.whole import learns_in_parts

HOW = (
    "The figures are those of a twin: the same recipe and seed, fitted on the nights before the held-out ones and asked "
    "about the held-out ones. The stored model was then fitted on all nights of the window, so no figure here is its own; "
    "its realised quality is."
)
HOW_FOLDED = (
    "The table is whole every night, so the figures are out of fold: the same recipe and seed, fitted once for each fold on "
    "rows of other folds and asked about its rows, {folds}. These twins are stored with the model and go on to score every row "
    "whose answer is known; rows whose answer is not known are scored by the model of all rows."
)


@dataclass(frozen=True, slots=True)
class Trial:
    """What a trial showed. `twins` are by their split, `twin` is the last of them; `counted` says which of the lesson's rows
    `held` is of: the challenger on every held-out row. `compared`, `champion_said` and `dummy` are on the rows that decide,
    which the champion has not seen either; `prior` is what the dummy knows after the whole window, for realised quality;
    `interval` and `difference` are of the deciding metric, the latter against the champion."""

    twin: Any
    twins: dict[int, Any]
    counted: Any
    held: Said
    held_dummy: Mapping[str, float]
    compared: Said
    dummy: Mapping[str, float]
    champion: ModelVersion | None
    champion_said: Said | None
    prior: Prior
    note: str
    interval: tuple[float, float] | None = None
    difference: tuple[float, float] | None = None
    searched: Mapping[int, Found] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "rows": len(self.compared),
            "challenger": self.compared.figures(),
            "champion": self.champion_said.figures() if self.champion_said else None,
            "champion_version": self.champion.version if self.champion else None,
            "dummy": dict(self.dummy),
            "held_out": self.held.figures(),
            "held_out_dummy": dict(self.held_dummy),
            "interval": self.interval,
            "difference": self.difference,
            "prior": self.prior.to_json(),
            "note": self.note,
        }


def write_card(
    night: Night,
    lesson: Lesson,
    trial: Trial,
    decision: Decision,
    *,
    metrics: Mapping[str, Any],
    hints: Mapping[str, float],
    model: Any,
    found: Found,
    threads: int,
    began: float,
) -> dict[str, Any]:
    """The card as JSON; docs/decisions/0005-models.md says what each part means. Everything in it is of held-out rows."""
    metric = metric_of(night.pipeline)
    shown, last = lesson.features[trial.counted], lesson.held[trial.counted]  # what the one twin has not seen either
    return {
        "question": night.pipeline.title,
        "recipe": {
            "estimator": estimator_path(night.pipeline), "params": dict(found.pipeline.model.params), "seed": SEED,
            "features": list(model[0].inputs_), "hook": night.pipeline.features.hook,
        },
        "data": {**_span(night, lesson.nights), "rows": lesson.rows, "sampling": _sampling(lesson, model)},
        "measured": {
            "how": HOW if lesson.folds is None else HOW_FOLDED.format(folds=lesson.folds.told()),
            "metric": metric,
            **_measured_on(night, lesson),
            "compared_on_rows": len(trial.compared),
            "note": trial.note,
        },
        "metrics": metrics,
        "intervals": intervals(trial.held) | ({metric: trial.interval} if trial.interval else {}),
        "importance": importance(trial.twin, shown[last], trial.held.only(last), metric),
        "slices": slices(shown, trial.held, metric),
        "curves": curves(trial.held),
        "almost_the_answer_alone": dict(hints),
        **_searched(night, trial, found),
        "decision": {"promoted": decision.yes, "why": decision.why},
        "seconds": round(monotonic() - began, 3),
        "threads": threads,
    }  # fmt: skip


def _searched(night: Night, trial: Trial, found: Found) -> dict[str, Any]:
    """What was tried for the stored model, and what its twins chose on their own rows."""
    if night.pipeline.model.search is None:
        return {}
    twins = [{"chosen": dict(one.chosen), "stopped": one.stopped, "note": one.note} for one in trial.searched.values()]
    return {"search": {**found.to_json(), "twins": twins}}


def _measured_on(night: Night, lesson: Lesson) -> dict[str, Any]:
    if lesson.folds is not None:
        whole = _span(night, lesson.nights)
        rows = int(lesson.counted.sum())
        return {"fitted_on": {**whole, "rows": lesson.rows}, "held_out": {**whole, "rows": rows}, "folds": lesson.folds.to_json()}
    cut = len(lesson.nights) - lesson.held_out
    return {
        "fitted_on": {**_span(night, lesson.nights[:cut]), "rows": int((~lesson.held).sum())},
        "held_out": {**_span(night, lesson.nights[cut:]), "rows": int(lesson.held.sum())},
    }


def _span(night: Night, nights: Sequence[Published]) -> dict[str, Any]:
    label = night.pipeline.calendar.label
    return {
        "from": nights[0].interval.start.isoformat(), "until": nights[-1].interval.end.isoformat(),
        "nights": [label(each.interval) for each in nights], "batches": [each.batch for each in nights],
    }  # fmt: skip


def _sampling(lesson: Lesson, model: Any) -> str:
    if lesson.share >= 1:
        return "every row whose answer is known"
    sample = f"{lesson.share:.2%} of the rows whose answer is known, those whose key hashes lowest (model.max_rows)"
    if not learns_in_parts(model, lesson):
        return sample
    return f"all {lesson.known:,} rows whose answer is known, in chunks; encoder and figures are of {sample}"
