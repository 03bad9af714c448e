"""Where a night's rows come from, and the contract that they are held to."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from domain.spec.values import Days, Share, Strict, Zone
from domain.withheld import find_secrets, is_open_header, refusal


class IntervalSpec(Strict):
    """Which ranges of time the runs are for."""

    every: str = Field("day", description="'15 minutes', 'hour', 'day', 'week' or 'month'")
    timezone: Zone = Field(ZoneInfo("UTC"), description="where midnight is, as an IANA name")
    from_: date = Field(alias="from", description="the first day that can be asked for")
    until: date | None = Field(None, description="the day after the last one; nothing is expected from then on")


class Paging(Strict):
    """How an HTTP source goes on to its next page: by an address in the answer, or by a number that counts up."""

    next: str | None = Field(None, description="where the answer names the next page's address, such as links.next")
    parameter: str | None = Field(None, description="the query parameter that counts pages, such as page")
    first: int = Field(1, description="the first page's number")

    @model_validator(mode="after")
    def _one_way(self) -> "Paging":
        if (self.next is None) == (self.parameter is None):
            raise ValueError("write either next or parameter")
        return self


class Source(Strict):
    """Where a night's rows come from. `${NAME}` in url and headers is read from the environment, and never kept."""

    kind: Literal["csv", "parquet", "jsonl", "sql", "http"] = Field(description="what the source is")
    path: str = Field(
        "", description="a path, glob or fsspec URL; {data} is OVERNIGHT_DATA, {start:%Y-%m-%d} and {end:…} the interval"
    )
    url: str = Field(
        "",
        description="sql: a SQLAlchemy URL, or {postgres}/name for one beside the ledger; http: an address, which may hold "
        "{start:…} and {end:…}",
    )
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
        open_ = [one.name for text in (self.url, self.path) for one in find_secrets(text)]
        open_ += [name for name, value in self.headers.items() if is_open_header(name, value)]
        if open_:
            raise ValueError(refusal(open_[0]))
        if not (self.delimiter + (self.quote or "")).isascii() or self.delimiter in ("\n", "\r", self.quote):
            raise ValueError("delimiter and quote are two different characters of ASCII, and no line ends")
        if self.thousands == self.decimal:
            raise ValueError("thousands and decimal cannot be the same mark")
        return self


MADE = {"{line}": "int", "{file}": "text"}  # columns that come from where a row stands, and their types


def _as_written(value: object) -> object:
    """Marks of 'no value' may be numbers; what is compared is how they are written."""
    return tuple(one if isinstance(one, str) else str(one) for one in value) if isinstance(value, list | tuple) else value


class Column(Strict):
    """One column of the contract."""

    type: Literal["bool", "int", "float", "decimal", "text", "date", "timestamp", "json"] = Field(
        description="what every cell must be"
    )
    key: bool = Field(False, description="part of what names a row within a night")
    time: bool = Field(False, description="when the row's event happens")
    null: bool = Field(False, description="may be empty")
    allowed: tuple[str | int | float | bool, ...] | None = Field(None, description="the only values that it may hold")
    format: str | None = Field(None, description="how a date or timestamp is written, such as %d.%m.%Y; none: 2024-01-31")
    from_: str | int | None = Field(
        None, alias="from",
        description="the column's name in the source, where that is another one; a number: its place, from 1; {line}, {file}: "
        "where the row stands",
    )  # fmt: skip
    nulls: Annotated[tuple[str, ...], BeforeValidator(_as_written)] = Field(
        (), description="cells that mean 'no value' in this column, beside source.nulls, such as [-999, unknown]"
    )
    unit: str | None = Field(None, min_length=1, description="what stands before or after the number in a cell, such as kg or €")
    decimal: Literal[".", ","] | None = Field(None, description="this column's decimal mark; none: the source's")
    thousands: Literal[",", ".", " ", "'", "_"] | None = Field(None, description="what groups this column's digits by three")
    trim: bool = Field(False, description="text or yes/no: spaces around a value are no part of it")

    @property
    def made(self) -> bool:
        """Whether the column stands in no cell, but says where the row stands."""
        return self.from_ in MADE

    @model_serializer(mode="wrap")
    def _without_unused_keys(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A key that is not used leaves no trace, so that a new one changes no fingerprint of a contract without it."""
        unused = {"from_", "from", "nulls", "unit", "decimal", "thousands", "trim"}
        return {name: value for name, value in handler(self).items() if name not in unused or value not in (None, (), [], False)}

    @model_validator(mode="after")
    def _source_is_readable(self) -> "Column":
        numbers = self.type in ("int", "float", "decimal")
        if not numbers and (self.unit or self.decimal or self.thousands):
            raise ValueError(f"unit, decimal and thousands are for numbers, not for {self.type}")
        if self.trim and self.type not in ("text", "bool"):
            raise ValueError(f"trim is for text and bool; around a {self.type} spaces mean nothing anyway")
        if isinstance(self.from_, int) and self.from_ < 1:
            raise ValueError("from: places are counted from 1")
        if self.made and self.type != MADE[str(self.from_)]:
            raise ValueError(f"from: {self.from_} is {MADE[str(self.from_)]}, not {self.type}")
        return self

    @model_validator(mode="after")
    def _format_fits(self) -> "Column":
        if self.format is not None and self.type not in ("date", "timestamp"):
            raise ValueError(f"format is for dates and timestamps, not for {self.type}")
        return self


class Rejects(Strict):
    at_most: Share = Field(0.02, description="the share of rows that may be set aside before the night is held")
