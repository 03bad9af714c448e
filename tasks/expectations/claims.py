"""What a rule asks, as a sentence that people read: `every distance lies between 10 and 6,000`. The same on every page."""

from collections.abc import Mapping
from typing import Any

from domain.verdict import percent
from tasks.expectations.patterns import pattern_in_words
from tasks.expectations.suite import Rule
from tasks.expectations.words import listed

# About single rows: who, and what is true of them. A share stands before `who`, so that both read: every origin, 98% of origin.
_EACH = {
    "column_values_to_not_be_null": "is filled",
    "column_values_to_be_null": "is empty",
    "column_values_to_be_in_set": "is one of {value_set}",
    "column_values_to_not_be_in_set": "is none of {value_set}",
    "column_values_to_match_regex": "is {regex}",
    "column_values_to_not_match_regex": "is not {regex}",
    "column_values_to_match_like_pattern": "looks like {like_pattern}",
    "column_values_to_not_match_like_pattern": "does not look like {like_pattern}",
    "column_value_lengths_to_equal": "is {value} characters long",
    "column_value_lengths_to_be_between": "has {bounds} characters",
    "column_values_to_be_between": "{lies}",
    "column_values_to_be_unique": "is there only once",
    "column_value_z_scores_to_be_less_than": "is less than {threshold} standard deviations from the mean",
}
_ROWS = {
    "column_pair_values_a_to_be_greater_than_b": "{column_A} is {above} {column_B}",
    "column_pair_values_to_be_equal": "{column_A} is the same as {column_B}",
    "select_column_values_to_be_unique_within_record": "{columns} all differ",
    "multicolumn_sum_to_equal": "{columns} add up to {sum_total}",
    "rows_to_satisfy": "{sql}",
}
_WHOLE = {
    "compound_columns_to_be_unique": "no two rows have the same {columns}",
    "table_row_count_to_be_between": "the night has {bounds} rows",
    "table_row_count_to_equal": "the night has {value} rows",
    "column_mean_to_be_between": "the mean of {column} {lies}",
    "column_median_to_be_between": "the median of {column} {lies}",
    "column_stdev_to_be_between": "the standard deviation of {column} {lies}",
    "column_min_to_be_between": "the smallest {column} {lies}",
    "column_max_to_be_between": "the largest {column} {lies}",
    "column_sum_to_be_between": "the sum of {column} {lies}",
    "column_unique_value_count_to_be_between": "{column} has {bounds} different values",
    "column_proportion_of_non_null_values_to_be_between": "{shares} of {column} is filled",
    "column_proportion_of_unique_values_to_be_between": "{shares} of the values of {column} are different",
    "column_distinct_values_to_contain_set": "{column} has each of {value_set}",
    "column_distinct_values_to_be_in_set": "{column} has no value but {value_set}",
    "column_distinct_values_to_equal_set": "{column} has exactly the values {value_set}",
    "query_value_to_be_between": "{name} {lies}",
    "row_count_to_be_near_history": "the night has about as many rows as {usual}, within {within}",
    "column_mean_to_be_near_history": "the mean of {column} is about that of {usual}, within {within}",
    "column_null_share_to_be_near_history": "about as much of {column} is empty as in {usual}, within {points}",
    "column_shares_to_be_near_history": "the values of {column} have about the shares of {usual}, within {points}",
}


def claim_of(rule: Rule) -> str:
    """What the rule asks for, in one sentence without a full stop."""
    words = _words(rule)
    if rule.expectation in _EACH:
        said = f"{_share_of(rule, rule.columns[0])} {_EACH[rule.expectation].format(**words)}"
    elif rule.expectation in _ROWS:
        said = _row_claim(rule, _ROWS[rule.expectation].format(**words))
    elif rule.expectation in _WHOLE:
        said = _WHOLE[rule.expectation].format(**words)
    else:
        said = _in_its_own_words(rule)
    if rule.most_rows is not None:
        said += f", but for at most {rule.most_rows:,} row{'' if rule.most_rows == 1 else 's'}"
    condition = rule.arguments.get("row_condition")
    return f"{said}, where {condition}" if condition else said


def _row_claim(rule: Rule, said: str) -> str:
    named = rule.name if "name" in rule.written else ""
    told = f"{named}: {said}" if named and rule.expectation == "rows_to_satisfy" else said
    return f"in {_share_of(rule, 'row')}, {told}"


def _share_of(rule: Rule, what: str) -> str:
    """`every carrier`, or `at least 98% of carrier` where the rule says how many must do."""
    if rule.mostly is None or rule.mostly == 1:
        return f"every {what}"
    return f"at least {percent(rule.mostly)} of {'rows' if what == 'row' else what}"


def _words(rule: Rule) -> dict[str, str]:
    arguments = rule.arguments
    words = {key: listed(value) for key, value in arguments.items()}
    words |= {"column": ", ".join(rule.columns), "columns": " and ".join(rule.columns), "name": rule.name}
    words["lies"], words["bounds"] = lies(arguments), bounds(arguments)
    words["shares"] = bounds(as_shares(arguments))
    words["above"] = "not below" if arguments.get("or_equal") else "above"
    if "regex" in arguments:
        words["regex"] = _shape(str(arguments["regex"]))
    if "within" in arguments:
        words |= {"usual": usual_nights(arguments), "within": percent(float(arguments["within"]))}
        words["points"] = f"{round(100 * float(arguments['within']), 4):g} points"
    return words


def usual_nights(arguments: Mapping[str, Any]) -> str:
    """`the last 6 nights of the same weekday`."""
    return f"the last {arguments['nights']} nights" + (" of the same weekday" if arguments.get("same_weekday", True) else "")


def as_shares(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments with shares as percents."""
    return {key: percent(value) if _is_share(value) else value for key, value in arguments.items()}


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _shape(regex: str) -> str:
    told = pattern_in_words(regex)
    return f"like {regex}" if told == regex else told


def lies(arguments: Mapping[str, Any]) -> str:
    """`lies between 10 and 6,000`, `is at least 10`, `is less than 5`."""
    low, high = arguments.get("min_value"), arguments.get("max_value")
    strict_low, strict_high = arguments.get("strict_min"), arguments.get("strict_max")
    if low is not None and high is not None and not strict_low and not strict_high:
        return f"lies between {listed(low)} and {listed(high)}"
    parts = []
    if low is not None:
        parts.append(f"{'more than' if strict_low else 'at least'} {listed(low)}")
    if high is not None:
        parts.append(f"{'less than' if strict_high else 'at most'} {listed(high)}")
    return f"is {' and '.join(parts)}" if parts else "is anything"


def bounds(arguments: Mapping[str, Any]) -> str:
    """`500 to 1,300`, `at least 500`, `at most 5`."""
    low, high = arguments.get("min_value"), arguments.get("max_value")
    if low is not None and high is not None:
        return f"{listed(low)} to {listed(high)}"
    return f"at least {listed(low)}" if low is not None else f"at most {listed(high)}" if high is not None else "any number of"


def _in_its_own_words(rule: Rule) -> str:
    """An expectation that has no sentence here says its own name, which is nearly one, and its arguments."""
    name = rule.expectation.replace("_", " ").removeprefix("column ").removeprefix("table ")
    about = f"{' and '.join(rule.columns)}: " if rule.columns else ""
    hidden = ("column", "column_A", "column_B", "column_list", "row_condition", "ignore_row_if")
    rest = ", ".join(f"{key.replace('_', ' ')} {listed(value)}" for key, value in rule.arguments.items() if key not in hidden)
    return f"{about}{name}" + (f" ({rest})" if rest else "")
