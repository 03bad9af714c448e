"""What a finding means, in words: `7.2% of carrier is null, limit 2%`."""

from collections.abc import Mapping
from typing import Any

from domain.verdict import percent
from tasks.expectations import claims
from tasks.expectations.claims import claim_of
from tasks.expectations.patterns import pattern_in_words
from tasks.expectations.suite import Rule
from tasks.expectations.words import listed

_ROW = {
    "column_values_to_not_be_null": "{column} is null",
    "column_values_to_be_null": "{column} is not null",
    "column_values_to_be_in_set": "{column} is none of {value_set}",
    "column_values_to_not_be_in_set": "{column} is one of {value_set}",
    "column_values_to_match_regex": "{column} is not {regex}",
    "column_values_to_not_match_regex": "{column} is {regex}",
    "column_value_lengths_to_equal": "{column} is not {value} characters long",
    "column_values_to_be_unique": "{column} is not unique",
    "compound_columns_to_be_unique": "{columns} together are not unique",
    "column_pair_values_a_to_be_greater_than_b": "{column_A} is not above {column_B}",
    "column_pair_values_to_be_equal": "{column_A} is not {column_B}",
    "rows_to_satisfy": "not ({sql})",
}
_TABLE = {
    "table_row_count_to_be_between": "the night has {observed} rows",
    "table_row_count_to_equal": "the night has {observed} rows",
    "column_mean_to_be_between": "the mean of {column} is {observed}",
    "column_median_to_be_between": "the median of {column} is {observed}",
    "column_stdev_to_be_between": "the standard deviation of {column} is {observed}",
    "column_min_to_be_between": "the smallest {column} is {observed}",
    "column_max_to_be_between": "the largest {column} is {observed}",
    "column_sum_to_be_between": "the sum of {column} is {observed}",
    "column_unique_value_count_to_be_between": "{column} has {observed} different values",
    "column_proportion_of_non_null_values_to_be_between": "the filled share of {column} is {observed}",
    "column_proportion_of_unique_values_to_be_between": "the unique share of {column} is {observed}",
    "query_value_to_be_between": "{name} is {observed}",
}


def failure_of(rule: Rule) -> str:
    """What is wrong with a row that this rule caught: `carrier is null`."""
    bounds = _bounds(rule.arguments)
    known = _ROW.get(rule.expectation)
    if known is None and bounds and rule.columns:
        return f"{_subject(rule)} is {'outside' if ' to ' in bounds else 'not'} {bounds}"
    words = {key: listed(value) for key, value in rule.arguments.items()}
    if "regex" in words:
        told = pattern_in_words(words["regex"])
        words["regex"] = f"like {told}" if told == words["regex"] else told
    return (known or f"fails {rule.name}").format(**{**words, "columns": " and ".join(rule.columns)})


def _subject(rule: Rule) -> str:
    return f"the length of {rule.columns[0]}" if "lengths" in rule.expectation else rule.columns[0]


def limit_of(rule: Rule, *, mostly: float | None) -> str:
    """What the rule allows, as it stands in a sentence: `2%`, `5 rows`, `1 to 5`, `at least 700`."""
    if rule.most_rows is not None:
        return f"{rule.most_rows:,} row" + ("" if rule.most_rows == 1 else "s")
    if mostly is not None:
        return percent(round(1 - mostly, 12))
    return _bounds(rule.arguments) or ""


def row_sentence(rule: Rule, *, unexpected: int, judged: int, mostly: float) -> str:
    """`7.2% of carrier is null, limit 2%`; about rows where the rule names no single column. What the rule asks, where all
    rows meet it."""
    if unexpected == 0:
        return claim_of(rule)
    share, failure = percent(unexpected / judged if judged else 1.0), failure_of(rule)
    single = rule.columns[0] if len(rule.columns) == 1 else ""
    subject = f"of {failure}" if single and failure.startswith(single) else f"of rows: {failure}"
    counted = "" if rule.most_rows is None else f" ({unexpected:,} row{'' if unexpected == 1 else 's'})"
    return f"{share} {subject}{counted}, limit {limit_of(rule, mostly=mostly)}"


def sealed_sentence(rule: Rule, *, unexpected: int, judged: int, mostly: float) -> str:
    """The same for a sealed batch, in which failing rows stay however few they are."""
    said = row_sentence(rule, unexpected=unexpected, judged=judged, mostly=mostly).rpartition(", limit ")[0]
    return f"{said}, and a sealed batch cannot set them aside"


def table_sentence(rule: Rule, *, observed: Any, success: bool = False) -> str:
    """`the mean of distance is 812.3, limit 900 to 1,200`; of what has no figure to show, whether it is so."""
    known = _TABLE.get(rule.expectation)
    limit = limit_of(rule, mostly=None)
    if known is None or not limit:
        shown = "" if observed is None or success else f"; it has {listed(observed)}"
        return claim_of(rule) if success else f"not so: {claim_of(rule)}{shown}"
    is_share = "proportion" in rule.expectation
    figure = percent(float(observed)) if is_share and observed is not None else listed(observed)
    limit = claims.bounds(claims.as_shares(rule.arguments)) if is_share else limit
    return f"{known.format(column=', '.join(rule.columns), name=rule.name, observed=figure)}, limit {limit}"


def _bounds(arguments: Mapping[str, Any]) -> str:
    low, high = arguments.get("min_value"), arguments.get("max_value")
    above = "more than " if arguments.get("strict_min") else "at least "
    below = "less than " if arguments.get("strict_max") else "at most "
    if low is not None and high is not None:
        return f"{listed(low)} to {listed(high)}"
    if low is not None:
        return above + listed(low)
    return below + listed(high) if high is not None else ""
