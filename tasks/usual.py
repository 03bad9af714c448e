"""The rules that compare a night with the last published ones, judged from recorded figures: no earlier row is read again."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from domain.history import Usual
from domain.interval import Interval
from domain.pipeline import Pipeline
from domain.verdict import RuleResult, percent
from store.figures import usual_figures
from tasks.expectations.claims import claim_of
from tasks.expectations.history import judge_night
from tasks.expectations.suite import Rule


def add_history(
    connection: sa.Connection,
    pipeline: Pipeline,
    interval: Interval,
    rules: Sequence[Rule],
    *,
    results: Sequence[RuleResult],
    figures: Mapping[str, Any],
) -> list[RuleResult]:
    """The results with those of the rules about history put in between, in the suite's order.

    `figures` are the night's own, as `store.figures.measure_batch` gives them.
    """
    others, usual = iter(results), dict[tuple[int, bool], Usual]()
    found = []
    for rule in rules:
        if not rule.is_about_history:
            found.append(next(others))
            continue
        nights, same_weekday = rule.arguments["nights"], rule.arguments["same_weekday"]
        if (nights, same_weekday) not in usual:
            usual[nights, same_weekday] = usual_figures(
                connection, pipeline.name, interval, zone=pipeline.interval.timezone, nights=nights, same_weekday=same_weekday
            )
        found.append(_result(rule, figures, usual[nights, same_weekday]))
    return found


def history_agrees(
    connection: sa.Connection,
    pipeline: Pipeline,
    interval: Interval,
    rules: Sequence[Rule],
    *,
    figures: Mapping[str, Any],
    results: Sequence[Mapping[str, Any]],
) -> bool:
    """Whether a verdict's results say of the rules about history what today's history says; earlier nights may have been
    corrected since it was given."""
    told = {result["rule"]: result["state"] for result in results}
    about = [rule for rule in rules if rule.is_about_history]
    found = add_history(connection, pipeline, interval, about, results=[], figures=figures)
    return all(told.get(result.rule) == result.state for result in found)


def _result(rule: Rule, figures: Mapping[str, Any], usual: Usual) -> RuleResult:
    judged = judge_night(rule, figures, usual)
    return RuleResult(
        rule=rule.name, expectation=rule.expectation, columns=rule.columns, severity=rule.severity, level="table",
        state=judged.state, sentence=judged.sentence, limit=f"{percent(rule.arguments['within'])} from the usual",
        judged_count=figures["rows"], observed=judged.observed, notes=rule.notes, line=rule.written, says=claim_of(rule),
    )  # fmt: skip
