"""What the API answers. The pages are drawn from the same values, so that the two cannot disagree."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from web.answers import Answer as _Answer
from web.answers import DriftFigure, Facet, JudgedRule, NightDiff, Rule


class Span(_Answer):
    """Half-open: `start` belongs to it, `end` does not."""

    start: datetime
    end: datetime


class Trust(_Answer):
    """Whether these numbers may be used. Read this first."""

    pipeline: str
    interval: Span | None = Field(description="the night that the numbers are for; null while none is published")
    batch: int | None = Field(description="the immutable batch that readers see")
    model_version: int | None
    published_at: datetime | None
    fresh: bool = Field(description="whether every night that was due is published")
    late_since: datetime | None = Field(description="the deadline that passed unmet")
    verdict: str | None = Field(
        description="what validation said of the rows behind the numbers; held: if any are shown do not use them; reason says why"
    )
    reason: str = Field(description="one sentence: why it is so, and what readers see meanwhile")
    hindsight: Literal["none", "some", "all"] = Field(
        description="how many predictions were made by a model that saw past the night"
    )
    hindsight_rows: int = Field(
        description="how many rows of the batch those are; each carries its own mark in the column hindsight"
    )


class Figure(_Answer):
    """One realised figure of one night, beside the same figure for the dummy's answer."""

    night: str
    start: datetime
    batch: int
    model_version: int
    metric: str
    value: float | None
    dummy: float | None
    rows: int


class Estimate(_Answer):
    """What a night's predictions should turn out to be worth, from the model's own confidence. Never a realised figure."""

    night: str
    model_version: int
    metric: str
    value: float
    low: float
    high: float


class Night(_Answer):
    """How one night stands."""

    night: str = Field(description="the interval's name in addresses and commands")
    interval: Span
    state: str = Field(description="published, learning, held, failed, stopped, running, waiting, missing or waived")
    why: str
    todo: str = Field(description="the command that helps; empty when there is nothing to do")
    run: int | None = None
    runs: int = 0
    rows: int | None = Field(None, description="rows that landed")
    rejected: int | None = None
    predictions: int | None = None
    batch: int | None = Field(None, description="the prediction batch that readers see")
    model_version: int | None = None
    published_at: datetime | None = None
    rows_change: float | None = Field(None, description="rows against the median of the published nights shown, as a share")
    quality: float | None = Field(None, description="what its predictions turned out to be worth, in the pipeline's metric")
    drift: float | None = Field(None, description="population stability index of what was predicted")
    shifted: list[str] = Field(default=[], description="features that drifted past the limit, on enough rows to tell")
    champion: int | None = Field(None, description="the version that became champion with this night")


class Summary(_Answer):
    """One pipeline on the morning page."""

    pipeline: str
    title: str
    owner: str
    state: str = Field(description="of the night to look at, or 'never published'")
    late: bool
    night: Night | None
    usual_rows: float | None = Field(description="the median of the nights before")
    rows_change: float | None = Field(description="rows against the usual, as a share")
    retrained: int | None = Field(description="the version that this night trained")
    promoted: int | None = Field(description="the version that became champion with this night")
    quality: Figure | None = Field(description="the newest realised figure of the pipeline's own metric")
    estimate: Estimate | None = Field(description="the same for the newest published night while none of its answers is there")
    fault: str = Field("", description="what is wrong with its definition; its nights fail until that is mended")
    todo: str
    trust: Trust


class Morning(_Answer):
    headline: str
    pipelines: list[Summary]
    trust: list[Trust]


class Move(_Answer):
    """One line of the promotion journal."""

    alias: str
    version: int
    previous_version: int | None
    effective_from: datetime
    night: str
    who: str
    why: str
    evidence: dict[str, Any]
    at: datetime


class Version(_Answer):
    version: int
    trained_for: datetime
    night: str
    trained_from: datetime
    trained_until: datetime
    rows: int
    task: str
    metrics: dict[str, Any]
    created_at: datetime


class PipelineAnswer(_Answer):
    summary: Summary
    nights: list[Night] = Field(description="oldest first")
    nights_not_shown: int = Field(description="nights that are due, missing, and after those shown")
    metric: str
    quality: list[Figure]
    drift: list[DriftFigure] = Field(description="of the nights shown, oldest first")
    champions: list[Move]
    versions: list[Version]
    trust: Trust


class Stage(_Answer):
    stage: str
    state: str
    reason: str
    rows_in: int
    rows_out: int
    rows_rejected: int
    seconds: float | None
    started_at: datetime
    ended_at: datetime | None
    detail: dict[str, Any]


class Attempt(_Answer):
    run: int
    state: str
    reason: str
    trigger: str
    started_at: datetime
    ended_at: datetime | None
    seconds: float | None


class Verdict(_Answer):
    outcome: str
    reason: str
    at: datetime
    rules: list[Rule]


class VerdictAnswer(_Answer):
    """The whole verdict on one night; the rules that want to be read come first."""

    night: Night
    batch: int | None = Field(description="the input batch that was judged")
    outcome: str | None
    reason: str
    at: datetime | None
    rules: list[JudgedRule]
    trust: Trust


class RejectedBy(_Answer):
    rule: str
    column: str | None
    rows: int
    example: str


class Reject(_Answer):
    source: str | None
    line: int | None
    key: dict[str, Any] | None = Field(description="of a row that a rule caught once it had landed: it has no place any more")
    column: str | None
    value: str | None
    rule: str
    reason: str
    row: str | None


class BatchLine(_Answer):
    """One step of the lineage."""

    batch: int
    kind: str
    state: str
    rows: int
    rejected: int
    content_hash: str | None
    source: Any
    code: str
    image: str | None
    model_version: int | None
    hindsight: bool
    run: int
    created_at: datetime
    sealed_at: datetime | None


class Lineage(_Answer):
    input: BatchLine | None
    model: Version | None
    predictions: BatchLine | None


class Publication(_Answer):
    publication: int
    kind: str
    batch: int
    previous: int | None
    run: int | None
    who: str
    why: str
    at: datetime


class RowsAnswer(_Answer):
    """One page of one published batch."""

    pipeline: str
    night: str | None
    as_of: datetime | None = None
    columns: dict[str, str] = Field(description="the columns shown, with their types")
    total: int = Field(description="rows of the whole batch, by the ledger")
    rows: list[dict[str, Any]]
    facets: list[Facet] = Field(
        default=[], description="asked for with facets=yes: the most frequent values among rows that match"
    )
    next: str | None = Field(description="the address of the next page")
    trust: Trust


class NightAnswer(_Answer):
    night: Night
    usual_rows: float | None
    attempts: list[Attempt]
    stages: list[Stage] = Field(description="of the attempt that tells most, in their order")
    verdict: Verdict | None
    rejected_by: list[RejectedBy]
    rejects: list[Reject]
    rejects_pruned: str | None = Field(None, description="when, by whom and why the rows that were set aside were pruned")
    columns: dict[str, str]
    rows: list[dict[str, Any]] = Field(description="the first predictions")
    lineage: Lineage
    diff: NightDiff | None = Field(
        description="against the last published night; null before there was one, or nothing to compare"
    )
    drift: list[DriftFigure] = Field(description="of what this night has scored, the predictions' own first")
    publications: list[Publication] = Field(description="every move of this night's pointers, newest first")
    quality: list[Figure]
    trust: Trust


class ModelAnswer(_Answer):
    pipeline: str
    version: int
    night: str
    champion: bool = Field(description="whether it is the newest champion")
    worth: str = Field(description="in plain words, whether it is better than the dummy: when it was trained, and since")
    clearly_better: bool = Field(description="whether it clearly is, as far as anybody knows")
    trained_for: datetime
    trained_from: datetime
    trained_until: datetime
    rows: int
    batches: list[int]
    task: str
    metrics: dict[str, Any]
    params: dict[str, Any]
    card: dict[str, Any]
    libraries: dict[str, Any]
    sha256: str
    bytes: int
    run: int
    created_at: datetime
    nights_scored: int
    rows_scored: int
    moves: list[Move]
    quality: list[Figure]
    trust: Trust


class Said(_Answer):
    """What one night said of one key."""

    night: str
    interval: Span
    batch: int
    model_version: int | None
    published_at: datetime
    verdict: str | None
    values: dict[str, Any]
    changed_model: bool = Field(description="whether another model said this than the night before")
    former_question: str = Field("", description="what this answers, where another question is asked by now; else empty")


class KeyAnswer(_Answer):
    pipeline: str
    key: dict[str, Any]
    columns: dict[str, str]
    nights: list[Said] = Field(description="newest first")
    held_nights: list[str] = Field(description="nights in this span of which readers see nothing, because they were held")
    trust: Trust


class Health(_Answer):
    status: str
    detail: str = ""


class Problem(_Answer):
    """An error (RFC 9457)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
