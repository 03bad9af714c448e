"""A table as it was understood: every column with its name, its contract and its values."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.onboarding.kinds import Kind, kind_of, read_as
from tasks.onboarding.look import Look
from tasks.onboarding.names import name_columns

_NUMBERS = ("int", "float", "decimal", "bool")
_MOMENTS = ("date", "timestamp")
_ID_NAME = re.compile(
    r"(^|[_ ])(id|ids|key|uuid|guid|code|nr|nbr|no|num|number|nummer|ref|reference|sku|isbn|serial|rowid|index|idx)$|"
    r"^(id|uuid|key)([_ ]|$)|[a-z](ID|Id|Key|No|Nr|Number|Nummer)$",
)
_INDEX_NAME = re.compile(r"|unnamed:? ?_?\d+|index|row_?names|row|rownum|row_?number|x", re.IGNORECASE)


@dataclass(frozen=True)
class Seen:
    """One column. `spelled` is its name in the source, `place` where it stands there, from 1."""

    name: str
    spelled: str
    place: int
    kind: Kind

    @property
    def type(self) -> str:
        return str(self.kind.contract.get("type", ""))

    @property
    def is_number(self) -> bool:
        return self.type in _NUMBERS

    @property
    def is_moment(self) -> bool:
        return self.type in _MOMENTS

    @property
    def is_named_like_a_key(self) -> bool:
        return bool(
            _ID_NAME.search(re.sub(r"[^A-Za-z0-9]+", "_", self.spelled).strip("_").lower()) or _ID_NAME.search(self.spelled)
        )

    @cached_property
    def codes(self) -> "np.ndarray[Any, np.dtype[np.int64]]":
        """Each row's place among the distinct values; -1 where there is none."""
        values = self.kind.values
        if pa.types.is_nested(values.type):
            return np.full(len(values), -1, np.int64)
        codes = values.dictionary_encode().indices
        return np.asarray(codes.cast(pa.int64()).fill_null(-1))

    @cached_property
    def numbers(self) -> "np.ndarray[Any, np.dtype[np.float64]]":
        """The values as numbers, moments counted in days; NaN where there is none."""
        values = self.kind.values
        if self.is_moment:
            ticks = values.cast(pa.timestamp("us")) if self.type == "date" else values
            return np.asarray(ticks.cast(pa.int64()).cast(pa.float64(), safe=False).fill_null(np.nan)) / 86_400e6
        if pa.types.is_boolean(values.type):
            values = values.cast(pa.int8())
        return np.asarray(values.cast(pa.float64(), safe=False).fill_null(np.nan))

    @cached_property
    def different(self) -> int:
        return int(self.codes.max(initial=-1)) + 1

    @cached_property
    def filled(self) -> int:
        return len(self.kind.values) - int(self.kind.values.null_count)

    @cached_property
    def is_unique(self) -> bool:
        return self.filled == len(self.kind.values) == self.different

    @cached_property
    def is_counted(self) -> bool:
        """Whether the values are whole numbers that go up one by one, in any order."""
        if self.type != "int" or not self.is_unique:
            return False
        return bool(self.numbers.max() - self.numbers.min() == len(self.numbers) - 1)

    @cached_property
    def is_index(self) -> bool:
        """Whether it merely counts the rows, as an index that was saved with the table."""
        blank = _INDEX_NAME.fullmatch(self.spelled.strip()) is not None
        return (
            self.place == 1
            and blank
            and self.is_counted
            and self.numbers.min() in (0, 1)
            and bool((np.diff(self.numbers) == 1).all())
        )

    @cached_property
    def words(self) -> float:
        """Words in a value, on average."""
        texts = self.kind.values.drop_null()
        if not pa.types.is_string(texts.type) or not len(texts):
            return 0.0
        spaces = pc.count_substring_regex(pc.utf8_trim_whitespace(texts[:5000]), r"\s+")
        return 1.0 + float(pc.mean(spaces).as_py() or 0.0)

    @cached_property
    def labels(self) -> dict[str, int]:
        """Each value as text with its rows, the most frequent first."""
        values = self.kind.values.drop_null()
        counts = pc.value_counts(values)
        texts = [str(value).lower() if isinstance(value, bool) else str(value) for value in counts.field("values").to_pylist()]
        pairs = zip(texts, counts.field("counts").to_pylist(), strict=True)
        return dict(sorted(pairs, key=lambda pair: (-pair[1], pair[0])))


@dataclass(frozen=True)
class Table:
    """`source` is what pipeline.yaml says of how the source is written."""

    look: Look
    columns: tuple[Seen, ...]
    source: Mapping[str, Any]

    @property
    def rows(self) -> int:
        return self.look.rows

    def find(self, said: str) -> Seen | None:
        """The column of this name, in the source's spelling or in the contract's, then without regard to case."""
        wanted = said.strip()
        exact = [column for column in self.columns if wanted in (column.spelled, column.name)]
        near = [column for column in self.columns if wanted.lower() in (column.spelled.lower(), column.name.lower())]
        return next(iter([*exact, *near]), None)


def read_table(look: Look) -> Table:
    """Types every column, and lifts what most of them share to the source."""
    spelled = ["" if re.fullmatch(r"Unnamed: ?\d+", name) else name for name in look.names]
    kinds = [kind_of(cells) for cells in look.columns]
    kinds = _with_german_thousands(look, kinds)
    nulls = sorted({mark for kind in kinds for mark in kind.marks})
    source = dict(look.source)
    if nulls and look.kind == "csv" and "" in look.source.get("nulls", [""]):
        source["nulls"] = ["", *nulls]
        kinds = [_without(kind, nulls) for kind in kinds]
    else:
        kinds = [_with_own_nulls(kind) for kind in kinds]
    kinds, lifted = _lift_decimal(kinds)
    names = name_columns(spelled)
    columns = tuple(
        Seen(name, original, place, kind)
        for place, (name, original, kind) in enumerate(zip(names, look.names, kinds, strict=True), 1)
    )
    return Table(look, columns, {**source, **lifted})


def _without(kind: Kind, nulls: Sequence[str]) -> Kind:
    """A text column without the words that mean 'no value' in the whole source."""
    if kind.contract.get("type") != "text":
        return kind
    meant = pc.fill_null(pc.is_in(kind.values, pa.array(nulls, pa.string())), False)
    if not pc.any(meant).as_py():
        return kind
    values = pc.if_else(meant, pa.scalar(None, pa.string()), kind.values)
    return replace(kind, values=values, contract={**kind.contract, "null": True})


def _with_own_nulls(kind: Kind) -> Kind:
    if not kind.marks:
        return kind
    return replace(kind, contract={**kind.contract, "nulls": [*kind.contract.get("nulls", []), *kind.marks]})


def _with_german_thousands(look: Look, kinds: Sequence[Kind]) -> list[Kind]:
    """1.200 is twelve hundred in a table whose other numbers have decimal commas."""
    if not any(kind.contract.get("decimal") == "," for kind in kinds):
        return list(kinds)
    kinds = [_with_comma(cells, kind) for cells, kind in zip(look.columns, kinds, strict=True)]
    return [_german(cells, kind) for cells, kind in zip(look.columns, kinds, strict=True)]


def _with_comma(cells: Any, kind: Kind) -> Kind:
    """442,123 is less than a thousand in a table whose other numbers have decimal commas."""
    if kind.contract.get("thousands") != "," or not pa.types.is_string(cells.type):
        return kind
    again = read_as(
        cells, {"type": "float", "decimal": ","} | {key: kind.contract[key] for key in ("unit",) if key in kind.contract}
    )
    return again or kind


def _german(cells: Any, kind: Kind) -> Kind:
    if kind.contract.get("type") != "float" or not pa.types.is_string(cells.type) or "decimal" in kind.contract:
        return kind
    grouped = pc.match_substring_regex(cells.drop_null(), r"^\s*[+-]?\d{1,3}(\.\d{3})*(\s*[^\d.,].*)?$")
    if not pc.all(grouped).as_py():
        return kind
    bare = pc.replace_substring(cells, ".", "")
    again = kind_of(bare)
    contract = {**again.contract, "thousands": "."} if again.contract.get("type") == "int" else kind.contract
    return replace(again, contract=contract) if contract is not kind.contract else kind


def _lift_decimal(kinds: Sequence[Kind]) -> tuple[list[Kind], dict[str, str]]:
    """A decimal comma that every fractional column has is the source's."""
    fractional = [kind for kind in kinds if kind.contract.get("type") == "float"]
    if len(fractional) < 2 or any(kind.contract.get("decimal") != "," for kind in fractional):
        return list(kinds), {}
    if any(kind.contract.get("thousands") == "," for kind in kinds):
        return list(kinds), {}
    bare = [replace(kind, contract={key: value for key, value in kind.contract.items() if key != "decimal"}) for kind in kinds]
    return bare, {"decimal": ","}
