"""`validate`: judges the run's input batch by the pipeline's suite, sets the rows aside that rules caught, and seals it.

Great Expectations reads the batch's own table in Postgres; what it finds becomes, in one transaction, the rows that
moved, the counts, the verdict and the seal. A batch that was judged by the same suite before is not judged again.
"""

from typing import Any

import sqlalchemy as sa

from domain.report import StageReport
from domain.verdict import RuleResult, RuleState, Tally, decide_outcome
from domain.words import BatchState, Outcome, Severity, Stage, StageState
from store.actions import is_released
from store.batches import Batch, count_batch, load_batch, newest_results, newest_verdict, record_verdict, seal_batch, take_batch
from store.engine import transaction
from store.figures import figures_of, measure_batch, record_figures
from store.runs import load_run, point_run
from tasks.context import Night
from tasks.expectations.audit import Audited, Findings, judge
from tasks.expectations.claims import claim_of
from tasks.expectations.findings import Finding
from tasks.expectations.history import EXPECTATIONS
from tasks.expectations.rejects import set_aside
from tasks.expectations.sentences import failure_of, limit_of, row_sentence, sealed_sentence, table_sentence
from tasks.expectations.suite import Rule, read_suite
from tasks.pictures import add_pictures, picture_columns
from tasks.usual import add_history, history_agrees


def validate(night: Night) -> StageReport:
    """Judges the run's input batch. Raises DefinitionError, before any row is read, for a suite that cannot run."""
    with transaction(night.engine) as connection:
        run = load_run(connection, night.run.id)
        assert run.input_batch is not None
        batch = load_batch(connection, run.input_batch)
        known = newest_verdict(connection, batch.id)
        if batch.state is BatchState.LOADED:
            take_batch(connection, batch.id, run=run.id)
    if known and _still_holds(night, batch, suite_hash=known[2]):
        return _reused(night, batch, outcome=known[0], reason=known[1])
    rules = read_suite(night.definition, night.interval)
    mostly = shares_of(rules, at_most=night.pipeline.rejects.at_most)
    sealed = batch.state is BatchState.SEALED
    found = judge_batch(night, batch, rules, mostly=mostly)
    pictures = _pictures(night, batch, rules)
    with transaction(night.engine) as connection:
        point_run(connection, night.run.id, input_batch=batch.id)
        moved = 0 if sealed else _set_aside(connection, batch, found)
        results = results_of(found, mostly=mostly, moved=not sealed)
        if batch.rows > moved:
            results = _beside_earlier_nights(connection, night, batch, rules, results=results, left=batch.rows - moved)
        results = add_pictures(results, pictures)
        tally = Tally(landed=batch.rows - moved, unreadable=batch.rejected, caught=moved)
        outcome, reason = decide_outcome(results, tally, at_most=_budget(night, connection, batch))
        if not sealed:
            count_batch(connection, batch.id, rows=tally.landed, rejected=tally.rejected)
        record_verdict(
            connection, batch.id, run=night.run.id, outcome=outcome, reason=reason,
            suite_hash=night.definition.suite_hash, results=[result.to_json() for result in results],
        )  # fmt: skip
        if not sealed:
            seal_batch(connection, batch.id, run=night.run.id)
    return _report(night, batch, outcome=outcome, reason=reason, moved=moved, results=results)


def _budget(night: Night, connection: sa.Connection, batch: Batch) -> float:
    """The share of rows that may be set aside; an operator who releases a batch has accepted what was."""
    released = is_released(connection, night.pipeline.name, night.interval, input_batch=batch.id)
    return 1.0 if released else night.pipeline.rejects.at_most


def shares_of(rules: tuple[Rule, ...], *, at_most: float) -> dict[int, float]:
    """The share of rows that each row-level rule must reach: what its line says, else the pipeline's reject budget for
    critical ones, whose rows are set aside, and every row for the others."""
    from tasks.expectations.engine import is_row_level

    return {rule.number: _share_of(rule, at_most=at_most) for rule in rules if is_row_level(rule)}


def _share_of(rule: Rule, *, at_most: float) -> float:
    """A rule that counts its rows is held to no share: its count is looked at when it is known."""
    if rule.most_rows is not None:
        return 0.0
    if rule.mostly is not None:
        return rule.mostly
    return 1 - at_most if rule.severity is Severity.CRITICAL else 1.0


def judge_batch(night: Night, batch: Batch, rules: tuple[Rule, ...], *, mostly: dict[int, float]) -> Findings:
    """What the suite finds in a batch's table, without changing anything."""
    if batch.rows == 0 or not rules:
        return Findings((), (), {})
    columns = {name: column.type for name, column in night.pipeline.columns.items()}
    audited = Audited(batch.schema, batch.table, columns, night.pipeline.key)
    return judge(night.engine.url, audited, rules, mostly=mostly, set_aside=batch.state is not BatchState.SEALED)


def _pictures(night: Night, batch: Batch, rules: tuple[Rule, ...]) -> dict[str, dict[str, Any]]:
    """How each column that a rule is about is distributed; a key's values say nothing."""
    about = {name for rule in rules for name in rule.columns if name not in night.pipeline.key}
    columns = {name: column.type for name, column in night.pipeline.columns.items() if name in about}
    return picture_columns(night.engine, batch, columns)


def _beside_earlier_nights(
    connection: sa.Connection, night: Night, batch: Batch, rules: tuple[Rule, ...], *, results: list[RuleResult], left: int
) -> list[RuleResult]:
    """Takes the figures of the rows that are left, keeps them for later nights, and judges the rules about earlier ones."""
    pipeline = night.pipeline
    columns = {name: column.type for name, column in pipeline.columns.items()}
    figures = measure_batch(connection, at=batch.schema, table=batch.table, rows=left, columns=columns, key=pipeline.key)
    record_figures(connection, batch.id, figures)
    return add_history(connection, pipeline, night.interval, rules, results=results, figures=figures)


def _still_holds(night: Night, batch: Batch, *, suite_hash: str) -> bool:
    """Whether the newest verdict, by the suite of this hash, needs no other."""
    if batch.state is not BatchState.SEALED or night.run.repeats(Stage.VALIDATE):
        return False
    return night.run.keeps(Stage.VALIDATE) or (suite_hash == night.definition.suite_hash and _history_agrees(night, batch))


def _history_agrees(night: Night, batch: Batch) -> bool:
    """Whether the newest verdict would be the same beside the nights before it as they are published now."""
    if not any(str(line["expect"]).removeprefix("expect_") in EXPECTATIONS for line in night.definition.expectations):
        return True
    with transaction(night.engine) as connection:
        figures = figures_of(connection, batch.id)
        if figures is None:
            return False
        results, rules = newest_results(connection, batch.id), read_suite(night.definition, night.interval)
        return history_agrees(connection, night.pipeline, night.interval, rules, figures=figures, results=results)


def _set_aside(connection: sa.Connection, batch: Batch, found: Findings) -> int:
    return set_aside(
        connection, found.catches, schema=batch.schema, batch=batch.id,
        reasons={catch.rule.number: failure_of(catch.rule) for catch in found.catches},
        found={finding.rule.number: finding.unexpected or 0 for finding in found.findings},
    )  # fmt: skip


def results_of(found: Findings, *, mostly: dict[int, float], moved: bool) -> list[RuleResult]:
    """Each finding as the ledger keeps it. `moved`: caught rows were set aside; where they could not be (a sealed batch
    never changes) a critical rule that caught any has failed."""
    return [_result(finding, share=mostly.get(finding.rule.number), found=found, moved=moved) for finding in found.findings]


def _result(finding: Finding, *, share: float | None, found: Findings, moved: bool) -> RuleResult:
    rule, unexpected, judged = finding.rule, finding.unexpected, finding.judged or 0
    critical = rule.severity is Severity.CRITICAL
    state, sentence = _judgement(finding, share=share, stays=critical and not moved)
    return RuleResult(
        rule=rule.name, expectation=rule.expectation, columns=rule.columns, severity=rule.severity,
        level="table" if share is None else "row", state=state, sentence=sentence, limit=limit_of(rule, mostly=share),
        unexpected_count=unexpected, unexpected_percent=_percent(unexpected, judged), judged_count=finding.judged,
        observed=finding.observed, examples=found.examples.get(rule.number, ()), error=finding.error, notes=rule.notes,
        line=rule.written, says=claim_of(rule),
    )  # fmt: skip


def _judgement(finding: Finding, *, share: float | None, stays: bool) -> tuple[RuleState, str]:
    rule = finding.rule
    if finding.error:
        return "error", f"whether {claim_of(rule)}, could not be judged: {finding.error}"
    if share is None:
        said = table_sentence(rule, observed=finding.observed, success=finding.success)
        return "passed" if finding.success else "failed", said
    sentence = row_sentence(rule, unexpected=finding.unexpected or 0, judged=finding.judged or 0, mostly=share)
    if not finding.unexpected:
        return "passed", sentence
    if not finding.success or (rule.most_rows is not None and finding.unexpected > rule.most_rows):
        return "failed", sentence
    if stays:
        return "failed", sealed_sentence(rule, unexpected=finding.unexpected, judged=finding.judged or 0, mostly=share)
    return "rejects" if rule.severity is Severity.CRITICAL else "passed", sentence


def _percent(unexpected: int | None, judged: int) -> float | None:
    return None if unexpected is None else round(100 * unexpected / judged, 4) if judged else 0.0


def _reused(night: Night, batch: Batch, *, outcome: Outcome, reason: str) -> StageReport:
    with transaction(night.engine) as connection:
        point_run(connection, night.run.id, input_batch=batch.id)
    detail = {"batch": batch.id, "outcome": str(outcome)}
    if outcome is Outcome.HELD:
        return StageReport(Stage.VALIDATE, StageState.HELD, reason, batch.rows, batch.rows, detail=detail)
    suite = "" if night.run.keeps(Stage.VALIDATE) else "by this suite "
    said = f"batch {batch.id} was judged {suite}before: {outcome}"
    return StageReport(
        Stage.VALIDATE, StageState.REUSED, said, batch.rows, batch.rows, fingerprint=night.definition.suite_hash, detail=detail
    )


def _report(night: Night, batch: Batch, *, outcome: Outcome, reason: str, moved: int, results: list[RuleResult]) -> StageReport:
    state = StageState.HELD if outcome is Outcome.HELD else StageState.DONE
    failed = [result.rule for result in results if not result.success]
    detail = {"batch": batch.id, "outcome": str(outcome), "rules": len(results), "failed": failed}
    return StageReport(
        Stage.VALIDATE, state, reason, batch.rows, batch.rows - moved, moved, night.definition.suite_hash, detail
    )  # fmt: skip
