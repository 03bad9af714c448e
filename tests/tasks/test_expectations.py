"""The suite's file: what may stand in it, what is refused with file, line and nearest word, and what its rules mean in SQL."""

import subprocess
import sys
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from deployments.catalogue import Definition, load_definition
from domain.errors import DatabaseUnavailable, DefinitionError
from domain.words import Severity
from infra.settings import Settings
from tasks.expectations.audit import Audited, judge, lint
from tasks.expectations.suite import Rule, read_suite
from tasks.expectations.wholes import figure_of
from tests.patience import wait_for


@pytest.fixture
def read(shops: Definition, settings: Settings) -> Callable[[str], tuple[Rule, ...]]:
    """Reads a suite for the fifth of January."""

    def read(text: str) -> tuple[Rule, ...]:
        (shops.folder / "expectations.yaml").write_text(text)
        definition = load_definition(settings.deployments, "shops")
        return read_suite(definition, definition.pipeline.calendar.named("2024-01-05"))

    return read


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("{expect: column_values_to_be_betwen, column: stock}",
         "there is no expectation 'column_values_to_be_betwen'; did you mean 'column_values_to_be_between'?"),
        ("{expect: column_values_to_be_between, column: stok, min_value: 1}",
         "there is no column 'stok'; did you mean 'stock'?"),
        ("{expect: column_values_to_be_between, column: stock, minimum: 1}",
         "column_values_to_be_between takes no 'minimum'; did you mean 'min_value'?"),
        ("{expect: column_values_to_be_between, column: stock}",
         "column_values_to_be_between: min_value and max_value cannot both be None"),
        ("{expect: column_values_to_be_between, column: stock, min_value: low}",
         "column_values_to_be_between: min_value: value is not a valid float"),
        ("{expect: column_values_to_be_in_set, column: region}",
         "column_values_to_be_in_set: value_set: field required"),
        ("{expect: column_values_to_not_be_null, column: region, severity: fatal}",
         "severity 'fatal' is none of critical, warning, info"),
        ("{expect: column_values_to_not_be_null, column: region, mostly: 140%}",
         "mostly: '140%' is no share between 0 and 1"),
        ("{expect: column_mean_to_be_between, column: stock, min_value: 1, mostly: 0.5}",
         "column_mean_to_be_between takes no 'mostly'"),
        ("{expect: column_values_to_be_between, column: opened, min_value: '{interval.begin}'}",
         "there is no parameter {interval.begin}; did you mean 'interval.end'?"),
        ("{expect: column_values_to_be_between, column: opened, min_value: yesterday}",
         "min_value: 'yesterday' is no date or time"),
        ("{expect: column_pair_values_a_to_be_greater_than_b, column_A: stock, column_B: left}",
         "there is no column 'left'; did you mean 'left_over'?"),
        ("{expect: column_values_to_be_unique, column: shop, row_condition: stock > 1}",
         "column_values_to_be_unique takes no row_condition here"),
        ("{expect: column_values_to_not_be_null, column: region, row_condition: stock between 1 and 2}",
         "column_values_to_not_be_null: 'stock between 1' is not a comparison of stock with a value"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_line_is_said_with_its_place(
    read: Callable[[str], tuple[Rule, ...]], line: str, sentence: str
) -> None:
    with pytest.raises(DefinitionError) as refused:
        read(f"- {{expect: column_values_to_not_be_null, column: shop}}\n- {line}\n")
    assert sentence in str(refused.value)
    assert "expectations.yaml:2" in str(refused.value)


def test_no_line_is_dropped_in_silence(read: Callable[[str], tuple[Rule, ...]]) -> None:
    rules = read(
        "- {expect: column_values_to_not_be_null, column: shop}\n"
        "- {expect: expect_column_values_to_not_be_null, column: shop, severity: info}\n"
        "- {expect: table_row_count_to_be_between, min_value: 1, name: enough shops}\n"
    )
    assert [rule.name for rule in rules] == [
        "column_values_to_not_be_null(shop)", "column_values_to_not_be_null(shop) 2", "enough shops"
    ]  # fmt: skip
    assert [rule.severity for rule in rules] == [Severity.CRITICAL, Severity.INFO, Severity.CRITICAL]


def test_the_interval_stands_for_its_moments_in_the_pipelines_zone(read: Callable[[str], tuple[Rule, ...]]) -> None:
    rule = read("- {expect: column_values_to_be_between, column: opened, min_value: '{interval.start}', max_value: 2024-01-06}")[
        0
    ]
    assert rule.arguments["min_value"] == "2024-01-05T00:00:00+01:00"
    assert rule.arguments["max_value"] == "2024-01-06T00:00:00+01:00"


def test_a_regular_expressions_braces_are_no_parameter(read: Callable[[str], tuple[Rule, ...]]) -> None:
    rule = read("- {expect: column_values_to_match_regex, column: region, regex: '^[a-z]{3,5}$'}")[0]
    assert rule.arguments["regex"] == "^[a-z]{3,5}$"


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{expect: column_values_to_match_regex, column: region, regex: 'a('}", "parentheses () not balanced"),
        ("{expect: column_values_to_match_regex, column: stock, regex: '^1'}", "operator does not exist"),
        ("{expect: column_mean_to_be_between, column: region, min_value: 1}", "operator does not exist"),
        ("{expect: column_values_to_be_in_set, column: stock, value_set: [north]}", "operator does not exist"),
        ("{expect: rows_to_satisfy, sql: stok > 1}", "does not exist"),
        ("{expect: query_value_to_be_between, sql: selec 1, min_value: 1}", "syntax error"),
        ("{expect: column_values_to_be_increasing, column: stock}", "column_values_to_be_increasing(stock) cannot be judged"),
    ],
)
def test_what_only_postgres_can_know_is_refused_before_a_row_is_read(
    read: Callable[[str], tuple[Rule, ...]], role_url: Callable[[str], str], line: str, complaint: str
) -> None:
    rules = read(f"- {line}")
    with pytest.raises(DefinitionError, match=r"expectations.yaml:1") as refused:
        lint(sa.make_url(role_url("writer")), landed(), rules)
    assert complaint in str(refused.value)


def landed(table: str = "landed") -> Audited:
    columns = {"shop": "text", "opened": "timestamp", "region": "text", "stock": "int", "price": "float", "left_over": "float"}
    return Audited("overnight_shops", table, columns, ("shop",))


ROWS = """
CREATE TABLE overnight_shops.landed_0 AS
SELECT 's' || n AS shop, timestamptz '2024-01-05 07:00+01' + n * interval '1 hour' AS opened,
    CASE WHEN n % 10 = 0 THEN NULL WHEN n % 3 = 0 THEN 'O''Brien' ELSE 'north' END AS region,
    n::bigint AS stock, CASE WHEN n % 7 > 0 THEN n / 2.0::float END AS price, (n % 13)::float AS left_over
FROM generate_series(1, 200) n
"""


@pytest.mark.parametrize(
    ("line", "truth"),
    [
        ("{expect: column_values_to_not_be_null, column: region}", "region IS NULL"),
        ("{expect: column_values_to_be_null, column: region}", "region IS NOT NULL"),
        ("{expect: column_values_to_be_between, column: price, min_value: 5, max_value: 60}", "NOT price BETWEEN 5 AND 60"),
        ("{expect: column_values_to_be_between, column: opened, max_value: '{interval.end}', strict_max: true}",
         "opened >= '2024-01-06 00:00+01'"),
        ("{expect: column_values_to_be_in_set, column: region, value_set: [\"O'Brien\", '%s']}", "region = 'north'"),
        ("{expect: column_values_to_not_be_in_set, column: stock, value_set: [1, 2]}", "stock IN (1, 2)"),
        ("{expect: column_values_to_match_regex, column: region, regex: \"^O'B\"}", "region = 'north'"),
        ("{expect: column_values_to_not_match_regex, column: region, regex: '%|r{1}i'}", "region <> 'north'"),
        ("{expect: column_values_to_match_like_pattern, column: region, like_pattern: 'n%'}", "region NOT LIKE 'n%'"),
        ("{expect: column_value_lengths_to_be_between, column: region, max_value: 5}", "length(region) > 5"),
        ("{expect: column_pair_values_a_to_be_greater_than_b, column_A: stock, column_B: left_over, or_equal: false}",
         "stock <= left_over"),
        ("{expect: column_pair_values_to_be_equal, column_A: stock, column_B: left_over}", "stock <> left_over"),
        ("{expect: multicolumn_sum_to_equal, column_list: [stock, left_over], sum_total: 15}", "stock + left_over <> 15"),
        ("{expect: select_column_values_to_be_unique_within_record, column_list: [stock, left_over]}", "stock = left_over"),
        ("{expect: column_value_z_scores_to_be_less_than, column: stock, threshold: 1.5, double_sided: true}",
         "abs(stock - 100.5) / (SELECT stddev_samp(stock) FROM overnight_shops.landed_0) >= 1.5"),
        ("{expect: column_values_to_be_unique, column: left_over}", "true"),
        ("{expect: compound_columns_to_be_unique, column_list: [region, left_over]}",
         "(SELECT count(*) FROM overnight_shops.landed_0 o WHERE (o.region, o.left_over) IS NOT DISTINCT FROM"
         " (l.region, l.left_over)) > 1"),
        ("{expect: rows_to_satisfy, sql: \"region not like '%B%' or stock < 20\"}", "region LIKE '%B%' AND stock >= 20"),
        ("{expect: column_values_to_not_be_null, column: price, row_condition: region == \"north\" and stock >= 100}",
         "price IS NULL AND region = 'north' AND stock >= 100"),
        ("{expect: column_values_to_not_be_null, column: price, row_condition: 'col(\"region\").notNull()'}",
         "price IS NULL AND region IS NOT NULL"),
    ],
)  # fmt: skip
def test_what_a_rule_sets_aside_is_what_it_counts_and_what_it_means(
    read: Callable[[str], tuple[Rule, ...]], owner: sa.Engine, role_url: Callable[[str], str], line: str, truth: str
) -> None:
    rules = read(f"- {line}")
    with owner.begin() as connection:
        connection.execute(sa.text(ROWS))
        connection.execute(sa.text("GRANT SELECT ON overnight_shops.landed_0 TO overnight_writer"))
        expected = connection.scalar(sa.text(f"SELECT count(*) FROM overnight_shops.landed_0 l WHERE {truth}"))
    found = judge(sa.make_url(role_url("writer")), landed("landed_0"), rules, mostly={0: 1.0})
    assert found.findings[0].error == ""
    assert found.findings[0].unexpected == expected
    assert len(found.examples[0]) == min(20, expected or 0)
    assert found.examples[0][0].keys() >= {"shop"}


WHOLE = """
- {expect: table_row_count_to_be_between, min_value: 100, max_value: 200}
- {expect: table_row_count_to_be_between, max_value: 200, strict_max: true}
- {expect: column_mean_to_be_between, column: price, min_value: 50, max_value: 51}
- {expect: column_mean_to_be_between, column: stock, min_value: 100.5, strict_min: true}
- {expect: column_stdev_to_be_between, column: stock, min_value: 57, max_value: 58}
- {expect: column_min_to_be_between, column: stock, min_value: 1}
- {expect: column_max_to_be_between, column: price, max_value: 99}
- {expect: column_sum_to_be_between, column: left_over, min_value: 1}
- {expect: column_unique_value_count_to_be_between, column: region, min_value: 2, max_value: 2}
- {expect: column_proportion_of_non_null_values_to_be_between, column: region, min_value: 0.95}
- {expect: column_proportion_of_unique_values_to_be_between, column: region, min_value: 0.95}
- {expect: column_max_to_be_between, column: opened, min_value: '{interval.start}'}
"""


def test_rules_about_the_whole_night_are_answered_as_great_expectations_answers_them_and_by_one_scan(
    read: Callable[[str], tuple[Rule, ...]], owner: sa.Engine, role_url: Callable[[str], str]
) -> None:
    from tasks.expectations.engine import Reader

    rules = read(WHOLE)
    with owner.begin() as connection:
        connection.execute(sa.text(ROWS))
        connection.execute(sa.text("GRANT SELECT ON overnight_shops.landed_0 TO overnight_writer"))
    ours = judge(sa.make_url(role_url("writer")), landed("landed_0"), rules, mostly={}).findings
    url = sa.make_url(role_url("writer")).set(drivername="postgresql+psycopg")
    there = sa.create_engine(url, connect_args={"options": "-c search_path=overnight_shops"}, poolclass=sa.StaticPool)
    reader = Reader(there)
    theirs = reader.open("landed_0", landed().columns).judge(rules)
    assert [finding.success for finding in ours] == [finding.success for finding in theirs]
    assert {finding.success for finding in ours} == {True, False}
    for one, other in zip(ours, theirs, strict=True):
        same = pytest.approx(other.observed) if isinstance(other.observed, float) else other.observed
        assert one.observed == same, one.rule.name
    there.dispose()
    answered = [rule.name for rule in rules if figure_of(rule, landed().columns, left=False) is not None]
    assert len(answered) == 10, "the last two take more than one aggregate of a number"


def test_rules_about_the_whole_night_see_what_the_rules_about_rows_leave_whichever_way_they_are_answered(
    read: Callable[[str], tuple[Rule, ...]], owner: sa.Engine, role_url: Callable[[str], str]
) -> None:
    rules = read(
        "- {expect: column_values_to_be_between, column: stock, max_value: 150}\n"
        "- {expect: column_values_to_not_be_null, column: region, severity: warning}\n"
        "- {expect: column_max_to_be_between, column: stock, max_value: 150}\n"
        "- {expect: query_value_to_be_between, sql: 'select max(stock) from {batch}', max_value: 150, name: most}\n"
        "- {expect: column_values_to_be_unique, column: left_over, severity: warning}\n"
    )
    with owner.begin() as connection:
        connection.execute(sa.text(ROWS))
        connection.execute(sa.text("GRANT SELECT ON overnight_shops.landed_0 TO overnight_writer"))
    found = judge(sa.make_url(role_url("writer")), landed("landed_0"), rules, mostly=dict.fromkeys(range(5), 0.5))
    assert [finding.observed for finding in found.findings[2:4]] == [150, 150]
    assert [finding.unexpected for finding in found.findings[:2]] == [50, 20]
    kept = judge(sa.make_url(role_url("writer")), landed("landed_0"), rules, mostly=dict.fromkeys(range(5), 0.5), set_aside=False)
    assert [finding.observed for finding in kept.findings[2:4]] == [200, 200]
    broken = read(
        "- {expect: rows_to_satisfy, sql: 100 / (stock - 7) > -1000}\n"
        "- {expect: column_values_to_be_between, column: stock, max_value: 150}\n"
        "- {expect: column_max_to_be_between, column: stock, max_value: 150}\n"
    )
    some = judge(sa.make_url(role_url("writer")), landed("landed_0"), broken, mostly=dict.fromkeys(range(3), 0.5)).findings
    assert "division by zero" in some[0].error
    assert (some[1].unexpected, some[2].observed) == (50, 150), "a rule that cannot be judged takes no other with it"
    by_key = read(
        "- {expect: column_values_to_be_unique, column: left_over}\n- {expect: table_row_count_to_be_between, max_value: 0}\n"
    )
    assert judge(sa.make_url(role_url("writer")), landed("landed_0"), by_key, mostly={0: 0.0}).findings[1].observed == 0


KILL = "select count(pg_terminate_backend(pg_backend_pid())) from {batch}"


def test_a_lost_connection_is_the_machines_fault_and_no_finding(
    read: Callable[[str], tuple[Rule, ...]], owner: sa.Engine, role_url: Callable[[str], str]
) -> None:
    rules = read("- {expect: query_value_to_be_between, sql: '{KILL}', min_value: 0}".replace("{KILL}", KILL))
    with owner.begin() as connection:
        connection.execute(sa.text(ROWS))
        connection.execute(sa.text("GRANT SELECT ON overnight_shops.landed_0 TO overnight_writer"))
    with pytest.raises(DatabaseUnavailable):
        judge(sa.make_url(role_url("writer")), landed("landed_0"), rules, mostly={})


def test_a_rule_cannot_write(read: Callable[[str], tuple[Rule, ...]], owner: sa.Engine, role_url: Callable[[str], str]) -> None:
    rules = read("- {expect: query_value_to_be_between, sql: 'with w as (insert into overnight.action (who, what) "
                 "values (''a'', ''b'') returning 1) select count(*) from w', min_value: 0}")  # fmt: skip
    with owner.begin() as connection:
        connection.execute(sa.text(ROWS))
        connection.execute(sa.text("GRANT SELECT ON overnight_shops.landed_0 TO overnight_writer"))
    with pytest.raises(DefinitionError, match="read-only transaction"):
        judge(sa.make_url(role_url("writer")), landed("landed_0"), rules, mostly={})


def test_nothing_is_left_behind_in_the_database(
    read: Callable[[str], tuple[Rule, ...]], owner: sa.Engine, role_url: Callable[[str], str]
) -> None:
    rules = read("- {expect: table_row_count_to_be_between, min_value: 1}")
    with owner.begin() as connection:
        connection.execute(sa.text(ROWS))
        connection.execute(sa.text("GRANT SELECT ON overnight_shops.landed_0 TO overnight_writer"))
    relations = sa.text("SELECT array_agg(oid::regclass::text ORDER BY oid) FROM pg_class WHERE relkind IN ('r', 'v', 'p')")
    with owner.connect() as connection:
        before = connection.scalar(relations)
        connection.rollback()
        judge(sa.make_url(role_url("writer")), landed("landed_0"), rules, mostly={})
        connection.rollback()
        sessions = (
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'overnight audit' AND datname = current_database()"
        )
        wait_for(lambda: connection.scalar(sa.text(sessions)) == 0)  # the server hears of its end a moment after the client
        assert connection.scalar(relations) == before


IN_THE_BACKGROUND = """
import sys, time
from tasks.expectations import allow_preload, preload, settle
preload(); settle()
print("great_expectations" in sys.modules)
allow_preload(); preload(); preload()
settle()
import sklearn.ensemble
print("great_expectations" in sys.modules)
"""


def test_great_expectations_is_imported_in_the_background_only_where_it_was_allowed() -> None:
    done = subprocess.run([sys.executable, "-c", IN_THE_BACKGROUND], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_a_process_that_only_validates_imports_what_is_seldom_needed_when_it_is_asked_for() -> None:
    code = (
        "import sys; from tasks.expectations import put_off_what_is_seldom_needed as put_off; put_off()\n"
        "import tasks.expectations.engine; print('scipy.stats._stats_py' in sys.modules, 'altair.vegalite' in sys.modules)\n"
        "import scipy.stats, altair.vegalite; print(scipy.stats.norm.cdf(0), altair.Chart.__name__)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False", "0.5", "Chart"]
