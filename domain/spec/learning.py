"""What is predicted, from what, and how a model is learned, judged and promoted."""

from collections.abc import Mapping
from datetime import timedelta
from functools import cached_property
from typing import Any, Literal

from pydantic import Field, model_validator

from domain.drift import SHIFTED
from domain.spec.values import Days, Duration, Share, Strict
from domain.target import Rule, parse_rule
from domain.words import Task

_RETRAIN = {"nightly": 0, "daily": 1, "weekly": 7, "monthly": 30, "never": None, "on drift": 30}


class Target(Strict):
    """What is predicted."""

    column: str = Field(description="the column that holds the answer, empty until it is known")
    as_: str | None = Field(None, alias="as", description="a yes/no question about it, such as 'arr_delay > 15'")
    task: Task = Field(description="classification or regression")

    @cached_property
    def rule(self) -> Rule | None:
        return parse_rule(self.as_, column=self.column) if self.as_ else None

    @model_validator(mode="after")
    def _rule_is_readable(self) -> "Target":
        if self.rule is not None and self.task is Task.REGRESSION:
            raise ValueError("'as' makes a yes/no question, which a regression cannot answer; leave one of them out")
        return self


class Features(Strict):
    """What the model may see, by column of the contract."""

    numeric: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    datetime: tuple[str, ...] = ()
    text: tuple[str, ...] = Field((), description="columns of words, learned by which words they hold")
    confirmed: tuple[str, ...] = Field((), description="features that tell the answer almost alone, and may all the same")
    hook: str | None = Field(None, description=(
        "features.py:build, a function from a frame of rows to one of features; what it looks up belongs into that file too, for "
        "of others no change is noticed"
    ))  # fmt: skip

    @property
    def columns(self) -> tuple[str, ...]:
        return self.numeric + self.categorical + self.datetime + self.text


class Promote(Strict):
    at_least: float | None = Field(None, description="the metric below which nothing is promoted")
    gain: float = Field(0.0, description="how much better than the champion a challenger must be")
    relative: Share = Field(0.0, description="the same as a share of the champion's figure; the stricter of the two counts")
    certain: bool = Field(False, description="whether the low end of the gain's 95% interval must reach it too")


class Range(Strict):
    """Any number from one to another; where both ends are written as whole numbers and the scale is even, whole ones only."""

    from_: int | float = Field(alias="from", description="the least")
    to: int | float = Field(description="the most; where both ends are written as whole numbers, only such are tried")
    scale: Literal["even", "log"] = Field("even", description="log: as many candidates from 0.01 to 0.1 as from 0.1 to 1")

    @property
    def whole(self) -> bool:
        return self.scale == "even" and isinstance(self.from_, int) and isinstance(self.to, int)

    @property
    def ends(self) -> tuple[float, float]:
        return self.from_, self.to

    @model_validator(mode="after")
    def _ends_are_in_order(self) -> "Range":
        if not self.from_ < self.to:
            raise ValueError("a range goes from a number to a larger one")
        if self.scale == "log" and self.from_ <= 0:
            raise ValueError("a log scale begins above 0")
        return self


class Search(Strict):
    """Which arguments of the estimator are tried, and how many of their combinations."""

    params: Mapping[str, tuple[Any, ...] | Range] = Field(
        min_length=1, description="for each argument a list, or {from: …, to: …}"
    )
    candidates: int = Field(12, ge=2, le=500, description="how many combinations are tried on the first rung")
    time: Duration | None = Field(None, description="after which no further rung is begun; none: only candidates and rows count")

    @model_validator(mode="after")
    def _lists_hold_values(self) -> "Search":
        for name, values in self.params.items():
            if not isinstance(values, Range) and not values:
                raise ValueError(f"params: the list of {name!r} is empty")
        return self


class Model(Strict):
    """How the model is learned and judged."""

    estimator: str = Field(
        "sklearn.ensemble.HistGradientBoostingClassifier", description="a scikit-learn class, or features.py:make"
    )
    params: Mapping[str, Any] = Field(default_factory=dict, description="its arguments")
    search: Search | None = Field(None, description="arguments that are chosen by trying, on the rows that are learned from")
    calibrate: Literal["no", "sigmoid", "isotonic"] = Field("no", description="how probabilities are corrected, if at all")
    window: Days = Field(timedelta(days=60), description="how far back it learns from")
    retrain: Literal["nightly", "daily", "weekly", "monthly", "never", "on drift"] = "weekly"
    retrain_at_psi: float | None = Field(None, gt=0, description="the predictions' drift that makes it train before it is due")
    metric: Literal["roc_auc", "log_loss", "accuracy", "f1", "rmse", "mae", "r2"] = "roc_auc"
    holdout: Days = Field(timedelta(days=7), description="the newest part of the window, kept for judging")
    min_intervals: int = Field(3, ge=2, description="published nights needed before the first model")
    max_rows: int = Field(1_000_000, ge=100, description="rows it learns from at most; more are sampled evenly by key")
    promote: Promote = Promote()
    probabilities: Literal["named", "all"] = Field(
        "named", description="whether predictions of classes keep the probability of the class that is named, or of all of them"
    )
    coverage: Share | None = Field(
        None, gt=0.0, lt=1.0, description="for numbers: how many answers the range from lower to upper should hold, such as 90%"
    )
    shadow: bool = Field(False, description="whether a challenger scores each night too, unseen by readers, to be judged beside")

    @property
    def retrain_after(self) -> timedelta | None:
        days = _RETRAIN[self.retrain]
        return None if days is None else timedelta(days=days)

    @property
    def drift_limit(self) -> float | None:
        """The population stability index of the predictions from which on it trains early; none: drift changes nothing."""
        return self.retrain_at_psi or (SHIFTED if self.retrain == "on drift" else None)
