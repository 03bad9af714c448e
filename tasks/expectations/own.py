"""Expectations of our own, as Great Expectations wants them: rows judged by their own conditions in one scan, keys compared by
grouping, and SQL for what has no class.

Imported by `engine` alone, and as late: together the two are the door to Great Expectations.
"""

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, ClassVar

import sqlalchemy as sa
from great_expectations.core.metric_domain_types import MetricDomainTypes
from great_expectations.core.metric_function_types import MetricPartialFunctionTypes
from great_expectations.execution_engine import SqlAlchemyExecutionEngine
from great_expectations.expectations.expectation import BatchExpectation
from great_expectations.expectations.metrics.metric_provider import metric_partial, metric_value
from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider

from tasks.expectations.catches import Catch, breaks
from tasks.expectations.suite import Rule
from tasks.expectations.wholes import lies_within

_PARAMETERS_OF_SQL = ("sql",)
JUDGING: ContextVar[Mapping[int, Catch]] = ContextVar("the catches of the rules that are being judged, by number")
ANSWERING: ContextVar[Mapping[int, tuple[Rule, Any]]] = ContextVar("rules about the whole night and their aggregates, by number")
_IN_ONE_SCAN = {
    "engine": SqlAlchemyExecutionEngine,
    "partial_fn_type": MetricPartialFunctionTypes.AGGREGATE_FN,
    "domain_type": MetricDomainTypes.TABLE,
}


class _RowsFailing(TableMetricProvider):  # type: ignore[misc]
    """Rows that meet a rule's condition of a bad row."""

    metric_name = "table.rows_failing"
    value_keys = ("number",)

    @metric_partial(**_IN_ONE_SCAN)  # type: ignore[untyped-decorator]
    def _sqlalchemy(cls, metric_domain_kwargs: Any, metric_value_kwargs: Any, **_: Any) -> Any:
        condition = JUDGING.get()[metric_value_kwargs["number"]].met
        return sa.func.count().filter(condition), metric_domain_kwargs, {}


class _RowsJudged(TableMetricProvider):  # type: ignore[misc]
    """Rows that a rule looks at."""

    metric_name = "table.rows_judged"
    value_keys = ("judged",)

    @metric_partial(**_IN_ONE_SCAN)  # type: ignore[untyped-decorator]
    def _sqlalchemy(cls, metric_domain_kwargs: Any, metric_value_kwargs: Any, **_: Any) -> Any:
        judged = JUDGING.get()[metric_value_kwargs["judged"]].judged
        return sa.func.count() if judged is None else sa.func.count().filter(judged), metric_domain_kwargs, {}


class ExpectRowsToPass(BatchExpectation):  # type: ignore[misc]
    """What the row-level expectations of a suite are judged by: by their own conditions, all of them in one scan.

    `judged` is the number of a rule that looks at the same rows, so that they are counted once.
    """

    number: int
    judged: int
    mostly: float = 1.0
    metric_dependencies: ClassVar = ("table.rows_failing", "table.rows_judged")
    success_keys: ClassVar = ("number", "judged", "mostly")

    def _validate(self, metrics: Any, **_: Any) -> dict[str, Any]:
        return _row_result(metrics["table.rows_failing"] or 0, metrics["table.rows_judged"] or 0, self.mostly)


class _Figure(TableMetricProvider):  # type: ignore[misc]
    """The one figure that a rule about the whole night is about."""

    metric_name = "table.figure"
    value_keys = ("number",)

    @metric_partial(**_IN_ONE_SCAN)  # type: ignore[untyped-decorator]
    def _sqlalchemy(cls, metric_domain_kwargs: Any, metric_value_kwargs: Any, **_: Any) -> Any:
        return ANSWERING.get()[metric_value_kwargs["number"]][1], metric_domain_kwargs, {}


class ExpectFigureToLieWithin(BatchExpectation):  # type: ignore[misc]
    """What a rule about the whole night is judged by, where one aggregate answers it."""

    number: int
    metric_dependencies: ClassVar = ("table.figure",)
    success_keys: ClassVar = ("number",)

    def _validate(self, metrics: Any, **_: Any) -> dict[str, Any]:
        value = metrics["table.figure"]
        return {"success": lies_within(value, ANSWERING.get()[self.number][0]), "result": {"observed_value": value}}


class _SharedKeys(TableMetricProvider):  # type: ignore[misc]
    """How many rows share their key with another, where Great Expectations joins the table with itself.

    As many different hashes as rows prove that no two keys are equal, at two thirds of what grouping costs.
    """

    metric_name = "table.shared_keys"
    value_keys = ("number",)

    @metric_value(engine=SqlAlchemyExecutionEngine)  # type: ignore[untyped-decorator]
    def _sqlalchemy(cls, execution_engine: Any, metric_domain_kwargs: Any, metric_value_kwargs: Any, **_: Any) -> Any:
        table, _, _ = execution_engine.get_compute_domain(metric_domain_kwargs, domain_type=MetricDomainTypes.TABLE)
        catch = JUDGING.get()[metric_value_kwargs["number"]]
        looked_at = sa.true() if catch.judged is None else catch.judged
        keys: list[Any] = [sa.column(name) for name in catch.unique]
        different = sa.func.count(sa.distinct(sa.func.hash_record_extended(sa.func.row(*keys), 0)))
        rows, hashes = execution_engine.execute_query(
            sa.select(sa.func.count(), different).select_from(table).where(looked_at)
        ).one()
        if rows == hashes:
            return {"rows": rows, "sharing": 0}
        size = sa.func.count()
        groups = sa.select(size.label("size")).select_from(table).where(looked_at).group_by(*keys).having(size > 1).subquery()
        sharing = execution_engine.execute_query(sa.select(sa.func.coalesce(sa.func.sum(groups.c.size), 0))).scalar()
        return {"rows": rows, "sharing": int(sharing)}


class ExpectKeyToBeUnique(BatchExpectation):  # type: ignore[misc]
    """What both uniqueness expectations of a suite are judged by."""

    number: int
    mostly: float = 1.0
    metric_dependencies: ClassVar = ("table.shared_keys",)
    success_keys: ClassVar = ("number", "mostly")

    def _validate(self, metrics: Any, **_: Any) -> dict[str, Any]:
        found = metrics["table.shared_keys"]
        return _row_result(found["sharing"], found["rows"], self.mostly)


class _RowsBreaking(TableMetricProvider):  # type: ignore[misc]
    """Rows for which a SQL condition is false."""

    metric_name = "table.rows_breaking"
    value_keys = _PARAMETERS_OF_SQL

    @metric_partial(**_IN_ONE_SCAN)  # type: ignore[untyped-decorator]
    def _sqlalchemy(cls, metric_domain_kwargs: Any, metric_value_kwargs: Any, **_: Any) -> Any:
        broken = breaks(metric_value_kwargs["sql"])
        return sa.func.sum(sa.case((broken, 1), else_=0)), metric_domain_kwargs, {}


class ExpectRowsToSatisfy(BatchExpectation):  # type: ignore[misc]
    """For what has no class: a SQL condition that every row must meet."""

    sql: str
    mostly: float = 1.0
    map_metric: ClassVar = "table.rows_breaking"
    metric_dependencies: ClassVar = ("table.rows_breaking", "table.row_count")
    success_keys: ClassVar = ("sql", "mostly")

    def _validate(self, metrics: Any, **_: Any) -> dict[str, Any]:
        return _row_result(metrics["table.rows_breaking"] or 0, metrics["table.row_count"], self.mostly)


class _QueryValue(TableMetricProvider):  # type: ignore[misc]
    """The single figure that a SQL query gives, `{batch}` standing for the batch."""

    metric_name = "table.query_value"
    value_keys = _PARAMETERS_OF_SQL

    @metric_value(engine=SqlAlchemyExecutionEngine)  # type: ignore[untyped-decorator]
    def _sqlalchemy(cls, execution_engine: Any, metric_domain_kwargs: Any, metric_value_kwargs: Any, **_: Any) -> Any:
        selectable, _, _ = execution_engine.get_compute_domain(metric_domain_kwargs, domain_type=MetricDomainTypes.TABLE)
        query = metric_value_kwargs["sql"].replace("{batch}", str(selectable))
        return execution_engine.execute_query(sa.text(query.replace(":", r"\:"))).scalar()


class ExpectQueryValueToBeBetween(BatchExpectation):  # type: ignore[misc]
    """For what has no class: a SQL query over the whole batch whose one figure lies between two bounds."""

    sql: str
    min_value: float | None = None
    max_value: float | None = None
    metric_dependencies: ClassVar = ("table.query_value",)
    success_keys: ClassVar = ("sql", "min_value", "max_value")

    def _validate(self, metrics: Any, **_: Any) -> dict[str, Any]:
        value = metrics["table.query_value"]
        low, high = self.min_value, self.max_value
        inside = value is not None and (low is None or value >= low) and (high is None or value <= high)
        return {"success": inside, "result": {"observed_value": value}}


OWN_ONLY = {"expect_key_to_be_unique", "expect_rows_to_pass", "expect_figure_to_lie_within"}


def _row_result(unexpected: int, rows: int, mostly: float) -> dict[str, Any]:
    share = (rows - unexpected) / rows if rows else 1.0
    return {"success": share >= mostly, "result": {"element_count": rows, "unexpected_count": unexpected}}
