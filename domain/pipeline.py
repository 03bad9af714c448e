"""The typed form of `pipeline.yaml`. Every key that a user may write is here, with its meaning and its default."""

import re
from collections.abc import Mapping
from datetime import date, time, timedelta
from functools import cached_property
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from domain.drift import SHIFTED
from domain.fingerprint import fingerprint
from domain.interval import Calendar
from domain.target import Rule, parse_rule
from domain.words import Task

NAME = re.compile(r"^[a-z][a-z0-9_]{0,39}$")
RESERVED = frozenset({"overnight", "reading", "public", "information_schema"})
OWN_COLUMNS = frozenset(
    {"batch_id", "batch", "interval_start", "interval_end", "model_version", "prediction", "probability",
     "published_at", "verdict", "hindsight", "actual", "input_key", "input_batch"}
)  # fmt: skip
_DAYS = {"day": 1, "week": 7, "month": 30, "year": 365}
_RETRAIN = {"nightly": 0, "daily": 1, "weekly": 7, "monthly": 30, "never": None, "on drift": None}


def _share(value: object) -> object:
    if isinstance(value, str) and value.strip().endswith("%"):
        return float(value.strip()[:-1]) / 100
    return value


def _days(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        return timedelta(days=value)
    match = re.fullmatch(r"(\d+) (day|week|month|year)s?", value) if isinstance(value, str) else None
    return timedelta(days=int(match[1]) * _DAYS[match[2]]) if match else value


def _zone(value: object) -> object:
    try:
        return ZoneInfo(value) if isinstance(value, str) else value
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"{value!r} is no time zone; write one such as Europe/Berlin") from None


def _clock(value: object) -> object:
    return f"0{value}" if isinstance(value, str) and re.fullmatch(r"\d:\d\d", value) else value


def _name(value: str) -> str:
    if not NAME.match(value):
        raise ValueError(f"{value!r} is no pipeline name; use lower-case letters, digits and _, at most 40")
    if value in RESERVED or value.startswith(("pg_", "overnight_")):
        raise ValueError(f"{value!r} is a name that the database keeps for itself")
    return value


_UNITS = {"b": 1, "k": 2**10, "m": 2**20, "g": 2**30, "s": 1, "second": 1, "minute": 60, "hour": 3600, "h": 3600}


def _memory(value: object) -> object:
    if isinstance(value, int) and value >= _UNITS["m"]:
        return value
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([kmg])i?b?", value.lower()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{value!r} is no amount of memory; write it as 512m or 2g")
    return int(float(match[1]) * _UNITS[match[2]])


def _duration(value: object) -> object:
    if isinstance(value, timedelta) or (isinstance(value, str) and value.startswith("PT")):
        return value
    match = re.fullmatch(r"(\d+) ?(s|m|h|second|minute|hour)s?", value) if isinstance(value, str) else None
    if match is None or match[1] == "0":
        raise ValueError(f"{value!r} is no length of time; write it as 90s, 30m or 1h")
    return timedelta(seconds=int(match[1]) * (60 if match[2] == "m" else _UNITS[match[2]]))


def _runner(value: object) -> object:
    return {"kind": value} if isinstance(value, str) else value


Share = Annotated[float, BeforeValidator(_share), Field(ge=0, le=1)]
Days = Annotated[timedelta, BeforeValidator(_days)]
Zone = Annotated[ZoneInfo, BeforeValidator(_zone)]
Clock = Annotated[time, BeforeValidator(_clock)]
Name = Annotated[str, AfterValidator(_name)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, populate_by_name=True)


class IntervalSpec(_Strict):
    """Which ranges of time the runs are for."""

    every: str = Field("day", description="'15 minutes', 'hour', 'day', 'week' or 'month'")
    timezone: Zone = Field(ZoneInfo("UTC"), description="where midnight is, as an IANA name")
    from_: date = Field(alias="from", description="the first day that can be asked for")
    until: date | None = Field(None, description="the day after the last one; nothing is expected from then on")


class Paging(_Strict):
    """How an HTTP source goes on to its next page: by an address in the answer, or by a number that counts up."""

    next: str | None = Field(None, description="where the answer names the next page's address, such as links.next")
    parameter: str | None = Field(None, description="the query parameter that counts pages, such as page")
    first: int = Field(1, description="the first page's number")

    @model_validator(mode="after")
    def _one_way(self) -> "Paging":
        if (self.next is None) == (self.parameter is None):
            raise ValueError("write either next or parameter")
        return self


class Source(_Strict):
    """Where a night's rows come from. `${NAME}` in url and headers is read from the environment, and never kept."""

    kind: Literal["csv", "parquet", "jsonl", "sql", "http"] = Field(description="what the source is")
    path: str = Field(
        "", description="a path, glob or fsspec URL; {data} is OVERNIGHT_DATA, {start:%Y-%m-%d} and {end:…} the interval"
    )
    url: str = Field("", description="sql: a SQLAlchemy URL; http: an address, which may hold {start:…} and {end:…}")
    query: str = Field("", description="sql: a SELECT in which :start and :end are the interval's ends")
    mode: Literal["interval", "snapshot"] = Field("interval", description="the interval's rows, or the whole table every night")
    look_back: Days | None = Field(None, description="how far back nights are read again for late rows, such as 3 days")
    # What a file looks like. At night nothing of it is guessed.
    encoding: str = Field("utf-8", description="the text encoding")
    delimiter: str = Field(",", min_length=1, max_length=1, description="what stands between two cells")
    quote: str | None = Field('"', min_length=1, max_length=1, description="what may surround a cell; null: nothing")
    header: bool = Field(True, description="whether the first row names the columns; if not, they stand in the contract's order")
    skip: int = Field(0, ge=0, description="lines above the header that are no part of the table")
    comment: str | None = Field(None, min_length=1, description="what a line that is no row starts with")
    nulls: tuple[str, ...] = Field(("",), min_length=1, description="the cells that mean 'no value'")
    decimal: Literal[".", ","] = Field(".", description="the decimal mark of numbers")
    thousands: Literal[",", ".", " ", "'", "_"] | None = Field(None, description="what groups digits by three, if anything")
    # What an HTTP answer looks like.
    rows: str = Field("", description="http: where the answer holds its list of rows, such as data.items; none: it is the list")
    headers: Mapping[str, str] = Field(default_factory=dict, description="http: headers of the request")
    paging: Paging | None = Field(None, description="http: how to go on to the next page")

    @model_validator(mode="after")
    def _says_where(self) -> "Source":
        needed = {"sql": ("url", "query"), "http": ("url",)}.get(self.kind, ("path",))
        for name in needed:
            if not getattr(self, name):
                raise ValueError(f"kind {self.kind} needs {name}")
        if re.search(r"://[^/@:]+:(?!\$\{)[^/@]+@", self.url + " " + self.path):
            raise ValueError("a password does not belong in a file; write ${NAME} and set NAME in the environment")
        if not (self.delimiter + (self.quote or "")).isascii() or self.delimiter in ("\n", "\r", self.quote):
            raise ValueError("delimiter and quote are two different characters of ASCII, and no line ends")
        if self.thousands == self.decimal:
            raise ValueError("thousands and decimal cannot be the same mark")
        return self


class Column(_Strict):
    """One column of the contract."""

    type: Literal["bool", "int", "float", "decimal", "text", "date", "timestamp", "json"] = Field(
        description="what every cell must be"
    )
    key: bool = Field(False, description="part of what names a row within a night")
    time: bool = Field(False, description="when the row's event happens")
    null: bool = Field(False, description="may be empty")
    allowed: tuple[str | int | float | bool, ...] | None = Field(None, description="the only values that it may hold")
    format: str | None = Field(None, description="how a date or timestamp is written, such as %d.%m.%Y; none: 2024-01-31")

    @model_validator(mode="after")
    def _format_fits(self) -> "Column":
        if self.format is not None and self.type not in ("date", "timestamp"):
            raise ValueError(f"format is for dates and timestamps, not for {self.type}")
        return self


class Rejects(_Strict):
    at_most: Share = Field(0.02, description="the share of rows that may be set aside before the night is held")


class Target(_Strict):
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


class Features(_Strict):
    """What the model may see, by column of the contract."""

    numeric: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    datetime: tuple[str, ...] = ()
    text: tuple[str, ...] = Field((), description="columns of words, learned by which words they hold")
    confirmed: tuple[str, ...] = Field((), description="features that tell the answer almost alone, and may all the same")
    hook: str | None = Field(None, description="features.py:build, a function from a frame of rows to one of features")

    @property
    def columns(self) -> tuple[str, ...]:
        return self.numeric + self.categorical + self.datetime + self.text


class Promote(_Strict):
    at_least: float | None = Field(None, description="the metric below which nothing is promoted")
    gain: float = Field(0.0, description="how much better than the champion a challenger must be")
    relative: Share = Field(0.0, description="the same as a share of the champion's figure; the stricter of the two counts")
    certain: bool = Field(False, description="whether the low end of the gain's 95% interval must reach it too")


class Model(_Strict):
    """How the model is learned and judged."""

    estimator: str = Field(
        "sklearn.ensemble.HistGradientBoostingClassifier", description="a scikit-learn class, or features.py:make"
    )
    params: Mapping[str, Any] = Field(default_factory=dict, description="its arguments")
    calibrate: Literal["no", "sigmoid", "isotonic"] = Field("no", description="how probabilities are corrected, if at all")
    window: Days = Field(timedelta(days=60), description="how far back it learns from")
    retrain: Literal["nightly", "daily", "weekly", "monthly", "never", "on drift"] = "weekly"
    retrain_at_psi: float | None = Field(None, gt=0, description="the predictions' drift that makes it train before it is due")
    metric: Literal["roc_auc", "log_loss", "accuracy", "f1", "rmse", "mae", "r2"] = "roc_auc"
    holdout: Days = Field(timedelta(days=7), description="the newest part of the window, kept for judging")
    min_intervals: int = Field(3, ge=2, description="published nights needed before the first model")
    max_rows: int = Field(1_000_000, ge=100, description="rows it learns from at most; more are sampled evenly by key")
    promote: Promote = Promote()

    @property
    def retrain_after(self) -> timedelta | None:
        days = _RETRAIN[self.retrain]
        return None if days is None else timedelta(days=days)

    @property
    def drift_limit(self) -> float | None:
        """The population stability index of the predictions from which on it trains early; none: drift changes nothing."""
        return self.retrain_at_psi or (SHIFTED if self.retrain == "on drift" else None)


class HoldIf(_Strict):
    """What keeps predictions from readers until somebody looks: limits against the last published night."""

    rows_change: Annotated[float, BeforeValidator(_share), Field(ge=0)] | None = Field(
        None, description="rows more or fewer, as a share; 150% and more are possible"
    )
    flips: Share | None = Field(None, description="the share of keys of both nights whose prediction changed")
    psi: float | None = Field(None, gt=0, description="population stability index of what is predicted; over 0.25 is another one")


class Publish(_Strict):
    deadline: Clock = Field(time(7), description="local time, after the interval's end, at which readers expect it")
    hold_if: HoldIf = HoldIf()


class Limits(_Strict):
    """What one stage's container may use; what needs more is stopped, and the sentence names the limit to raise."""

    memory: Annotated[int, BeforeValidator(_memory)] = Field("2g", validate_default=True, description="such as 512m or 2g")
    cpus: float = Field(1.0, gt=0, le=256, description="cores, parts of one included")
    timeout: Annotated[timedelta, BeforeValidator(_duration)] = Field(timedelta(hours=1), description="such as 30m or 1h")


class Runner(_Strict):
    """Where stages run."""

    kind: Literal["inline", "docker"] = Field("inline", description="in the process, or each in a container of its own")
    limits: Limits = Limits()


class Pipeline(_Strict):
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
    catch_up: Literal["none", "latest", "all"] = "latest"
    runner: Annotated[Runner, BeforeValidator(_runner)] = Runner()

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
    def contract_fingerprint(self) -> str:
        """Changes when the same source would land as other rows."""
        kept = {"source", "columns", "new_columns", "rejects"}
        return fingerprint(self.model_dump(mode="json", include=kept), str(self.interval.timezone))

    @property
    def model_fingerprint(self) -> str:
        """Changes when the same rows would teach another model."""
        return fingerprint(self.model_dump(mode="json", include={"target", "features", "model"}))

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
        for name in (*self.features.columns, self.target.column):
            if name not in self.columns:
                raise ValueError(f"features and target: {name!r} is none of the columns")
        if self.target.column in self.features.columns:
            raise ValueError(f"features: {self.target.column!r} is the target, so the model would see the answer")
        return self
