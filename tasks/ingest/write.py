"""Decides how good rows are written for COPY, and writes them: as binary, unless a column has no binary form of ours."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol

import pyarrow as pa
from psycopg2 import sql

from domain.spec.source import Column
from store.copying import BINARY_HEADER, BINARY_TRAILER, binary_statement, copy_statement
from store.pipelines import MORE
from tasks.ingest.binary import encode_binary
from tasks.ingest.encode import encode_rows


class Home(Protocol):
    """Where rows go: the table of a batch, or of a part of one."""

    @property
    def schema(self) -> str: ...

    @property
    def table(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Target:
    """What COPY is told of the bytes that come: their columns, and how they are written."""

    columns: tuple[str, ...]
    binary: bool
    delimiter: str = ","
    null: str = ""

    def statement(self, home: Home) -> sql.Composed:
        """For a table that the running subtransaction made or emptied."""
        if self.binary:
            return binary_statement(home.schema, home.table, self.columns, freeze=True)
        return copy_statement(
            home.schema, home.table, self.columns, delimiter=self.delimiter, null=self.null, freeze=True
        )  # fmt: skip

    def framed(self, payloads: Iterable[bytes]) -> Iterator[bytes]:
        return chain([BINARY_HEADER], payloads, [BINARY_TRAILER]) if self.binary else iter(payloads)


def has_binary_form(columns: Mapping[str, Column]) -> bool:
    """Decimals go as text, in which Postgres keeps every digit."""
    return all(column.type != "decimal" for column in columns.values())


def write_rows(values: Mapping[str, Any], columns: Mapping[str, Column], target: Target) -> bytes:
    """Typed columns, in the target's order, as the target wants them."""
    kinds = {name: column.type for name, column in columns.items()} | {MORE: "json"}
    if target.binary:
        ordered = {name: values[name] for name in target.columns}
        return encode_binary(ordered, json={name for name in ordered if kinds[name] == "json"})
    texts = pa.table({name: _as_text(values[name]) for name in target.columns})
    quote = {name for name in target.columns if kinds[name] in ("text", "json")}
    return encode_rows(texts, quote=quote, delimiter=target.delimiter, null=target.null)


def _as_text(column: Any) -> Any:
    return column if pa.types.is_string(column.type) else column.cast(pa.string())
