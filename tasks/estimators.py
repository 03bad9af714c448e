"""Estimators by dotted path, from allowed packages only, and the scikit-learn pipeline around them."""

import difflib
import importlib
import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from domain.errors import DefinitionError
from domain.pipeline import Pipeline
from domain.promotion import HIGHER_IS_BETTER
from domain.words import Task
from infra.settings import Settings
from tasks.features import load_function

if TYPE_CHECKING:
    import pandas as pd

SEED = 0
FEW_ROWS = 50_000
CALIBRATION_FOLDS = 3
REGRESSION_METRICS = frozenset({"rmse", "mae", "r2"})
_DEFAULTS = {
    Task.CLASSIFICATION: ("sklearn.ensemble.HistGradientBoostingClassifier", "roc_auc"),
    Task.REGRESSION: ("sklearn.ensemble.HistGradientBoostingRegressor", "rmse"),
}


def _wrong(pipeline: Pipeline, what: str) -> DefinitionError:
    return DefinitionError(what, where=f"{pipeline.name}/pipeline.yaml", hint=f"overnight check {pipeline.name}")


def metric_of(pipeline: Pipeline) -> str:
    """The metric that decides; the task's own when pipeline.yaml names none. Raises DefinitionError when they do not fit."""
    if "metric" not in pipeline.model.model_fields_set:
        return _DEFAULTS[pipeline.target.task][1]
    metric = pipeline.model.metric
    if (metric in REGRESSION_METRICS) != (pipeline.target.task is Task.REGRESSION):
        fitting = sorted(
            REGRESSION_METRICS if pipeline.target.task is Task.REGRESSION else set(HIGHER_IS_BETTER) - REGRESSION_METRICS
        )
        raise _wrong(pipeline, f"model.metric: {metric!r} does not judge a {pipeline.target.task}; use {', '.join(fitting)}")
    return metric


def estimator_path(pipeline: Pipeline) -> str:
    """The dotted path of the estimator; scikit-learn's histogram gradient boosting of the task when none is named."""
    named = "estimator" in pipeline.model.model_fields_set
    return pipeline.model.estimator if named else _DEFAULTS[pipeline.target.task][0]


def build_estimator(pipeline: Pipeline, settings: Settings) -> Any:
    """The estimator with its arguments and a fixed seed; raises DefinitionError with the nearest known name.

    `file.py:function` is a factory in the pipeline's own folder: it is called with the arguments.
    """
    path = estimator_path(pipeline)
    if ":" in path:
        factory = load_function(settings.deployments / pipeline.name, path, key="model.estimator")
        try:
            made = factory(**pipeline.model.params)
        except TypeError as error:
            raise _wrong(pipeline, f"model.params: {error}") from None
        _refuse_wrong_task(pipeline, path, made)
        return made
    found = _find_class(pipeline, path, allowed=[name.strip() for name in settings.estimators.split(",")])
    known = inspect.signature(found).parameters
    params: Mapping[str, Any] = pipeline.model.params
    for name in params:
        if name not in known:
            near = difflib.get_close_matches(name, list(known), n=1)
            raise _wrong(pipeline, f"model.params: {path} takes no {name!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
    seed = {"random_state": SEED} if "random_state" in known else {}
    estimator = found(**{**seed, **params})
    _refuse_wrong_task(pipeline, path, estimator)
    return estimator


def _find_class(pipeline: Pipeline, path: str, *, allowed: list[str]) -> Any:
    module, _, name = path.rpartition(".")
    if path.partition(".")[0] not in allowed:
        raise _wrong(
            pipeline,
            f"model.estimator: {path!r} is from none of the packages that OVERNIGHT_ESTIMATORS allows ({', '.join(allowed)})",
        )
    try:
        holder = importlib.import_module(module)
    except ImportError as error:
        raise _wrong(pipeline, f"model.estimator: {module!r} cannot be imported ({error})") from None
    found = getattr(holder, name, None)
    if not inspect.isclass(found) or not hasattr(found, "fit") or not hasattr(found, "predict"):
        near = difflib.get_close_matches(name, [n for n in dir(holder) if n[0].isupper()], n=1)
        raise _wrong(
            pipeline, f"model.estimator: {module} has no estimator {name!r}" + (f"; did you mean {near[0]}?" if near else "")
        )
    return found


def _refuse_wrong_task(pipeline: Pipeline, path: str, estimator: Any) -> None:
    from sklearn.base import is_classifier, is_regressor

    if pipeline.target.task is Task.REGRESSION:
        if not is_regressor(estimator):
            raise _wrong(pipeline, f"model.estimator: {path} is no regressor, and target.task is regression")
    elif not is_classifier(estimator):
        raise _wrong(pipeline, f"model.estimator: {path} is no classifier, and target.task is classification")
    elif not hasattr(estimator, "predict_proba"):
        raise _wrong(pipeline, f"model.estimator: {path} gives no probabilities (predict_proba), which readers are shown")


def fit_model(frame: "pd.DataFrame", answers: Any, *, pipeline: Pipeline, settings: Settings) -> Any:
    """Encoder and estimator, fitted on a prepared frame.

    Histogram gradient boosting takes the places of categories as numbers, and missing values as they are; for any other
    estimator categories become one column each (rare and unseen ones share one), missing numbers the median with a
    mark, and numbers are scaled.
    """
    from sklearn.pipeline import Pipeline as Steps

    from tasks.encoding import ContractEncoder

    encoder = ContractEncoder().fit(frame)
    if not takes_answers(pipeline, answers):
        return Steps([("encode", encoder), ("model", _only_answer())]).fit(frame, answers)
    steps = Steps([("encode", encoder), *learner_of(encoder, answers, pipeline=pipeline, settings=settings).steps])
    with definition_errors(pipeline):
        return steps.fit(frame, answers)


def takes_answers(pipeline: Pipeline, answers: Any) -> bool:
    """Whether there is more than one answer to learn."""
    return _rarest(pipeline, answers) is not None


def learner_of(encoder: Any, answers: Any, *, pipeline: Pipeline, settings: Settings) -> Any:
    """What comes after the encoder, not yet fitted."""
    from sklearn.pipeline import Pipeline as Steps

    estimator = build_estimator(pipeline, settings)
    takes = inspect.signature(type(estimator)).parameters
    if "categorical_features" in takes:  # only histogram gradient boosting has it
        if "early_stopping" in takes and "early_stopping" not in pipeline.model.params and _is_rare(pipeline, answers, 10):
            estimator.set_params(early_stopping=False)  # its inner split needs two rows of each class
        return Steps([("model", _calibrated(pipeline, estimator, answers))])
    return Steps([("spread", _spread(encoder)), ("model", _calibrated(pipeline, estimator, answers))])


def _calibrated(pipeline: Pipeline, estimator: Any, answers: Any) -> Any:
    """The estimator with its probabilities corrected by cross-validation, where the pipeline asks for it and each class has
    the rows for it."""
    from sklearn.calibration import CalibratedClassifierCV

    how = pipeline.model.calibrate
    if how == "no" or pipeline.target.task is Task.REGRESSION or _is_rare(pipeline, answers, CALIBRATION_FOLDS):
        return estimator
    return CalibratedClassifierCV(estimator, method=how, cv=CALIBRATION_FOLDS)


def _rarest(pipeline: Pipeline, answers: Any) -> int | None:
    """How many rows the rarest class has; None when there is one class only. Of numbers there is no rarest."""
    import numpy as np

    if pipeline.target.task is Task.REGRESSION:
        return len(answers)
    counts = np.unique(answers, return_counts=True)[1]
    return int(counts.min()) if len(counts) > 1 else None


def _is_rare(pipeline: Pipeline, answers: Any, limit: int) -> bool:
    rarest = _rarest(pipeline, answers)
    return rarest is not None and rarest < limit


def _only_answer() -> Any:
    """What says the one answer that there was to learn: estimators differ in whether they take it."""
    from sklearn.dummy import DummyClassifier

    return DummyClassifier(strategy="prior")


def _spread(encoder: Any) -> Any:
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    categories = encoder.category_places
    numbers = [place for place in range(len(encoder.get_feature_names_out())) if place not in categories]
    filled = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
    each = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=60, sparse_output=False)
    return ColumnTransformer([("numbers", make_pipeline(filled, StandardScaler()), numbers), ("categories", each, categories)])


@contextmanager
def definition_errors(pipeline: Pipeline) -> Iterator[None]:
    """An argument that scikit-learn refuses is the definition's fault, and said so."""
    from sklearn.utils._param_validation import InvalidParameterError

    try:
        yield
    except InvalidParameterError as error:
        first_line = str(error).splitlines()[0]
        raise _wrong(pipeline, f"model.params: {first_line}") from None


@contextmanager
def threads(settings: Settings, *, rows: int) -> Iterator[int]:
    """Learning and scoring use this many threads and no more, on purpose: OpenMP's own default fights with neighbours, and
    for few rows several threads take longer than one."""
    from joblib import cpu_count
    from threadpoolctl import threadpool_limits

    count = 1 if rows < FEW_ROWS else settings.threads or int(cpu_count())
    with threadpool_limits(count):
        yield count
