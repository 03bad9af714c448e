"""The one door to Great Expectations: which expectations there are, what they need, and what they find in a table.

Importing it takes seconds, so this file itself is imported late. Great Expectations' validator and metrics are used
below their public surface (its way through a data source drops no rule and reads no rows either, but opens a second
session, which would not see a temporary view): the version is pinned, and every use is compared with its own counts.
"""

import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")

import great_expectations as gx
import sqlalchemy as sa
from great_expectations.compatibility.pydantic import ValidationError
from great_expectations.core.batch import Batch
from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.execution_engine import SqlAlchemyExecutionEngine
from great_expectations.execution_engine.sqlalchemy_batch_data import SqlAlchemyBatchData
from great_expectations.expectations import registry
from great_expectations.expectations.row_conditions import Column, deserialize_row_condition
from great_expectations.validator.metric_configuration import MetricConfiguration
from great_expectations.validator.validator import Validator

from domain.errors import DefinitionError
from tasks.expectations.catches import Catch, breaks, present, sharing, with_numbers
from tasks.expectations.findings import Finding, finding_of, first_line
from tasks.expectations.own import (
    ANSWERING,
    JUDGING,
    OWN_ONLY,
    ExpectFigureToLieWithin,
    ExpectKeyToBeUnique,
    ExpectRowsToPass,
)
from tasks.expectations.suite import Rule, nearest

logging.getLogger("great_expectations").setLevel(logging.CRITICAL)  # it repeats "lossy conversion" for every decimal
logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.CRITICAL)  # this one sets its own level

LEAN = {"result_format": "BASIC", "partial_unexpected_count": 0}  # counts, without a scan per rule for samples
_HIDDEN = frozenset(
    {"id", "meta", "notes", "result_format", "description", "catch_exceptions", "rendered_content", "windows", "batch_id",
     "severity", "condition_parser", "library_metadata"}
)  # fmt: skip
_ABOUT_NULLS = {"column_values.nonnull", "column_values.null"}
_UNIQUE = {"column_values_to_be_unique", "compound_columns_to_be_unique"}
_PARAMETERS_OF_SQL = ("sql",)


def is_row_level(rule: Rule) -> bool:
    """Whether the rule is about single rows, which can be set aside."""
    return not rule.is_about_history and getattr(_class_of(rule), "map_metric", None) is not None


# Which expectations there are ----------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def expectation_names() -> tuple[str, ...]:
    """Every expectation by the name that a suite uses."""
    names = registry.list_registered_expectation_implementations()
    return tuple(sorted(name.removeprefix("expect_") for name in names if name.startswith("expect_") and name not in OWN_ONLY))


@lru_cache
def argument_names(expectation: str) -> frozenset[str] | None:
    """The arguments that an expectation takes; None when there is no such expectation."""
    if expectation not in expectation_names():
        return None
    return frozenset(registry.get_expectation_impl(f"expect_{expectation}").__fields__) - _HIDDEN


def check(rule: Rule) -> None:
    """Raises DefinitionError when Great Expectations would not take the rule's arguments."""
    try:
        _original(rule)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])).removeprefix("__root__")
        message = f"{place}: {first['msg']}" if place else first["msg"]
        known = (argument_names(rule.expectation) or frozenset()) - {place}
        hint = nearest(place, known) if first["type"] == "value_error.extra" else ""
        raise DefinitionError(f"{rule.expectation}: {message}{hint}", where=rule.where, hint="overnight check") from None
    except (ValueError, TypeError) as error:
        raise DefinitionError(f"{rule.expectation}: {first_line(error)}", where=rule.where, hint="overnight check") from None
    if "mostly" not in (argument_names(rule.expectation) or ()):
        for key in {"mostly", "at_most"} & set(rule.written):
            raise DefinitionError(f"{rule.expectation} judges the whole table and takes no {key!r}", where=rule.where)
    if rule.expectation in _UNIQUE and "row_condition" in rule.arguments:
        raise DefinitionError(f"{rule.expectation} takes no row_condition here", where=rule.where)


def _class_of(rule: Rule) -> Any:
    return registry.get_expectation_impl(rule.type)


def _original(rule: Rule) -> Any:
    """The expectation as Great Expectations itself defines it."""
    mostly = {} if rule.mostly is None else {"mostly": rule.mostly}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return _class_of(rule)(**_arguments(rule), **mostly, severity=str(rule.severity), meta={"rule": rule.number})


def _arguments(rule: Rule) -> dict[str, Any]:
    condition = rule.arguments.get("row_condition")
    if condition is None:
        return dict(rule.arguments)
    return {**rule.arguments, "row_condition": read_condition(str(condition)), **_parser_of(str(condition))}


def _parser_of(condition: str) -> dict[str, str]:
    return {"condition_parser": "great_expectations"} if condition.lstrip().startswith("col(") else {}


def read_condition(text: str) -> Any:
    """`dep_time is not null and distance > 100` as Great Expectations' own condition; its `col("x")…` form passes as it is."""
    if text.lstrip().startswith("col("):
        return text
    conditions = [_comparison(part.strip()) for part in text.split(" and ")]
    whole = conditions[0]
    for other in conditions[1:]:
        whole = whole & other
    return whole


def _comparison(text: str) -> Any:
    from domain.target import parse_rule

    name = text.split(" ", 1)[0]
    if text.lower() in (f"{name.lower()} is null", f"{name.lower()} is not null"):
        return Column(name).is_not_null() if " not " in text.lower() else Column(name).is_null()
    rule = parse_rule(text, column=name)
    column, value = Column(name), rule.literal
    return {
        "==": column == value, "!=": column != value, ">": column > value,
        ">=": column >= value, "<": column < value, "<=": column <= value,
    }[rule.comparison]  # fmt: skip


# What they find --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Session:
    """A table or view, open for judging; `kinds` are its columns' types."""

    validator: Any
    kinds: Mapping[str, str]

    def judge(self, rules: Sequence[Rule]) -> list[Finding]:
        """One finding per rule, in their order, by Great Expectations' own classes."""
        return self._validate(rules, [_original(rule) for rule in rules])

    def judge_rows(
        self, catches: Sequence[Catch], *, mostly: Mapping[int, float], whole: Mapping[int, tuple[Rule, Any]] | None = None
    ) -> list[Finding]:
        """One finding for each catch, and for each rule about the whole night that an aggregate answers, all by one scan but
        for the keys. `mostly` gives the share of rows that each row-level rule must reach."""
        whole = whole or {}
        tokens = JUDGING.set({catch.rule.number: catch for catch in catches}), ANSWERING.set(whole)
        try:
            shared = sharing(catches)
            asked = [(c.rule, _counting(c, shared, mostly[c.rule.number])) for c in catches]
            asked += [
                (rule, ExpectFigureToLieWithin(number=number, meta={"rule": number})) for number, (rule, _) in whole.items()
            ]
            return self._validate([rule for rule, _ in asked], [expectation for _, expectation in asked])
        finally:
            JUDGING.reset(tokens[0])
            ANSWERING.reset(tokens[1])

    def _validate(self, rules: Sequence[Rule], expectations: Sequence[Any]) -> list[Finding]:
        if not rules:
            return []
        configurations = [expectation.configuration for expectation in expectations]
        results = self.validator.graph_validate(configurations=configurations, runtime_configuration={"result_format": LEAN})
        by_number = {result.expectation_config.meta["rule"]: result for result in results}  # it answers in another order
        return [finding_of(rule, by_number.get(rule.number), row_level=is_row_level(rule)) for rule in rules]

    def catches(self, rules: Sequence[Rule]) -> list[Catch]:
        """What rows each row-level rule looks at and which of them fail, as Great Expectations puts it in SQL.

        Rules without such a form are left out.
        """
        found, asked = [], []
        for rule in rules:
            if rule.expectation == "rows_to_satisfy":
                found.append(Catch(rule, breaks(rule.arguments["sql"])))
            elif rule.expectation in _UNIQUE:
                nulls = rule.arguments.get("ignore_row_if", "all_values_are_missing")
                found.append(Catch(rule, None, present(rule.columns, nulls), unique=rule.columns))
            else:
                expectation = _original(rule)
                asked.append((rule, expectation, self._condition_metric(expectation)))
        got, _ = self.validator.metrics_calculator.compute_metrics([metric for _, _, metric in asked])
        for rule, expectation, metric in asked:
            if metric.id in got:
                judged = [*self._domain(expectation)]
                condition = with_numbers(sa.and_(got[metric.id][0], *judged), whole=self._are_whole(rule))
                found.append(Catch(rule, condition, sa.and_(*judged) if judged else None))
        return sorted(found, key=lambda catch: catch.rule.number)

    def _are_whole(self, rule: Rule) -> bool:
        return bool(rule.columns) and all(self.kinds.get(name) == "int" for name in rule.columns)

    def _condition_metric(self, expectation: Any) -> Any:
        needed = expectation.get_validation_dependencies(
            execution_engine=self.validator.execution_engine, runtime_configuration={"result_format": "BOOLEAN_ONLY"}
        ).metric_configurations[f"{expectation.map_metric}.unexpected_count"]
        domain = {**needed.metric_domain_kwargs, "batch_id": self.validator.active_batch_id}
        return MetricConfiguration(f"{expectation.map_metric}.condition", domain, needed.metric_value_kwargs)

    def _domain(self, expectation: Any) -> Iterator[sa.ColumnElement[bool]]:
        """The rows that an expectation looks at: its row condition, and not what it ignores for being empty."""
        condition = getattr(expectation, "row_condition", None)
        if condition is not None:
            parsed = deserialize_row_condition(condition) if isinstance(condition, dict) else condition
            yield self.validator.execution_engine.condition_to_filter_clause(parsed)
        if hasattr(expectation, "column") and expectation.map_metric not in _ABOUT_NULLS:
            yield sa.column(expectation.column).is_not(None)
        names = getattr(expectation, "column_list", None) or [
            getattr(expectation, key) for key in ("column_A", "column_B") if hasattr(expectation, key)
        ]
        filled = present(names, getattr(expectation, "ignore_row_if", "never"))
        if filled is not None:
            yield filled


def _counting(catch: Catch, shared: Mapping[int, int], mostly: float) -> Any:
    """The expectation that counts what a catch catches."""
    number, meta = catch.rule.number, {"rule": catch.rule.number}
    if catch.unique:
        return ExpectKeyToBeUnique(number=number, mostly=mostly, meta=meta)
    return ExpectRowsToPass(number=number, judged=shared[number], mostly=mostly, meta=meta)


class Reader:
    """Great Expectations over one SQLAlchemy engine of a single session, so that temporary views are seen.

    Keep it for as long as the session is needed: its execution engine closes the session when it is collected.
    """

    def __init__(self, database: sa.Engine) -> None:
        self.database = database
        database.dialect.identifier_preparer._strings = _Spelled()
        self._engine = SqlAlchemyExecutionEngine(engine=database, create_temp_table=False)

    def open(self, table: str, kinds: Mapping[str, str]) -> Session:
        """A table or view, by its name in the session's path, ready to be judged."""
        data = SqlAlchemyBatchData(execution_engine=self._engine, table_name=table, create_temp_table=False)
        return Session(Validator(execution_engine=self._engine, batches=[Batch(data=data)], data_context=_context()), kinds)


class _Spelled(dict[str, str]):
    """SQLAlchemy's memory of how a name is quoted, by its very letters: Great Expectations' names are equal in any case, so that
    a column "Name" would be taken for the catalogue's own `name`, which needs no quotes."""

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(str.__str__(name))

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(str.__str__(name))

    def __setitem__(self, name: str, quoted: str) -> None:
        super().__setitem__(str.__str__(name), quoted)


@lru_cache(maxsize=1)
def _context() -> Any:
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    return context
