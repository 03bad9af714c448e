"""Rules about the whole night that are one aggregate each: they are answered by the same scan that counts failing rows.

Great Expectations asks them in up to four queries, and a second time of the rows that are left; the figures are its own.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from tasks.expectations.catches import Catch
from tasks.expectations.suite import Rule

CAUGHT = "overnight_caught"
_NUMBERS = ("int", "float", "decimal")
_BOUNDS = frozenset({"min_value", "max_value", "strict_min", "strict_max"})


def _number(column: Any) -> Any:
    return sa.cast(column, sa.Double)


_OF_NUMBERS: Mapping[str, Callable[[Any], Any]] = {
    "column_mean_to_be_between": lambda column: sa.func.avg(_number(column)),
    "column_stdev_to_be_between": lambda column: sa.func.stddev_samp(_number(column)),
    "column_min_to_be_between": sa.func.min,
    "column_max_to_be_between": sa.func.max,
    "column_sum_to_be_between": sa.func.sum,
}
_OF_ANY: Mapping[str, Callable[[Any], Any]] = {
    "column_unique_value_count_to_be_between": lambda column: sa.func.count(sa.distinct(column)),
    "column_proportion_of_non_null_values_to_be_between": sa.func.count,
}
_OF_NUMBERS_ONLY = frozenset(_OF_NUMBERS)


def figure_of(rule: Rule, kinds: Mapping[str, str], *, left: bool) -> sa.ColumnElement[Any] | None:
    """The aggregate that answers a rule, over all rows or over those `left` of `told_rows`; None for a rule that takes more.

    `kinds` are the columns' types.
    """
    if not set(rule.arguments) <= _BOUNDS | {"column"} or not all(map(_is_number, _bounds_of(rule))):
        return None

    def of(figure: Any) -> Any:
        return figure.filter(sa.column(CAUGHT).is_(sa.false())) if left else figure

    if rule.expectation == "table_row_count_to_be_between":
        rows: sa.ColumnElement[Any] = of(sa.func.count())
        return rows
    if len(rule.columns) != 1:
        return None
    kind = kinds[rule.columns[0]]
    make = _OF_ANY.get(rule.expectation) or (_OF_NUMBERS.get(rule.expectation) if kind in _NUMBERS else None)
    if make is None or kind == "json":
        return None
    figure = of(make(sa.column(rule.columns[0])))
    if rule.expectation == "column_proportion_of_non_null_values_to_be_between":
        figure = _number(figure) / sa.func.nullif(of(sa.func.count()), 0)
    return sa.cast(figure, sa.Double) if rule.expectation in _OF_NUMBERS_ONLY else figure


def _bounds_of(rule: Rule) -> list[Any]:
    return [rule.arguments[key] for key in ("min_value", "max_value") if rule.arguments.get(key) is not None]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def lies_within(value: Any, rule: Rule) -> bool:
    """Whether a figure keeps to a rule's bounds; no figure, of no rows, does not."""
    low, high = rule.arguments.get("min_value"), rule.arguments.get("max_value")
    if value is None:
        return False
    above = low is None or (value > low if rule.arguments.get("strict_min") else value >= low)
    return above and (high is None or (value < high if rule.arguments.get("strict_max") else value <= high))


def told_rows(schema: str, table: str, columns: Sequence[str], critical: Sequence[Catch]) -> sa.Select[Any]:
    """The table's rows, and whether any of the critical catches wants each. That is worked out once per row: the fence keeps
    Postgres from working it out again wherever it is used."""
    source = sa.table(table, schema=schema).alias("rows")
    names: list[sa.ColumnElement[Any]] = [sa.column(name) for name in columns]
    caught = sa.or_(*(catch.met for catch in critical)).is_(sa.true()).label(CAUGHT)
    return sa.select(*names, caught).select_from(source).offset(0)


def told_of(catch: Catch, critical: Sequence[Catch]) -> Catch:
    """A catch as it reads on `told_rows`: of a critical one only those rows are asked that some critical one wants."""
    if catch not in critical:
        return catch
    return Catch(catch.rule, sa.and_(sa.column(CAUGHT, sa.Boolean()), catch.met), catch.judged)
