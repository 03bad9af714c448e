"""`check`: the whole definition against its source, with nothing written: what ingest and validate would say of a night.

Rows go to temporary tables of one session, which end with it; the code that reads, judges and sets aside is the stages' own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from deployments.catalogue import Definition
from domain.interval import Interval
from domain.verdict import RuleResult, Tally, decide_outcome
from domain.words import Outcome
from infra.postgres import database_url
from infra.settings import Settings
from store.engine import parse_url
from store.figures import measure_batch
from tasks.expectations.suite import read_suite
from tasks.ingest.take import take_source
from tasks.scratch import land, scratch_session
from tasks.usual import add_history
from tasks.validate import results_of, shares_of


@dataclass(frozen=True, slots=True)
class Checked:
    """What a night would be: where its rows would go, what each rule would say, and the verdict."""

    label: str
    files: tuple[str, ...]
    landed: int
    unreadable: int
    caught: int
    rejects: Mapping[str, int]
    results: tuple[RuleResult, ...]
    outcome: Outcome
    reason: str

    def to_json(self) -> dict[str, Any]:
        rows = {"read": self.landed + self.unreadable + self.caught, "landed": self.landed, "unreadable": self.unreadable}
        return {
            "interval": self.label, "files": list(self.files), "rows": {**rows, "caught": self.caught},
            "rejects": dict(self.rejects), "outcome": str(self.outcome), "reason": self.reason,
            "rules": [result.to_json() for result in self.results],
        }  # fmt: skip


def check(definition: Definition, interval: Interval, settings: Settings) -> Checked:
    """Reads the source, judges it by the suite, and writes nothing.

    Raises DefinitionError for a suite that cannot run, SourceError for a source that cannot be read.
    """
    pipeline = definition.pipeline
    rules = read_suite(definition, interval)
    mostly = shares_of(rules, at_most=pipeline.rejects.at_most)
    zone, data, server = pipeline.interval.timezone, settings.data_folder, parse_url(database_url(settings, role="writer"))
    with (
        take_source(pipeline.source, interval, zone=zone, data=data, server=server) as taken,
        scratch_session(settings) as reader,
    ):
        landed = land(reader, definition, interval, taken.files, rules=rules, mostly=mostly)
        with reader.database.begin() as connection:
            connection.execute(sa.text("SET TRANSACTION READ WRITE"))
            results = results_of(landed.found, mostly=mostly, moved=True)
            if landed.rows:
                columns = {name: column.type for name, column in pipeline.columns.items()}
                figures = measure_batch(
                    connection, at="pg_temp", table="landed_0", rows=landed.rows, columns=columns, key=pipeline.key
                )
                results = add_history(connection, pipeline, interval, rules, results=results, figures=figures)
    loaded, caught = landed.loaded, landed.caught
    tally = Tally(landed=landed.rows, unreadable=loaded.rejected, caught=caught)
    outcome, reason = decide_outcome(results, tally, at_most=pipeline.rejects.at_most)
    return Checked(
        pipeline.calendar.label(interval), tuple(file.name for file in taken.files), tally.landed, tally.unreadable, caught,
        loaded.by_rule, tuple(results), outcome, reason,
    )  # fmt: skip
