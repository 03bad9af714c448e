"""Assembles what validation said of a night: on the night's page in short, on a page of its own with pictures and history."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from domain.interval import Interval
from domain.pipeline import Pipeline
from domain.words import BatchKind
from store.reads.connection import Connection, Row
from store.reads.nights import verdict_on
from store.reads.trust import NightStanding, stand_night
from store.reads.verdicts import rule_history
from web.answers import JudgedRule, Rule, RuleNight
from web.edge import Answered, View
from web.morning import describe_alone, label_of, steps_back, trust_of
from web.rulewords import read_bounds, read_limit, rule_title
from web.schemas import Verdict, VerdictAnswer
from web.words import thing

NIGHTS_OF_A_RULE = 30
_WORST_FIRST = {"failed": 0, "error": 1, "rejects": 2}


def verdict_of(connection: Connection, batch: int | None) -> Verdict | None:
    """The newest verdict on an input batch, in the suite's order."""
    line = verdict_on(connection, batch) if batch else None
    if line is None:
        return None
    rules = [rule_of(result) for result in line["results"] if isinstance(result, dict)]
    return Verdict(outcome=line["outcome"], reason=line["reason"], at=line["at"], rules=rules)


def rule_of(result: Mapping[str, Any]) -> Rule:
    """One rule's result as `domain.verdict.RuleResult` wrote it; of older forms, whatever can be read."""
    passed = bool(result.get("success"))
    columns = result.get("columns") or [result.get("column")]
    percent = result.get("unexpected_percent")
    return Rule(
        rule=str(result.get("rule") or result.get("expectation") or "a rule"), title=rule_title(result),
        column=", ".join(str(column) for column in columns if column) or None,
        state=str(result.get("state") or ("passed" if passed else "failed")),
        passed=passed, severity=str(result.get("severity") or "critical"), found=_found(result),
        observed=result.get("observed"), limit=str(result.get("limit") or ""), failing=result.get("unexpected_count"),
        judged=result.get("judged_count"), share=None if percent is None else percent / 100,
        examples=[_example(one) for one in (result.get("examples") or [])][:10], result=dict(result),
    )  # fmt: skip


def _found(result: Mapping[str, Any]) -> str:
    said = result.get("error") or result.get("sentence")
    if said:
        return str(said)
    return "" if result.get("unexpected_count") is None else f"{result['unexpected_count']} rows broke it"


def _example(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {'empty' if part is None else part}" for key, part in value.items())[:200]
    return str(value)[:200]


def worst_first(rules: Sequence[Rule]) -> list[Rule]:
    """Those that want to be read before those that passed."""
    return sorted(rules, key=lambda one: (_WORST_FIRST.get(one.state, 3 if one.failing else 4), one.severity != "critical"))


def judged_batch(night: NightStanding) -> int | None:
    """The input batch whose verdict tells of a night: that of its newest run, or else the one that readers see."""
    if night.line and night.line.input_batch:
        return night.line.input_batch
    seen = night.seen(BatchKind.INPUT)
    return seen.batch if seen else None


def verdict(view: View, name: str) -> Answered:
    """The whole verdict on one night: each rule with its picture, its examples, and what it said on the nights before."""
    pipeline, interval = view.pipeline, view.named(name)
    found = stand_night(view.connection, pipeline, interval, now=view.now, alive=view.alive)
    standing, trust, batch = found.standing, found.trust, judged_batch(found)
    said = verdict_of(view.connection, batch)
    body = VerdictAnswer(
        night=describe_alone(view, pipeline, interval, found), batch=batch,
        outcome=said.outcome if said else None, reason=said.reason if said else standing.why, at=said.at if said else None,
        rules=_with_history(view, pipeline, interval, said.rules if said else []), trust=trust_of(trust),
    )  # fmt: skip
    page = {"bounds": {one.rule: read_bounds(one.result) for one in body.rules}, "tables": _tables(body.rules),
            "pictures": {one.rule: _picture(one) for one in body.rules}}  # fmt: skip
    return Answered(body, [(trust, pipeline)], page=page)


def _with_history(view: View, pipeline: Pipeline, interval: Interval, rules: Sequence[Rule]) -> list[JudgedRule]:
    first = steps_back(pipeline, interval, steps=NIGHTS_OF_A_RULE - 1)
    lines = rule_history(view.connection, pipeline.name, first=first.start, last=interval.start) if rules else []
    by_rule: dict[str, list[RuleNight]] = {}
    for line in lines:
        by_rule.setdefault(line["rule"], []).append(_rule_night(pipeline, line))
    return [
        JudgedRule.model_validate({**one.model_dump(), "history": by_rule.get(one.rule, [])}) for one in worst_first(rules)
    ]  # fmt: skip


def _rule_night(pipeline: Pipeline, line: Row) -> RuleNight:
    low, high = read_limit(line["limit"])
    observed = line["observed"]
    measured = float(observed) if isinstance(observed, int | float) and not isinstance(observed, bool) else None
    start: datetime = line["interval_start"]
    return RuleNight(
        night=label_of(pipeline, start), state=line["state"] or "passed", low=low, high=high,
        value=line["percent"] if line["percent"] is not None else measured,
    )  # fmt: skip


def _picture(rule: Rule) -> Mapping[str, Any]:
    """That of the rule's column, with its rows; empty for verdicts that came before there were any."""
    drawn = rule.result.get("picture")
    return drawn if isinstance(drawn, Mapping) and "rows" in drawn and "of" in drawn else {}


def _tables(rules: Sequence[Rule]) -> dict[str, tuple[list[str], list[list[str]]]]:
    """Each rule's failing examples as a table: its columns and its rows, in words."""
    tables = {}
    for rule in rules:
        records = [one for one in (rule.result.get("examples") or [])[:20] if isinstance(one, Mapping)]
        if records:
            columns = list(records[0])
            tables[rule.rule] = (columns, [[thing(record.get(name)) for name in columns] for record in records])
    return tables
