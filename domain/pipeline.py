"""The typed form of `pipeline.yaml`. Every key that a user may write is in `domain/spec/`, with its meaning and its default."""

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from domain.fingerprint import fingerprint
from domain.interval import Calendar
from domain.spec.learning import Features, Model, Target
from domain.spec.running import Keep, Publish, Runner, RunnerKind
from domain.spec.source import Column, IntervalSpec, Rejects, Source
from domain.spec.telling import Tell
from domain.spec.values import Name, Strict
from domain.words import Task

OWN_COLUMNS = frozenset(
    {"batch_id", "batch", "interval_start", "interval_end", "model_version", "prediction", "probability",
     "published_at", "verdict", "hindsight", "actual", "input_key", "input_batch",
     # What every table of Postgres has already.
     "tableoid", "xmin", "xmax", "cmin", "cmax", "ctid"}
)  # fmt: skip


def _runner(value: object) -> object:
    return {"kind": value} if isinstance(value, str) else value


class Pipeline(Strict):
    """One folder under `deployments/`: what a team declares, and all that Overnight knows of it."""

    name: Name
    title: str
    owner: str = ""
    interval: IntervalSpec
    schedule: str | None = Field(None, description="cron, in the interval's time zone; none: manual only")
    source: Source
    columns: Mapping[str, Column] = Field(min_length=1)
    new_columns: Literal["ignore", "add", "refuse"] = Field(
        "ignore", description="what to do with columns outside the contract; add keeps their text in a column named more"
    )
    rejects: Rejects = Rejects()
    target: Target
    features: Features
    model: Model = Model()
    publish: Publish = Publish()
    tell: Tell = Tell()
    catch_up: Literal["none", "latest", "all"] = "latest"
    keep: Keep = Keep()
    runner: Annotated[Runner, BeforeValidator(_runner, json_schema_input_type=RunnerKind | Runner)] = Runner()

    @cached_property
    def calendar(self) -> Calendar:
        spec = self.interval
        return Calendar(spec.every, spec.timezone, spec.from_, spec.until)

    @cached_property
    def key(self) -> tuple[str, ...]:
        return tuple(name for name, column in self.columns.items() if column.key)

    @property
    def time_column(self) -> str | None:
        return next((name for name, column in self.columns.items() if column.time), None)

    @property
    def is_snapshot(self) -> bool:
        """Whether each night brings the whole table again, rows whose answers are known and rows to be asked about alike."""
        return self.source.mode == "snapshot"

    @property
    def keeps_probabilities(self) -> bool:
        """Whether each prediction comes with the probability of every class."""
        return self.model.probabilities == "all"

    @property
    def contract_fingerprint(self) -> str:
        """Changes when the same source would land as other rows."""
        kept = {"source", "columns", "new_columns", "rejects"}
        return fingerprint(self.model_dump(mode="json", include=kept), str(self.interval.timezone))

    @property
    def model_fingerprint(self) -> str:
        """Changes when the same rows would teach another model. Keys that came later count when they are used, so that a
        model of before them stays what it is."""
        said = self.model_dump(mode="json", include={"target", "features", "model"})
        if self.model.coverage is None:
            del said["model"]["coverage"]
        if self.model.search is None:
            del said["model"]["search"]
        for name in ("shadow", "probabilities"):  # they teach nothing
            del said["model"][name]
        return fingerprint(said)

    @model_validator(mode="after")
    def _names_agree(self) -> "Pipeline":
        Calendar(self.interval.every, self.interval.timezone, self.interval.from_)
        if not self.key:
            raise ValueError("columns: none is marked 'key: true', so no row could be found again")
        if sum(column.time for column in self.columns.values()) > 1:
            raise ValueError("columns: only one may be marked 'time: true'")
        for name in self.columns:
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,62}", name) or name in OWN_COLUMNS:
                raise ValueError(f"columns: {name!r} cannot be a column's name here")
        if self.new_columns == "add" and "more" in self.columns:
            raise ValueError("columns: 'more' is where new_columns: add keeps what is new; give the column another name")
        if self.model.coverage is not None and self.target.task is Task.CLASSIFICATION:
            raise ValueError("model.coverage: a range is around a number; a classification has probabilities instead")
        if self.model.coverage is not None and {"lower", "upper"} & self.columns.keys():
            raise ValueError("model.coverage: predictions would have columns 'lower' and 'upper', which are columns already")
        if self.keeps_probabilities and self.target.task is Task.REGRESSION:
            raise ValueError("model.probabilities: a predicted number has none; model.coverage puts a range around it")
        if self.keeps_probabilities and self.target.rule is not None:
            raise ValueError("model.probabilities: a yes/no question has one, of yes, and predictions keep it anyway")
        if self.keeps_probabilities and "probabilities" in self.columns:
            raise ValueError("model.probabilities: predictions would have a column 'probabilities', which is a column already")
        for name in (*self.features.columns, self.target.column):
            if name not in self.columns:
                raise ValueError(f"features and target: {name!r} is none of the columns")
        if self.target.column in self.features.columns:
            raise ValueError(f"features: {self.target.column!r} is the target, so the model would see the answer")
        return self
