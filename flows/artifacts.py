"""What a night leaves in Prefect's UI: the validation's table, the model's figures, its summary. Read from the ledger; nothing
here can fail a night."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextvars import copy_context
from functools import partial
from queue import Queue
from threading import Thread
from typing import Any, Self

import sqlalchemy as sa
from prefect.artifacts import create_markdown_artifact, create_table_artifact

from deployments.catalogue import Definition
from domain.interval import Interval
from domain.report import NightReport, StageReport
from domain.words import Stage, StageState
from infra.settings import Settings
from store.engine import transaction
from tasks.context import writer_engine
from tasks.night import StageCall

log = logging.getLogger("overnight.artifacts")

EXAMPLES = 20
_ORDER = {"failed": 0, "error": 1, "rejects": 2}
_VERDICT = sa.text("""
    SELECT v.outcome, v.reason, v.results FROM reading.run r JOIN reading.verdict v ON v.batch = r.input_batch
    WHERE r.id = :run ORDER BY v.id DESC LIMIT 1
""")
_MODEL = sa.text("""
    SELECT m.version, m.metrics, m.rows, m.trained_from, m.trained_until
    FROM reading.run r JOIN reading.model m ON m.pipeline = r.pipeline WHERE r.id = :run AND m.version = :version
""")


class Showing:
    """One night's artifacts: what validation and training found is made beside the stages that follow, the summary at the end.
    A failure to make one is a warning in the log. A night that ends waits for them; one that is interrupted does not, because a
    server that is away would keep it for minutes."""

    def __init__(self, definition: Definition, night: Interval, settings: Settings) -> None:
        self.settings = settings
        self.name = definition.pipeline.name.replace("_", "-")
        self.label = f"{definition.pipeline.name} {definition.pipeline.calendar.label(night)}"
        self._given_up = False
        self._asked: Queue[Callable[[], None] | None] = Queue()
        # Python waits at its end for the threads of an executor; this one it leaves alone.
        self._beside = Thread(target=self._make_what_is_asked, name="artifacts", daemon=True)

    def __enter__(self) -> Self:
        self._beside.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._given_up = kind is not None
        self._asked.put(None)
        if not self._given_up:
            self._beside.join()

    def _make_what_is_asked(self) -> None:
        while (make := self._asked.get()) is not None and not self._given_up:
            make()

    def after(self, call: StageCall) -> StageCall:
        """The same way of calling stages, with artifacts after those that have something to show."""
        shows = {Stage.VALIDATE: self._show_verdict, Stage.TRAIN: self._show_model}

        def call_and_show(stage: Stage, run_id: int, settings: Settings) -> StageReport:
            report = call(stage, run_id, settings)
            if stage in shows and report.state in (StageState.DONE, StageState.HELD):
                self._asked.put(partial(copy_context().run, self._make, shows[stage], run_id, report))
            return report

        return call_and_show

    def end(self, report: NightReport) -> None:
        self._make(self._show_night, report)

    def _make(self, show: Callable[..., None], *what: object) -> None:
        try:
            show(*what)
        except Exception as error:  # Prefect's server or the ledger may be away, and the night goes on
            log.warning("%s: what Prefect's UI would show of it could not be written: %s", self.label, error)

    def _show_night(self, report: NightReport) -> None:
        text = describe_night(report, label=self.label)
        create_markdown_artifact(text, key=f"{self.name}-night", description=report.reason)

    def _show_verdict(self, run_id: int, _: StageReport) -> None:
        if verdict := self._read(_VERDICT, run=run_id):
            table = describe_verdict(verdict, label=self.label)
            create_markdown_artifact(table, key=f"{self.name}-validation", description=verdict["reason"])

    def _show_model(self, run_id: int, report: StageReport) -> None:
        if model := self._read(_MODEL, run=run_id, version=report.detail.get("version")):
            about = f"{self.label}: model {model['version']}, trained tonight"
            create_table_artifact(model_table(model), key=f"{self.name}-model", description=about)

    def _read(self, query: sa.TextClause, **values: object) -> dict[str, Any] | None:
        with transaction(writer_engine(self.settings)) as connection:
            line = connection.execute(query, values).first()
        return line._asdict() if line else None


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
