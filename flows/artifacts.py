"""What a night leaves in Prefect's UI: its summary, the validation's table, the model's figures. Read from the ledger
when the night is over; nothing here can fail it."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from prefect.artifacts import create_markdown_artifact, create_table_artifact

from deployments.catalogue import Definition
from domain.report import NightReport
from domain.words import Stage, StageState
from infra.settings import Settings
from store.engine import transaction
from tasks.context import writer_engine

log = logging.getLogger("overnight.artifacts")

EXAMPLES = 20
_ORDER = {"failed": 0, "error": 1, "rejects": 2}
_VERDICT = sa.text("""
    SELECT v.outcome, v.reason, v.results FROM reading.run r JOIN reading.verdict v ON v.batch = r.input_batch
    WHERE r.id = :run ORDER BY v.id DESC LIMIT 1
""")
_MODEL = sa.text("""
    SELECT m.version, m.metrics, m.rows, m.trained_from, m.trained_until
    FROM reading.run r JOIN reading.model m ON m.id = r.model WHERE r.id = :run
""")


def show_night(definition: Definition, report: NightReport, settings: Settings) -> None:
    """Makes the artifacts of one night; a failure to do so is one warning in the log."""
    name = definition.pipeline.name.replace("_", "-")
    label = f"{definition.pipeline.name} {definition.pipeline.calendar.label(report.interval)}"
    try:
        create_markdown_artifact(describe_night(report, label=label), key=f"{name}-night", description=report.reason)
        with transaction(writer_engine(settings)) as connection:
            verdict = _one(connection, _VERDICT, report)
            model = _one(connection, _MODEL, report)
        if verdict and _said_something(report, Stage.VALIDATE):
            table = describe_verdict(verdict, label=label)
            create_markdown_artifact(table, key=f"{name}-validation", description=verdict["reason"])
        if model and _said_something(report, Stage.TRAIN):
            create_table_artifact(
                model_table(model), key=f"{name}-model", description=f"{label}: model {model['version']}, trained tonight"
            )
    except Exception as error:  # Prefect's server or the ledger may be away, and the night is over
        log.warning("%s: what Prefect's UI would show of it could not be written: %s", label, error)


def _one(connection: sa.Connection, query: sa.TextClause, report: NightReport) -> dict[str, Any] | None:
    line = connection.execute(query, {"run": report.run}).first()
    return line._asdict() if line else None


def _said_something(report: NightReport, stage: Stage) -> bool:
    return any(one.stage is stage and one.state in (StageState.DONE, StageState.HELD) for one in report.stages)


def describe_night(report: NightReport, *, label: str) -> str:
    """The night as markdown: the sentence, the figures, a line per stage."""
    figures = [
        {"read": report.rows_read, "landed": report.rows_landed, "rejected": report.rows_rejected, "scored": report.rows_scored}
    ]
    stages = [
        {
            "stage": stage.stage, "state": stage.state, "seconds": f"{stage.seconds:.2f}", "rows in": stage.rows_in,
            "rows out": stage.rows_out, "rejected": stage.rows_rejected, "why": stage.reason,
        }
        for stage in report.stages
    ]  # fmt: skip
    numbers = f"Run {report.run}, batch {report.batch or 'none'}, model {report.model or 'none'}."
    return "\n\n".join([f"## {label}: {report.state}", report.reason, numbers, markdown_table(figures), markdown_table(stages)])


def describe_verdict(verdict: Mapping[str, Any], *, label: str) -> str:
    """The verdict as the web's page has it: a line per rule, those that found something first, and their failing rows."""
    results = [line for line in verdict["results"] if isinstance(line, Mapping)]
    results.sort(key=lambda line: _ORDER.get(str(line.get("state")), 3 if line.get("unexpected_count") else 4))
    parts = [f"## {label}: {verdict['outcome']}", str(verdict["reason"]), markdown_table([_rule_line(line) for line in results])]
    for line in results:
        examples = [one for one in line.get("examples") or [] if isinstance(one, Mapping)]
        if examples:
            parts += [f"### {_cell(_title(line))}", _cell(line.get("sentence")), markdown_table(examples[:EXAMPLES])]
    return "\n\n".join(parts)


def _rule_line(line: Mapping[str, Any]) -> dict[str, object]:
    percent = line.get("unexpected_percent")
    return {
        "rule": _title(line), "result": line.get("state"), "severity": line.get("severity"), "measured": line.get("observed"),
        "limit": line.get("limit"), "failing": line.get("unexpected_count"), "of": line.get("judged_count"),
        "share": None if percent is None else f"{percent:g}%", "name": line.get("rule"),
    }  # fmt: skip


def _title(line: Mapping[str, Any]) -> str:
    return str(line.get("says") or line.get("rule"))


def model_table(model: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One line per figure: what the model, the champion and the dummy measured on the same held-out rows."""
    about = {"rows": model["rows"], "trained from": model["trained_from"], "trained until": model["trained_until"]}
    figures = dict(_flatten(model["metrics"]))
    return [{"figure": key, "value": str(value)} for key, value in {**figures, **about}.items()]


def _flatten(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in values.items():
        name = f"{prefix}{key}"
        found += _flatten(value, f"{name} ") if isinstance(value, Mapping) else [(name, value)]
    return found


def markdown_table(lines: Sequence[Mapping[str, Any]]) -> str:
    if not lines:
        return "nothing"
    names = list(dict.fromkeys(key for line in lines for key in line))
    rows = [[_cell(line.get(name)) for name in names] for line in lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in (names, ["---"] * len(names), *rows))


def _cell(value: object) -> str:
    """Text that cannot break out of its cell."""
    text = "" if value is None else f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")[:300]
