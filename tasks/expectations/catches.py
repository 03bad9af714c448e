"""Which rows of a table a rule looks at, and which of them it catches: conditions in SQL, however they came about."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.visitors import replacement_traverse

from tasks.expectations.suite import Rule


@dataclass(frozen=True, slots=True)
class Catch:
    """Which rows a rule catches: by a condition, or as sharing their `unique` columns with others.

    `judged` is the condition of the rows that the rule looks at; None for all.
    """

    rule: Rule
    condition: sa.ColumnElement[bool] | None
    judged: sa.ColumnElement[bool] | None = None
    unique: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        return f"overnight_sharing_{self.rule.number}"

    @property
    def window(self) -> sa.Label[int]:
        """How many rows share a row's key."""
        return sa.func.count().over(partition_by=[sa.column(name) for name in self.unique]).label(self.label)

    @property
    def met(self) -> sa.ColumnElement[bool]:
        """The condition that a caught row of `marked_rows` meets; it may be unknown for others."""
        if self.condition is not None:
            return self.condition
        shared = sa.column(self.label) > 1
        return shared if self.judged is None else sa.and_(shared, self.judged)


def marked_rows(schema: str, table: str, catches: Sequence[Catch]) -> sa.Subquery:
    """The table's rows with their place, and for each uniqueness rule how many rows share the key."""
    rows = sa.table(table, schema=schema).alias("rows")
    windows = [catch.window for catch in catches if catch.unique]
    columns = [sa.literal_column("rows.*"), sa.literal_column("rows.ctid").label("overnight_place"), *windows]
    return sa.select(*columns).select_from(rows).subquery("marked")


def with_numbers(condition: sa.ColumnElement[bool], *, whole: bool) -> sa.ColumnElement[bool]:
    """The condition with its bounds, which are all floats, as the column's own type of number: a bare 10.0 is a decimal where it
    is written into a statement, and a float beside an integer column turns every integer of the table into a float.

    `whole` says that the columns are integers.
    """

    def typed(element: Any, **_: Any) -> Any:
        if not isinstance(element, sa.BindParameter) or not isinstance(element.value, float):
            return None
        if whole and element.value.is_integer() and abs(element.value) < 2**53:
            return sa.literal(int(element.value), sa.BigInteger())
        return sa.cast(element, sa.Double)

    return replacement_traverse(condition, {}, typed)


def breaks(condition: str) -> sa.ColumnElement[bool]:
    """True where the SQL condition is false: like a CHECK, a condition that is unknown holds."""
    return sa.literal_column(f"NOT ({condition})", sa.Boolean())


def present(names: Sequence[str], ignore_row_if: str) -> sa.ColumnElement[bool] | None:
    """The rows that `ignore_row_if` leaves; None for all."""
    filled = [sa.column(name).is_not(None) for name in names]
    if ignore_row_if in ("both_values_are_missing", "all_values_are_missing"):
        return sa.or_(*filled)
    return sa.and_(*filled) if ignore_row_if in ("either_value_is_missing", "any_value_is_missing") else None


def sharing(catches: Sequence[Catch]) -> dict[int, int]:
    """For each rule the first one that looks at the same rows."""
    first: dict[str, int] = {}
    return {catch.rule.number: first.setdefault(_text(catch.judged), catch.rule.number) for catch in catches}


def _text(condition: sa.ColumnElement[bool] | None) -> str:
    compiled = None if condition is None else condition.compile()
    return "" if compiled is None else f"{compiled} {sorted(compiled.params.items())}"
