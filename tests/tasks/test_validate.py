"""The stage: which rows flow, which are set aside and with what reason, and what keeps a night from readers."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from deployments.catalogue import Definition, load_definition
from domain.errors import DefinitionError, Fenced
from domain.report import StageReport
from domain.words import BatchKind, BatchState, Outcome, StageState
from infra.settings import Settings
from store import schema
from store.batches import Batch, count_batch, load_batch, newest_verdict, open_batch
from store.engine import transaction
from store.runs import load_run, point_run
from tasks.context import Night
from tasks.validate import validate

DAY = "2024-01-05"


@pytest.fixture
def judge(shops: Definition, settings: Settings, writer: sa.Engine) -> Callable[..., "Judged"]:
    """Loads rows as a batch of its own run, and validates them by the given expectations."""

    def run(expectations: str | None = None, rows: int = 100, spoil: str = "", unreadable: int = 0) -> Judged:
        definition = rewritten(shops, settings, expectations)
        night = open_night(definition, settings, writer)
        batch = load_rows(night, rows=rows, spoil=spoil, unreadable=unreadable)
        return Judged(night, batch.id, validate(night))

    return run


class Judged:
    """A validated batch, as a reader of the ledger finds it."""

    def __init__(self, night: Night, batch: int, report: StageReport) -> None:
        self.night, self.report = night, report
        with transaction(night.engine) as connection:
            self.batch = load_batch(connection, batch)
            self.verdict = newest_verdict(connection, batch)
            line = connection.execute(
                sa.select(schema.verdict.c.results).where(schema.verdict.c.batch == batch).order_by(schema.verdict.c.id.desc())
            ).first()
            self.results: list[dict[str, Any]] = line.results if line else []
            inner = f"overnight_shops.rejected_{batch}"
            self.rejected = connection.execute(sa.text(f"SELECT * FROM {inner} ORDER BY row_text")).mappings().all()
            self.landed = connection.scalar(sa.text(f"SELECT count(*) FROM overnight_shops.landed_{batch}"))


def rewritten(definition: Definition, settings: Settings, expectations: str | None) -> Definition:
    if expectations is None:
        return definition
    (definition.folder / "expectations.yaml").write_text(expectations)
    return load_definition(settings.deployments, "shops")


def open_night(definition: Definition, settings: Settings, writer: sa.Engine) -> Night:
    interval = definition.pipeline.calendar.named(DAY)
    with transaction(writer) as connection:
        connection.execute(
            sa.update(schema.run).values(state="failed", ended_at=schema.now()).where(schema.run.c.state == "running")
        )
        run = connection.scalar(
            sa.insert(schema.run)
            .values(pipeline="shops", interval_start=interval.start, interval_end=interval.end, trigger="test", holder={},
                    hindsight=False)
            .returning(schema.run.c.id)
        )  # fmt: skip
        return Night(load_run(connection, run or 0), definition, writer, settings)


def load_rows(night: Night, *, rows: int, spoil: str = "", unreadable: int = 0) -> Batch:
    """A loaded batch of good rows, then changed by a piece of SQL, with some rows set aside already as ingest would."""
    with transaction(night.engine) as connection:
        batch = open_batch(connection, night.run, BatchKind.INPUT, columns=list(night.pipeline.columns), fingerprint="f")
        names = {"landed": f"overnight_shops.landed_{batch.id}", "rejected": f"overnight_shops.rejected_{batch.id}"}
        connection.execute(sa.text(GOOD_ROWS.format(**names)), {"rows": rows})
        if unreadable:
            connection.execute(sa.text(UNREADABLE.format(**names)), {"rows": unreadable})
        if spoil:
            connection.execute(sa.text(spoil.format(**names)))
        count_batch(connection, batch.id, rows=rows, rejected=unreadable)
        point_run(connection, night.run.id, input_batch=batch.id)
        return replace(batch, rows=rows, rejected=unreadable)


GOOD_ROWS = """
INSERT INTO {landed} (shop, opened, region, stock, price, left_over)
SELECT 's' || lpad(n::text, 4, '0'), timestamptz '2024-01-05 07:00+01' + n * interval '1 second',
    (ARRAY['north', 'south', 'east'])[1 + n % 3], n % 100, 1 + n % 9, n % 20
FROM generate_series(1, :rows) n
"""
UNREADABLE = "INSERT INTO {rejected} (batch_id, rule, reason) SELECT batch_id, 'type', 'no number' FROM {landed} LIMIT :rows"
BETWEEN = "- {expect: column_values_to_be_between, column: stock, min_value: 0, max_value: 1000%s}\n"


def test_a_clean_night_passes_and_is_sealed(judge: Callable[..., Judged]) -> None:
    night = judge()
    assert night.report.state is StageState.DONE
    assert night.verdict is not None
    assert night.verdict[:2] == (Outcome.PASSED, "100 rows passed 2 rules")
    assert night.batch.state is BatchState.SEALED
    assert (night.batch.rows, night.batch.rejected, night.landed) == (100, 0, 100)


def test_bad_rows_move_to_rejects_with_the_rule_that_caught_them_and_the_good_rows_flow(judge: Callable[..., Judged]) -> None:
    night = judge(spoil="UPDATE {landed} SET stock = -5 WHERE shop IN ('s0003', 's0007')")
    assert night.report.state is StageState.DONE
    assert night.verdict is not None
    assert night.verdict[:2] == (Outcome.PASSED_WITH_REJECTS, "2 of 100 rows set aside (2%, limit 10%)")
    assert (night.batch.rows, night.batch.rejected, night.landed) == (98, 2, 98)
    first = night.rejected[0]
    assert first["rule"] == "column_values_to_be_between(stock)"
    assert (first["column_name"], first["value"]) == ("stock", "-5")
    assert first["reason"] == "stock is outside 0 to 1,000"
    assert '"shop": "s0003"' in first["row_text"]
    assert night.results[0]["state"] == "rejects"
    assert {"shop": "s0003", "stock": -5} in night.results[0]["examples"]


def test_a_row_that_breaks_several_rules_is_set_aside_once_and_names_them_all(judge: Callable[..., Judged]) -> None:
    night = judge(spoil="UPDATE {landed} SET stock = -5, region = NULL WHERE shop = 's0003'")
    assert len(night.rejected) == 1
    assert night.rejected[0]["rule"] == "column_values_to_be_between(stock), column_values_to_not_be_null(region)"
    assert night.rejected[0]["reason"] == "stock is outside 0 to 1,000; region is null"
    assert night.batch.rejected == 1


def test_all_failing_rows_are_kept_not_only_the_first_twenty(judge: Callable[..., Judged]) -> None:
    night = judge(rows=1000, spoil="UPDATE {landed} SET stock = -5 WHERE right(shop, 1) = '1' AND shop < 's0700'")
    assert len(night.rejected) == 70
    assert len(night.results[0]["examples"]) == 20


def test_a_rule_past_its_own_limit_holds_the_night_in_one_sentence(judge: Callable[..., Judged]) -> None:
    night = judge(
        "- {expect: column_values_to_not_be_null, column: region, mostly: 98%}",
        rows=1000, spoil="UPDATE {landed} SET region = NULL WHERE shop <= 's0072'",
    )  # fmt: skip
    assert night.report.state is StageState.HELD
    assert night.verdict is not None
    assert night.verdict[:2] == (Outcome.HELD, "held: 7.2% of region is null, limit 2%")
    assert night.batch.state is BatchState.SEALED
    assert night.batch.rows + night.batch.rejected == 1000


@pytest.mark.parametrize(
    ("budget", "bad", "outcome", "reason"),
    [
        ("at_most: 1%", 9, Outcome.PASSED_WITH_REJECTS, "9 of 1,000 rows set aside (0.9%, limit 10%)"),
        ("at_most: 1%", 11, Outcome.HELD, "held: 1.1% of region is null, limit 1%"),
        ("at_most: 5", 5, Outcome.PASSED_WITH_REJECTS, "5 of 1,000 rows set aside (0.5%, limit 10%)"),
        ("at_most: 5", 6, Outcome.HELD, "held: 0.6% of region is null (6 rows), limit 5 rows"),
        ("at_most: 0", 1, Outcome.HELD, "held: 0.1% of region is null (1 row), limit 0 rows"),
    ],
)
def test_a_rule_may_have_a_budget_of_its_own_as_a_share_or_as_a_count(
    judge: Callable[..., Judged], budget: str, bad: int, outcome: Outcome, reason: str
) -> None:
    night = judge(
        f"- {{expect: column_values_to_not_be_null, column: region, {budget}}}",
        rows=1000, spoil=f"UPDATE {{landed}} SET region = NULL WHERE shop <= 's{bad:04d}'",
    )  # fmt: skip
    assert night.verdict is not None
    assert night.verdict[:2] == (outcome, reason)
    assert night.batch.rejected == bad


def test_ingest_and_rules_share_one_budget(judge: Callable[..., Judged]) -> None:
    night = judge(unreadable=7, rows=93, spoil="UPDATE {landed} SET stock = -5 WHERE shop <= 's0004'")
    assert night.verdict is not None
    assert night.verdict[0] is Outcome.HELD
    assert night.verdict[1] == "held: 11% of rows were set aside (7 by ingest, 4 by rules), limit 10%"


def test_an_empty_batch_is_held_though_every_rule_would_pass(judge: Callable[..., Judged]) -> None:
    night = judge(rows=0)
    assert night.verdict is not None
    assert night.verdict[:2] == (Outcome.HELD, "held: the night has no rows")


def test_a_warning_is_shown_and_neither_moves_rows_nor_holds(judge: Callable[..., Judged]) -> None:
    night = judge(BETWEEN % ", severity: warning", spoil="UPDATE {landed} SET stock = -5 WHERE shop <= 's0040'")
    assert night.report.state is StageState.DONE
    assert night.landed == 100
    assert night.verdict is not None
    assert night.verdict[:2] == (
        Outcome.PASSED, "100 rows passed 1 rule; 1 warning: 40% of stock is outside 0 to 1,000, limit 0%"
    )  # fmt: skip
    assert len(night.results[0]["examples"]) == 20


def test_rules_about_the_whole_table_judge_the_rows_that_are_left(judge: Callable[..., Judged]) -> None:
    suite = BETWEEN % "" + "- {expect: column_max_to_be_between, column: stock, max_value: 1000}\n"
    night = judge(suite, spoil="UPDATE {landed} SET stock = 5000 WHERE shop = 's0003'")
    assert night.verdict is not None
    assert night.verdict[0] is Outcome.PASSED_WITH_REJECTS
    assert night.results[1]["observed"] == 99


def test_a_failed_rule_about_the_whole_table_holds_the_night(judge: Callable[..., Judged]) -> None:
    night = judge("- {expect: table_row_count_to_be_between, min_value: 700, max_value: 1000}")
    assert night.verdict is not None
    assert night.verdict[:2] == (Outcome.HELD, "held: the night has 100 rows, limit 700 to 1,000")


def test_rows_that_share_a_key_are_all_set_aside(judge: Callable[..., Judged]) -> None:
    suite = "- {expect: compound_columns_to_be_unique, column_list: [region, opened]}"
    night = judge(suite, spoil="UPDATE {landed} SET opened = '2024-01-05', region = 'west' WHERE shop <= 's0003'")
    assert [row["rule"] for row in night.rejected] == ["compound_columns_to_be_unique(region, opened)"] * 3
    assert night.results[0]["unexpected_count"] == 3
    assert night.landed == 97


def test_a_rule_that_cannot_be_judged_on_the_data_is_an_error_and_holds(judge: Callable[..., Judged]) -> None:
    night = judge("- {expect: rows_to_satisfy, sql: 100 / stock > 0}", spoil="UPDATE {landed} SET stock = 0")
    assert night.report.state is StageState.HELD
    assert night.results[0]["state"] == "error"
    assert night.results[0]["success"] is False
    assert "division by zero" in night.report.reason


def test_a_condition_in_sql_catches_rows_that_break_it_and_leaves_unknown_ones(judge: Callable[..., Judged]) -> None:
    night = judge(
        "- {expect: rows_to_satisfy, sql: \"price < 100 or region like 'n%'\", name: sane price}",
        spoil="UPDATE {landed} SET price = CASE shop WHEN 's0001' THEN 500 END, region = 'south' WHERE shop <= 's0004'",
    )
    assert [row["rule"] for row in night.rejected] == ["sane price"]
    assert night.rejected[0]["reason"] == "not (price < 100 or region like 'n%')"


def test_a_row_condition_limits_what_a_rule_looks_at(judge: Callable[..., Judged]) -> None:
    suite = '- {expect: column_values_to_not_be_null, column: price, row_condition: stock > 51 and region == "north"}'
    night = judge(suite, spoil="UPDATE {landed} SET price = NULL WHERE shop <= 's0060'")
    kept = [row["row_text"] for row in night.rejected]
    assert len(kept) == 3
    assert all('"region": "north"' in text for text in kept)


def test_the_interval_can_stand_in_a_bound(judge: Callable[..., Judged]) -> None:
    suite = (
        "- {expect: column_values_to_be_between, column: opened, min_value: '{interval.start}',"
        " max_value: '{interval.end}', strict_max: true}"
    )
    night = judge(suite, spoil="UPDATE {landed} SET opened = '2024-01-05 23:00Z' WHERE shop = 's0009'")
    assert [row["value"] for row in night.rejected] == ["2024-01-05 23:00:00+00"]


def test_a_suite_without_rules_lets_a_night_pass_and_says_so(judge: Callable[..., Judged]) -> None:
    night = judge("[]")
    assert night.verdict is not None
    assert night.verdict[:2] == (Outcome.PASSED, "100 rows passed 0 rules")


def test_a_batch_judged_by_the_same_suite_is_not_judged_again(judge: Callable[..., Judged]) -> None:
    night = judge()
    again = validate(night.night)
    assert again.state is StageState.REUSED
    assert again.reason == f"batch {night.batch.id} was judged by this suite before: passed"


def test_a_held_batch_stays_held_when_asked_again(judge: Callable[..., Judged]) -> None:
    night = judge(rows=0)
    again = validate(night.night)
    assert (again.state, again.reason) == (StageState.HELD, "held: the night has no rows")


def test_a_rule_that_cannot_run_is_refused_before_a_row_is_read_and_the_batch_stays_loaded(
    shops: Definition, settings: Settings, writer: sa.Engine
) -> None:
    definition = rewritten(shops, settings, "- {expect: column_values_to_match_regex, column: region, regex: 'a('}")
    night = open_night(definition, settings, writer)
    batch = load_rows(night, rows=10)
    with pytest.raises(DefinitionError, match=r"expectations.yaml:1: column_values_to_match_regex\(region\) cannot be judged"):
        validate(night)
    with transaction(writer) as connection:
        assert load_batch(connection, batch.id).state is BatchState.LOADED


def test_a_run_that_lost_its_night_moves_nothing(shops: Definition, settings: Settings, writer: sa.Engine) -> None:
    night = open_night(shops, settings, writer)
    batch = load_rows(night, rows=100, spoil="UPDATE {landed} SET stock = -5 WHERE shop = 's0001'")
    with transaction(writer) as connection:
        connection.execute(sa.update(schema.run).values(state="crashed", ended_at=schema.now()))
    with pytest.raises(Fenced):
        validate(night)
    with transaction(writer) as connection:
        assert connection.scalar(sa.text(f"SELECT count(*) FROM overnight_shops.landed_{batch.id}")) == 100
        assert newest_verdict(connection, batch.id) is None
