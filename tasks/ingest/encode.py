"""Writes columns of strings as the CSV that COPY reads, whole columns at a time."""

import re
from collections.abc import Collection
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc


def encode_rows(table: Any, *, quote: Collection[str], delimiter: str = ",", null: str = "") -> bytes:
    """The rows of a table of strings as CSV. Columns named in `quote` may hold anything; the others hold checked numbers
    and times, in which nothing needs a quote."""
    if not table.num_rows:
        return b""
    columns = [_flat(table[name]) for name in table.column_names]
    columns = [
        _quoted(column, delimiter=delimiter, null=null) if name in quote else column
        for name, column in zip(table.column_names, columns, strict=True)
    ]
    rows = pc.binary_join_element_wise(*columns, delimiter, null_handling="replace", null_replacement=null)
    everything = pa.ListArray.from_arrays(pa.array([0, len(rows)], pa.int32()), rows)
    return bytes(pc.binary_join(everything, "\n")[0].as_buffer()) + b"\n"


def _flat(column: Any) -> Any:
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def _quoted(column: Any, *, delimiter: str, null: str) -> Any:
    special = rf'["\r\n\\{_in_class(delimiter)}]|^$|^{re.escape(null)}$'
    needs = pc.match_substring_regex(column, special)
    if not pc.any(needs).as_py():
        return column
    doubled = pc.binary_join_element_wise('"', pc.replace_substring(column, '"', '""'), '"', "")
    return pc.if_else(needs, doubled, column)


def _in_class(character: str) -> str:
    return {"\t": r"\t"}.get(character, re.escape(character))
