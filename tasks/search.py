"""Parameters chosen by successive halving: many candidates on few rows, the better third of them on three times as many.

The search is part of the recipe. Whatever is fitted, the stored model and each of its twins, searches on the very rows that it is
fitted on, so that no parameter knows an answer that its model does not. Why: docs/decisions/0005-models.md.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any

from domain.errors import DefinitionError
from domain.pipeline import Pipeline
from domain.promotion import HIGHER_IS_BETTER
from domain.spec.learning import Range
from infra.settings import Settings
from tasks.estimators import SEED, build_estimator, definition_errors, learner_of, metric_of, takes_answers
from tasks.predictions import judge

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Array = np.ndarray[Any, Any]

FACTOR = 3
FEWEST_ROWS = 100  # on the first rung: with fewer there are fewer rungs, and the last one always has all rows
BLOCKS = 4  # of nights or blocks in order of time: each but the first is asked about by what came before it


@dataclass(frozen=True, slots=True)
class Found:
    """What a search chose, and how. `pipeline` is the definition with what was chosen; `stopped` is the rung after which its
    time was up, None when it went to the end; `note` says why nothing was searched."""

    pipeline: Pipeline
    chosen: Mapping[str, Any] = field(default_factory=dict)
    tried: Sequence[Mapping[str, Any]] = ()
    rungs: Sequence[Mapping[str, int]] = ()
    stopped: int | None = None
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "chosen": dict(self.chosen), "tried": list(self.tried), "rungs": list(self.rungs), "stopped": self.stopped,
            "note": self.note,
        }  # fmt: skip


class _TimeIsUp(Exception):
    """Raised between two rungs."""


def find_params(
    frame: "pd.DataFrame",
    answers: "Array",
    *,
    place: "Array",
    ordered: bool,
    pipeline: Pipeline,
    settings: Settings,
    until: float | None = None,
) -> Found:
    """The best of `model.search` for these rows, and what was tried. `place` says to which night, block or fold each row belongs,
    and `ordered` whether these follow each other in time; no candidate is asked about a place that it learned from, nor about
    one before. `until` is when no further rung is begun, on the clock of `monotonic`."""
    spec = pipeline.model.search
    if spec is None:
        return Found(pipeline)
    _check_values(pipeline, settings)
    splits = _splits(place, ordered=ordered)
    if not splits or not takes_answers(pipeline, answers):
        return Found(pipeline, note="there was one night, block, fold or answer only, so nothing was searched")
    from tasks.encoding import ContractEncoder

    encoder = ContractEncoder().fit(frame)
    learner = learner_of(encoder, answers, pipeline=pipeline, settings=settings)
    search = _halving(learner, spec, splits=splits, scorer=_scorer(pipeline, answers), rows=len(answers), until=until)
    with warnings.catch_warnings(), definition_errors(pipeline):
        warnings.simplefilter("ignore")  # a part of the rows that lacks a class has no figure, which is told by its absence
        search.fit(encoder.transform(frame), answers)
    return _found(pipeline, search)


def _splits(place: "Array", *, ordered: bool) -> "list[tuple[Array, Array]]":
    import numpy as np

    there = np.unique(place)
    if not ordered:
        return [(np.flatnonzero(place != one), np.flatnonzero(place == one)) for one in there] if len(there) > 1 else []
    blocks = [block for block in np.array_split(there, BLOCKS) if len(block)]
    return [(np.flatnonzero(place < block[0]), np.flatnonzero(np.isin(place, block))) for block in blocks[1:]]


def _halving(
    learner: Any, spec: Any, *, splits: "list[tuple[Array, Array]]", scorer: Any, rows: int, until: float | None
) -> Any:  # fmt: skip
    from sklearn.experimental import enable_halving_search_cv  # noqa: F401  # it opens the door to the next
    from sklearn.model_selection import HalvingRandomSearchCV

    class Search(HalvingRandomSearchCV):  # type: ignore[misc]  # scikit-learn ships no types
        """Ends after a rung when its time is up; the best of the last rung is chosen then."""

        rungs_ = 0
        stopped_: int | None = None

        def _run_search(self, evaluate_candidates: Callable[..., Any], *, callback_ctx: Any = None) -> None:
            others = {} if callback_ctx is None else {"callback_ctx": callback_ctx}  # since scikit-learn 1.9

            def one_rung(*arguments: Any, **named: Any) -> Any:
                if self.rungs_ and until is not None and monotonic() >= until:
                    raise _TimeIsUp
                self.rungs_ += 1
                return evaluate_candidates(*arguments, **named)

            try:
                super()._run_search(one_rung, **others)
            except _TimeIsUp:
                self.stopped_ = self.rungs_

    prefix = "model__estimator__" if hasattr(learner[-1], "estimator") and hasattr(learner[-1], "cv") else "model__"
    space = {f"{prefix}{name}": _distribution(values) for name, values in spec.params.items()}
    candidates = _known_candidates(space, spec.candidates)
    return Search(
        learner, space, n_candidates=candidates, factor=FACTOR, min_resources=_rows_at_first(candidates, rows), cv=splits,
        scoring=scorer, refit=False, random_state=SEED, error_score=float("nan"),
    )  # fmt: skip


def _rows_at_first(candidates: int, rows: int) -> int:
    while candidates >= FACTOR and rows // FACTOR >= FEWEST_ROWS:
        candidates, rows = candidates // FACTOR, rows // FACTOR
    return rows


def _known_candidates(space: Mapping[str, Any], candidates: int) -> int:
    """No more than there are where every parameter is a list."""
    count = 1
    for values in space.values():
        if not isinstance(values, list):
            return candidates
        count *= len(values)
    return min(count, candidates)


def _distribution(values: Any) -> Any:
    """scikit-learn draws from lists as they are, and from scipy's distributions."""
    from scipy import stats

    if not isinstance(values, Range):
        return list(values)
    low, high = values.ends
    if values.whole:
        return stats.randint(int(low), int(high) + 1)
    return stats.loguniform(low, high) if values.scale == "log" else stats.uniform(low, high - low)


def _scorer(pipeline: Pipeline, answers: "Array") -> Callable[[Any, Any, Any], float]:
    """The deciding metric by the same formula as everywhere, higher being better; nothing where a part cannot give it."""
    metric = metric_of(pipeline)
    sign = 1.0 if HIGHER_IS_BETTER[metric] else -1.0
    classes = sorted({str(value) for value in answers})

    def score(model: Any, frame: Any, truth: Any) -> float:
        figure = judge(model, frame, truth, pipeline, classes=classes).figure(metric)
        return float("nan") if figure is None else sign * figure

    return score


def _check_values(pipeline: Pipeline, settings: Settings) -> None:
    """Every value of a list and both ends of a range are tried on the estimator before any row is learned from."""
    assert pipeline.model.search is not None
    for name, values in pipeline.model.search.params.items():
        if name in pipeline.model.params:
            raise DefinitionError(
                f"model.search: {name!r} stands under model.params too; leave it in one of them",
                where=f"{pipeline.name}/pipeline.yaml", hint=f"overnight check {pipeline.name}",
            )  # fmt: skip
        for value in values.ends if isinstance(values, Range) else values:
            estimator = build_estimator(_with_params(pipeline, {name: value}), settings)
            with definition_errors(pipeline):
                if hasattr(estimator, "_validate_params"):
                    estimator._validate_params()


def _with_params(pipeline: Pipeline, params: Mapping[str, Any]) -> Pipeline:
    model = pipeline.model
    return pipeline.model_copy(update={"model": model.model_copy(update={"params": {**model.params, **params}})})


def _found(pipeline: Pipeline, search: Any) -> Found:
    results, metric = search.cv_results_, metric_of(pipeline)
    sign = 1.0 if HIGHER_IS_BETTER[metric] else -1.0
    names = [{name.rpartition("__")[2]: _plain(value) for name, value in params.items()} for params in results["params"]]
    lines = [
        {"params": params, "rung": int(rung) + 1, "rows": int(rows), metric: _rounded(sign * score)}
        for params, rung, rows, score in zip(
            names, results["iter"], results["n_resources"], results["mean_test_score"], strict=True
        )
    ]  # fmt: skip
    best = lines[search.best_index_]
    if best[metric] is None:
        return Found(pipeline, tried=lines, note=f"no candidate gave {metric} on the last rung, so params stay as written")
    rungs = [
        {"rows": int(rows), "candidates": int(count)}
        for rows, count in zip(search.n_resources_[: search.rungs_], search.n_candidates_[: search.rungs_], strict=True)
    ]
    return Found(_with_params(pipeline, best["params"]), best["params"], lines, rungs, search.stopped_)


def _plain(value: Any) -> Any:
    """A number as JSON knows it."""
    return value.item() if hasattr(value, "item") else value


def _rounded(value: float) -> float | None:
    return round(float(value), 6) if value == value else None
