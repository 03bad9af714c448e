"""Takes nights through the model's stages on a real Postgres, with rows put there by hand: no source, no suite."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from deployments.catalogue import Definition, load_definition
from domain.interval import Interval
from domain.report import StageReport
from domain.words import BatchKind, Outcome, RunState
from infra.settings import Settings
from store.batches import count_batch, open_batch, record_verdict, seal_batch
from store.engine import transaction
from store.pipelines import register
from store.runs import Run, claim, finish_run, load_run, point_run
from tasks.context import Night
from tasks.observe import observe
from tasks.publish import publish
from tasks.score import score
from tasks.train import train

Row = dict[str, Any]


def shop_rows(day: str, rows: int = 120) -> list[Row]:
    """One day of shops: they sell out when little stock meets demand, which differs by region; always the same for a day."""
    chance = random.Random(day)
    demand = {"north": 30, "south": 50, "east": 70}
    made = []
    for number in range(rows):
        region, stock = chance.choice(list(demand)), chance.randint(0, 100)
        left = max(0, stock - demand[region] - chance.randint(-25, 25))
        opened = f"{day} {7 + number % 3:02d}:{number % 60:02d}:00+01"
        price = None if number % 11 == 0 else round(chance.random() * 9, 2)
        made.append(
            {"shop": f"s{number:04d}", "opened": opened, "region": region, "stock": stock, "price": price, "left_over": left}
        )
    return made


@dataclass
class Nightshift:
    """`take` runs one night; `definition` is read again for each, as the stages do."""

    settings: Settings
    engine: sa.Engine
    owner: sa.Engine
    name: str = "shops"
    make_rows: Callable[[str], list[Row]] = shop_rows
    said: dict[str, StageReport] = field(default_factory=dict)

    @property
    def definition(self) -> Definition:
        return load_definition(self.settings.deployments, self.name)

    def interval(self, day: str) -> Interval:
        return self.definition.pipeline.calendar.named(day)

    def rewrite(self, old: str, new: str) -> None:
        """Edits pipeline.yaml."""
        path = self.settings.deployments / self.name / "pipeline.yaml"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    def define(self, text: str) -> None:
        """A pipeline of the test's own, written and registered."""
        folder = self.settings.deployments / self.name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "pipeline.yaml").write_text(text)
        register(self.owner, self.definition.pipeline, expectations=[])

    def take(
        self,
        day: str,
        *,
        rows: list[Row] | None = None,
        hindsight: bool = False,
        retrain: bool = False,
        stages: Sequence[Callable[[Night], StageReport]] = (train, score, publish, observe),
    ) -> dict[str, StageReport]:
        """One night: its rows sealed as the input batch, then the stages; what each said, by its name."""
        definition, interval = self.definition, self.interval(day)
        holder = {"pid": 1, "retrain": retrain}
        with claim(self.engine, self.name, interval, trigger="test", holder=holder, hindsight=hindsight) as run:
            self._land(definition, run, self.make_rows(day) if rows is None else rows)
            with transaction(self.engine) as connection:
                night = Night(load_run(connection, run.id), definition, self.engine, self.settings)
            self.said = {}
            try:
                for stage in stages:
                    self.said[stage.__name__] = stage(night)
            finally:
                finish_run(self.engine, run.id, state=RunState.PUBLISHED, reason="")
        return self.said

    def take_all(self, *days: str) -> dict[str, StageReport]:
        for day in days:
            said = self.take(day)
        return said

    def _land(self, definition: Definition, run: Run, rows: list[Row]) -> None:
        columns = list(definition.pipeline.columns)
        with transaction(self.engine) as connection:
            batch = open_batch(connection, run, BatchKind.INPUT, columns=columns, fingerprint="")
            if rows:
                table = sa.table(batch.table, *(sa.column(name) for name in columns), schema=batch.schema)
                types = {name: sa.text(f"CAST(:{name} AS {_CAST[definition.pipeline.columns[name].type]})") for name in columns}
                names = ", ".join(f'"{name}"' for name in columns)
                values = ", ".join(str(types[name]) for name in columns)
                connection.execute(sa.text(f"INSERT INTO {table.schema}.{batch.table} ({names}) VALUES ({values})"), rows)
            count_batch(connection, batch.id, rows=len(rows))
            seal_batch(connection, batch.id, run=run.id)
            record_verdict(
                connection, batch.id, run=run.id, outcome=Outcome.PASSED, reason="ok", suite_hash="", results=[]
            )  # fmt: skip
            point_run(connection, run.id, input_batch=batch.id)

    def query(self, statement: str, **values: Any) -> list[Any]:
        with transaction(self.owner) as connection:
            return list(connection.execute(sa.text(statement), values))


_CAST = {
    "bool": "boolean", "int": "bigint", "float": "double precision", "decimal": "numeric", "text": "text", "date": "date",
    "timestamp": "timestamptz",
}  # fmt: skip
