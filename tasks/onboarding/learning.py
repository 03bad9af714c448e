"""The model, its metric and its limits, by the task and the size of the table."""

from collections.abc import Collection
from typing import Any

from tasks.onboarding.target import Goal

_SMALL, _MIDDLE, _LARGE = 2_000, 5_000, 20_000
_FEW_CLASSES = 10  # so many probabilities beside a prediction are read by people, and cost little
_SEVERAL = 8  # classes beyond which there is no time for small steps
_TREES_FOR_CLASSES = 1_500  # each round of boosting grows a tree for each class


def propose_model(goal: Goal, *, columns: Collection[str] = ()) -> dict[str, Any]:
    """`model:` as pipeline.yaml says it, for a table of these columns."""
    regression = goal.task == "regression"
    name = "HistGradientBoostingRegressor" if regression else "HistGradientBoostingClassifier"
    found = {
        "estimator": f"sklearn.ensemble.{name}",
        "params": _params(goal),
        "metric": "rmse" if regression else "roc_auc",
    }
    few = goal.kind == "classes" and len(goal.classes) <= _FEW_CLASSES
    return found | ({"probabilities": "all"} if few and "probabilities" not in columns else {})


def _params(goal: Goal) -> dict[str, Any]:
    """Few rows want shallow trees and small steps; many can carry more of them."""
    if goal.known < _SMALL:
        params: dict[str, Any] = {
            "max_iter": 120,
            "learning_rate": 0.06,
            "max_leaf_nodes": 15,
            "min_samples_leaf": max(5, min(20, goal.known // 60)),
        }
    elif goal.known < _LARGE:
        rounds = 150 if goal.known < _MIDDLE else 220
        params = {"max_iter": rounds, "learning_rate": 0.05, "max_leaf_nodes": 15, "min_samples_leaf": 20}
    else:
        params = {"max_iter": 200, "learning_rate": 0.1, "max_leaf_nodes": 31, "min_samples_leaf": 20}
    params["l2_regularization"] = 1.0
    if goal.kind == "classes" and len(goal.classes) > _SEVERAL:
        rounds = max(10, min(100, _TREES_FOR_CLASSES // len(goal.classes)))
        params |= {"max_iter": rounds, "learning_rate": 0.1 if rounds >= 25 else 0.2, "max_leaf_nodes": 31}
    return params
