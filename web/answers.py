"""The parts of answers about one night: what rules said, how it differs from the night before, how far it has drifted."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Answer(BaseModel):
    model_config = ConfigDict(frozen=True, protected_namespaces=())


class Rule(Answer):
    """One expectation's result, whatever its kind."""

    rule: str
    title: str = Field("", description="the rule in plain words")
    column: str | None
    state: str = Field(description="passed, rejects (within its limit, the rows set aside), failed, or error (not judged)")
    passed: bool
    severity: str
    found: str = Field(description="what was found, in a few words")
    observed: Any = Field(None, description="what a rule about the whole night has measured; null for rules about rows")
    limit: str = Field("", description="what the rule allows: a share of rows, or bounds of what it measures")
    failing: int | None = Field(None, description="rows that break it; null for rules about the whole night")
    judged: int | None = Field(None, description="rows that it looked at")
    share: float | None = Field(None, description="failing rows as a share of those it looked at")
    examples: list[str]
    result: dict[str, Any]


class RuleNight(Answer):
    """What one rule said on one night: the share of failing rows in percent, or what it measured, and its limits then."""

    night: str
    state: str
    value: float | None
    low: float | None
    high: float | None


class JudgedRule(Rule):
    history: list[RuleNight] = Field(description="the last nights that it judged, oldest first, this one included")


class HoldLimit(Answer):
    """One limit of `publish.hold_if`, beside what was found."""

    name: str
    limit: float | None = Field(description="null where none is set")
    found: float | None = Field(description="null where it cannot be judged: nights that share no keys have no flips")
    passed: bool


class Moved(Answer):
    """A key of both nights and the figure that was said of it."""

    key: dict[str, Any]
    before: Any
    after: Any


class Shape(Answer):
    """An input column, then and now."""

    column: str
    empty_before: float | None
    empty: float | None
    mean_before: float | None
    mean: float | None


class NightDiff(Answer):
    """Tonight's predictions against the last published night's."""

    against: str = Field(description="the night compared with")
    batch: int
    rows: int
    rows_before: int
    added: int = Field(description="keys of tonight that the night before did not have")
    gone: int
    common: int
    flips: int = Field(description="keys of both nights whose prediction is another one")
    flipped: float | None
    psi: float | None = Field(description="population stability index of what was predicted")
    mean: float | None
    mean_before: float | None
    ranges: list[str]
    before: list[int]
    after: list[int]
    moves: list[Moved]
    columns: list[Shape]
    limits: list[HoldLimit]


class DriftFigure(Answer):
    """How far one feature, or what was predicted, is from what the model learned from."""

    night: str
    kind: str = Field(description="feature or prediction")
    feature: str
    psi: float = Field(description="population stability index: from 0.25 on it counts as a shift")
    distance: float = Field(description="Jensen-Shannon distance, from 0 to 1")
    missing: float = Field(description="share of rows without a value")
    missing_then: float = Field(description="and in what the model learned from")
    rows: int = Field(description="rows that were looked at; on fewer than 200 the index says nothing")
    model_version: int


class FacetValue(Answer):
    value: Any
    rows: int


class Facet(Answer):
    """A column's most frequent values among the rows that match."""

    column: str
    values: list[FacetValue]
    others: int = Field(description="rows that match and hold another value")
