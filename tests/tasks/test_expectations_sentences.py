"""How a rule reads: what it asks, and what was found, in one sentence each."""

from collections.abc import Callable

import pytest

from deployments.catalogue import Definition, load_definition
from infra.settings import Settings
from tasks.expectations.claims import claim_of
from tasks.expectations.sentences import row_sentence, table_sentence
from tasks.expectations.suite import Rule, read_suite


@pytest.fixture
def read(shops: Definition, settings: Settings) -> Callable[[str], tuple[Rule, ...]]:
    """Reads a suite for the fifth of January."""

    def read(text: str) -> tuple[Rule, ...]:
        (shops.folder / "expectations.yaml").write_text(text)
        definition = load_definition(settings.deployments, "shops")
        return read_suite(definition, definition.pipeline.calendar.named("2024-01-05"))

    return read


def test_sentences_say_what_was_found_and_what_was_allowed(read: Callable[[str], tuple[Rule, ...]]) -> None:
    null, between, mean, pair = read(
        "- {expect: column_values_to_not_be_null, column: region}\n"
        "- {expect: column_values_to_be_between, column: stock, min_value: 10}\n"
        "- {expect: column_mean_to_be_between, column: price, min_value: 900, max_value: 1200}\n"
        "- {expect: column_pair_values_a_to_be_greater_than_b, column_A: stock, column_B: left_over}\n"
    )
    assert row_sentence(null, unexpected=72, judged=1000, mostly=0.98) == "7.2% of region is null, limit 2%"
    assert row_sentence(between, unexpected=1, judged=20000, mostly=1.0) == "under 0.01% of stock is not at least 10, limit 0%"
    assert row_sentence(pair, unexpected=1, judged=2, mostly=0.9) == "50% of rows: stock is not above left_over, limit 10%"
    assert table_sentence(mean, observed=812.345) == "the mean of price is 812.3, limit 900 to 1,200"


@pytest.mark.parametrize(
    ("line", "claim"),
    [
        ("{expect: column_values_to_not_be_null, column: region}", "every region is filled"),
        ("{expect: column_values_to_not_be_null, column: region, mostly: 0.98}", "at least 98% of region is filled"),
        ("{expect: column_values_to_not_be_null, column: region, at_most: 2%}", "at least 98% of region is filled"),
        ("{expect: column_values_to_not_be_null, column: region, at_most: 5}", "every region is filled, but for at most 5 rows"),
        ("{expect: column_values_to_be_between, column: stock, min_value: 10, max_value: 6000}",
         "every stock lies between 10 and 6,000"),
        ("{expect: column_values_to_be_between, column: opened, min_value: '{interval.start}', max_value: '{interval.end}',"
         " strict_max: true}", "every opened is at least 2024-01-05 00:00 and less than 2024-01-06 00:00"),
        ("{expect: column_values_to_match_regex, column: region, regex: '^[A-Z]{3}$'}", "every region is 3 capital letters"),
        ("{expect: column_values_to_match_regex, column: shop, regex: '^[0-9A-Z]{2}[0-9]{1,4}-[A-Z]{3}$'}",
         'every shop is 2 capital letters or digits, 1 to 4 digits, "-", 3 capital letters'),
        ("{expect: column_values_to_match_regex, column: shop, regex: '^(a|b).*$'}", "every shop is like ^(a|b).*$"),
        ("{expect: column_values_to_be_in_set, column: region, value_set: [north, south]}",
         "every region is one of north, south"),
        ("{expect: compound_columns_to_be_unique, column_list: [shop, region]}",
         "no two rows have the same shop and region"),
        ("{expect: rows_to_satisfy, sql: stock > 0, name: some stock}", "in every row, some stock: stock > 0"),
        ("{expect: table_row_count_to_be_between, min_value: 500, max_value: 1300}", "the night has 500 to 1,300 rows"),
        ("{expect: column_mean_to_be_between, column: price, max_value: 12}", "the mean of price is at most 12"),
        ("{expect: column_proportion_of_non_null_values_to_be_between, column: price, min_value: 0.3}",
         "at least 30% of price is filled"),
        ("{expect: column_most_common_value_to_be_in_set, column: region, value_set: [north]}",
         "region: most common value to be in set (value set north)"),
        ("{expect: column_values_to_not_be_null, column: price, row_condition: stock > 51}",
         "every price is filled, where stock > 51"),
        ("{expect: column_shares_to_be_near_history, column: region, within: 10%, same_weekday: false}",
         "the values of region have about the shares of the last 6 nights, within 10 points"),
    ],
)  # fmt: skip
def test_each_rule_reads_as_a_sentence(read: Callable[[str], tuple[Rule, ...]], line: str, claim: str) -> None:
    assert claim_of(read(f"- {line}\n")[0]) == claim
