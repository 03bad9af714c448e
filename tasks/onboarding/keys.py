"""What names a row: a column in which no value stands twice, some columns together, or else the row's line."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from domain.errors import UsageError
from tasks.onboarding.table import Seen, Table

_REPEATS = 0.005  # the share of rows that may repeat a key that is one by its name
_PARTS_OF_TIME = {"year", "month", "day", "hour", "week", "quarter", "date", "period", "minute", "season"}


@dataclass(frozen=True, slots=True)
class Key:
    """`columns` are names of the contract; none: the row's line in the source. `repeats` rows share a key with an earlier one."""

    columns: tuple[str, ...]
    why: str
    sure: str
    repeats: int = 0


def find_key(table: Table, *, asked: Sequence[str], target: Seen) -> Key:
    """Raises UsageError when the key that was asked for names too few rows apart."""
    if asked:
        return _asked(table, asked)
    columns = [
        column
        for column in table.columns
        if column is not target and column.type in ("text", "int", "decimal", "date", "timestamp")
    ]
    whole = [column for column in columns if column.filled == table.rows and not column.kind.bad]
    best = max(
        ((_score(column, table), -column.place, column) for column in whole if column.is_unique),
        default=None,
        key=lambda one: one[:2],
    )
    if best is not None and best[0] >= 2:
        how = "counts the rows" if best[2].is_index else "is different in every row"
        return Key(
            (best[2].name,),
            f"{best[2].spelled or 'the column without a name'!r} {how}".replace("''", "it"),
            "sure" if best[0] >= 4 else "likely",
        )
    for column in whole:
        repeats = table.rows - column.different
        if column.is_named_like_a_key and 0 < repeats <= _REPEATS * table.rows and column.type in ("text", "int"):
            why = f"{column.spelled!r} is different in all but {repeats:,} rows, which will be set aside"
            return Key((column.name,), why, "likely", repeats)
    together = _together(whole, table)
    if together:
        return Key(together, "no column alone names a row, these do together", "likely")
    return Key((), "no column names a row, so each is named by its line in the source", "sure")


def _asked(table: Table, asked: Sequence[str]) -> Key:
    found = []
    for name in asked:
        column = table.find(name)
        if column is None:
            raise UsageError(
                f"--key: there is no column {name!r}", hint=f"one of {', '.join(c.spelled for c in table.columns[:12])}"
            )
        found.append(column)
    empty = max(table.rows - column.filled for column in found)
    repeats = table.rows - empty - _groups(found, only_filled=True)
    if repeats + empty > 0.02 * table.rows:
        said = f"repeats in {repeats:,}" if repeats else f"is empty in {empty:,}"
        raise UsageError(
            f"--key: {', '.join(asked)} {said} of {table.rows:,} rows, so it names none of them", hint="another --key, or none"
        )
    also = f"; {repeats + empty:,} rows that repeat it or lack it will be set aside" if repeats + empty else ""
    return Key(tuple(column.name for column in found), f"you named it{also}", "asked for", repeats)


def _score(column: Seen, table: Table) -> int:
    """How much like a key a column looks in which every value is different."""
    if column.is_moment:
        return 3 if table.rows >= 30 else 0
    if column.is_index:
        return 2
    score = 4 * column.is_named_like_a_key + 2 * (column.place == 1)
    if column.type == "text":
        return score + (2 if column.words < 1.2 else -1 if column.words < 3 else -6)
    return score + (2 if column.is_counted else 0) - (2 if column.type == "decimal" and not column.is_named_like_a_key else 0)


def _together(columns: Sequence[Seen], table: Table) -> tuple[str, ...]:
    """Two or three columns, with a moment or a part of one among them, that no two rows share."""
    moments = [column for column in columns if column.is_moment or column.name.lower() in _PARTS_OF_TIME]
    others = [
        column
        for column in columns
        if column not in moments and column.words < 4 and (column.is_named_like_a_key or column.type == "text")
    ]
    for size in (2, 3):
        for group in combinations([*others, *moments][:14], size):
            if not any(one in moments for one in group) and not all(one.is_named_like_a_key for one in group):
                continue
            if float(np.prod([float(one.different) for one in group])) >= table.rows and _groups(group) == table.rows:
                return tuple(one.name for one in sorted(group, key=lambda one: one.place))
    return ()


def _groups(columns: Sequence[Seen], *, only_filled: bool = False) -> int:
    """How many different rows the columns make."""
    total: Any = np.zeros(len(columns[0].codes), np.int64)
    there = np.ones(len(total), dtype=bool)
    for column in columns:
        total = np.unique(total * (column.different + 1) + column.codes + 1, return_inverse=True)[1].astype(np.int64)
        there &= column.codes >= 0
    return len(np.unique(total[there] if only_filled else total))
