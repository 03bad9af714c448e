"""Expectations from the table's own parts: which of the lines that could be proposed are worth a reader's time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor

import numpy as np

from domain.suggestion import Line, NightShape, Suggestion, suggest_rules
from tasks.onboarding.roles import Role
from tasks.onboarding.shapes import parts_of, shape_of
from tasks.onboarding.table import Seen, Table

_FIGURES_FOR, _MEANS_FOR = 25, 60  # columns up to which all figures, or means, are watched
_TIES = 4
_ROW_LEVEL = ("column_values_to_be_in_set", "column_values_to_match_regex", "column_value_lengths_to_be_between")


@dataclass(frozen=True, slots=True)
class Group:
    """The lines about one column, or about the table (no column), and what was seen of it."""

    column: str
    seen: str
    lines: tuple[Line, ...]


def propose_suite(table: Table, roles: Mapping[str, Role], *, snapshot: bool, time: Seen | None) -> list[Group]:
    """Lines that every part of the table passes, grouped by column."""
    columns = [column for column in table.columns if column.name in roles and roles[column.name].flag not in ("untyped", "empty")]
    parts = parts_of(table, None if snapshot or time is None else time.numbers)
    if snapshot and len(parts) > 1:
        parts = [*parts, np.arange(table.rows)]  # a table in order of time varies more as a whole than in any stretch of it
    nights = [shape_of(columns, rows) for rows in parts]
    found = suggest_rules(nights)
    groups = [_rows(table, found[0], snapshot=snapshot)] if found else []
    for column in columns:
        kept = _kept(
            [one for one in found if one.line.get("column") == column.name or _is_about(one, column)], column, len(columns)
        )
        if kept:
            groups.append(Group(column.name, _said(kept), tuple(one.line for one in kept)))
    ties = [one for one in found if one.line.get("name", "").startswith(("correlation of", "different "))]
    groups += [Group("", f"{one.line['name']}: {one.why}", (one.line,)) for one in _strongest(ties, nights)]
    return groups


def _rows(table: Table, proposed: Suggestion, *, snapshot: bool) -> Group:
    """A snapshot may grow; a night's slice may not leave what was seen by much."""
    if not snapshot:
        return Group("", proposed.why, (proposed.line,))
    line: Line = {"expect": "table_row_count_to_be_between", "min_value": floor(table.rows * 0.7), "max_value": table.rows * 3}
    return Group("", f"{table.rows:,} rows; a table may grow, but not lose a third overnight", (line,))


def _is_about(one: Suggestion, column: Seen) -> bool:
    return bool(one.line.get("name") == f"share of unseen {column.name}")


def _kept(found: Sequence[Suggestion], column: Seen, columns: int) -> list[Suggestion]:
    kept = []
    words = {str(one.line["expect"]) for one in found}
    in_set = "column_values_to_be_in_set" in words or "query_value_to_be_between" in words
    for one in found:
        expect = str(one.line["expect"])
        if expect == "column_proportion_of_non_null_values_to_be_between" and not column.kind.contract.get("null"):
            continue  # the contract says already that it is never empty
        if (expect == "column_mean_to_be_between" and columns > _MEANS_FOR) or (
            expect == "column_stdev_to_be_between" and columns > _FIGURES_FOR
        ):
            continue
        if expect in ("column_mean_to_be_between", "column_stdev_to_be_between") and (column.is_unique or column.is_index):
            continue  # what counts up has another mean every night
        if expect in _ROW_LEVEL[1:] and in_set:
            continue
        kept.append(one)
    return kept


def _said(kept: Sequence[Suggestion]) -> str:
    words = {"column_mean_to_be_between": "mean ", "column_stdev_to_be_between": "standard deviation "}
    return "; ".join(f"{words.get(str(one.line['expect']), '')}{one.why}" for one in kept)


def _strongest(ties: Sequence[Suggestion], nights: Sequence[NightShape]) -> list[Suggestion]:
    """The closest pairs; with one part to go by, only those that hold in every row."""
    correlated = sorted((one for one in ties if "corr(" in one.line["sql"]), key=lambda one: -float(one.line["min_value"]))
    bound = sorted((one for one in ties if "corr(" not in one.line["sql"]), key=lambda one: float(one.line["max_value"]))
    return [*correlated[:_TIES], *[one for one in bound if float(one.line["max_value"]) <= 2][:_TIES]] if len(nights) > 1 else []
