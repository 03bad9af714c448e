"""Moves the rows that critical row-level rules caught to the batch's rejects: one statement, and no row leaves Postgres."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from domain.errors import StageFailed
from tasks.expectations.catches import Catch, marked_rows

_SHORT, _ROW = 200, 4000  # characters kept of a value, and of a row


def set_aside(
    connection: sa.Connection,
    catches: Sequence[Catch],
    *,
    schema: str,
    batch: int,
    reasons: Mapping[int, str],
    found: Mapping[int, int],
) -> int:
    """Moves every caught row, with the names of all the rules that caught it, and returns how many moved.

    Raises StageFailed when a rule catches another number of rows here than Great Expectations counted (`found`): then
    the two do not mean the same, and nothing may move.
    """
    if not catches:
        return 0
    counted = connection.execute(_statement(catches, schema=schema, batch=batch, reasons=reasons)).one()
    for number, catch in enumerate(catches, start=1):
        if counted[number] != found[catch.rule.number]:
            raise StageFailed(
                f"{catch.rule.name} counted {found[catch.rule.number]:,} failing rows and would set aside {counted[number]:,}"
            )
    return int(counted[0])


def _statement(catches: Sequence[Catch], *, schema: str, batch: int, reasons: Mapping[int, str]) -> sa.Select[Any]:
    landed = sa.table(f"landed_{batch}", sa.column("ctid"), schema=schema)
    fields = ("batch_id", "column_name", "value", "rule", "reason", "row_text")
    rejected = sa.table(f"rejected_{batch}", *map(sa.column, fields), schema=schema)
    marked = marked_rows(schema, f"landed_{batch}", catches)
    met = {catch.rule.number: catch.met for catch in catches}
    caught = (
        sa.select(
            sa.column("overnight_place"),
            *(sa.func.coalesce(met[catch.rule.number], sa.false()).label(f"caught_{catch.rule.number}") for catch in catches),
            _first([(met[c.rule.number], sa.literal(", ".join(c.rule.columns))) for c in catches]).label("column_name"),
            _first([(met[c.rule.number], _value(c)) for c in catches if c.rule.columns]).label("value"),
            _joined([(met[c.rule.number], c.rule.name) for c in catches], ", ").label("rule"),
            _joined([(met[c.rule.number], reasons[c.rule.number]) for c in catches], "; ").label("reason"),
            _row_text(catches).label("row_text"),
        )
        .select_from(marked)
        .where(sa.or_(*met.values()))
        .cte("caught")
    )
    moved = (
        sa.insert(rejected)
        .from_select(fields, sa.select(sa.literal(batch, sa.BigInteger()), *(caught.c[name] for name in fields[1:])))
        .cte("moved")
    )
    # An array, because a join would be planned for half of the table: nothing knows beforehand how few rows are caught.
    places = sa.func.array(sa.select(caught.c.overnight_place).scalar_subquery())
    gone = sa.delete(landed).where(landed.c.ctid == sa.any_(places)).cte("gone")
    counts = [sa.func.count().filter(caught.c[f"caught_{catch.rule.number}"]) for catch in catches]
    return sa.select(sa.func.count(), *counts).select_from(caught).add_cte(moved, gone)


def _first(pairs: Sequence[tuple[sa.ColumnElement[bool], Any]]) -> sa.ColumnElement[Any]:
    """What belongs to the first rule that caught the row."""
    return sa.case(*pairs) if pairs else sa.null()


def _value(catch: Catch) -> sa.ColumnElement[str]:
    texts = [sa.func.coalesce(sa.cast(sa.column(name), sa.Text), sa.literal("null")) for name in catch.rule.columns]
    if len(texts) == 1:
        return sa.func.left(sa.cast(sa.column(catch.rule.columns[0]), sa.Text), _SHORT)
    return sa.func.left(sa.func.concat_ws(", ", *texts), _SHORT)


def _joined(pairs: Sequence[tuple[sa.ColumnElement[bool], str]], separator: str) -> sa.ColumnElement[str]:
    """The texts of all the rules that caught the row; concat_ws leaves the others out, being null."""
    return sa.func.concat_ws(separator, *(sa.case((condition, sa.literal(text)), else_=sa.null()) for condition, text in pairs))


def _row_text(catches: Sequence[Catch]) -> sa.ColumnElement[str]:
    """The row as JSON, without what was added to it here."""
    added = ["batch_id", "overnight_place", *(catch.label for catch in catches if catch.unique)]
    row = sa.func.to_jsonb(sa.literal_column("marked"))
    return sa.func.left(sa.cast(row.op("-")(sa.cast(sa.literal(added, sa.ARRAY(sa.Text)), sa.ARRAY(sa.Text))), sa.Text), _ROW)
