"""What every stage is handed: the run, the definition it works by, and the database."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import sqlalchemy as sa

from deployments.catalogue import Definition, fingerprint_files, load_definition
from domain.interval import Interval
from domain.pipeline import Pipeline
from infra.postgres import database_url
from infra.settings import Settings
from store.engine import create_engine, transaction
from store.runs import Run, load_run


@dataclass(frozen=True, slots=True)
class Night:
    """One run of one pipeline. `engine` acts as overnight_writer."""

    run: Run
    definition: Definition
    engine: sa.Engine
    settings: Settings

    @property
    def pipeline(self) -> Pipeline:
        return self.definition.pipeline

    @property
    def interval(self) -> Interval:
        return self.run.interval

    @property
    def label(self) -> str:
        """How people name this night: `flights 2013-01-20`."""
        return f"{self.pipeline.name} {self.pipeline.calendar.label(self.interval)}"

    def code_of(self, *modules: str) -> str:
        """A fingerprint of the named files or folders of `tasks`, and of the pipeline's own Python."""
        return code_of(self.definition, *modules)


def code_of(definition: Definition, *modules: str) -> str:
    """As `Night.code_of`, for whoever plans nights and has none."""
    return f"{_code_of(modules)}-{definition.code_hash}"


@lru_cache
def _code_of(modules: tuple[str, ...]) -> str:
    here = Path(__file__).parent
    files: list[Path] = []
    for name in modules:
        files += sorted((here / name).glob("*.py")) if (here / name).is_dir() else [here / f"{name}.py"]
    return fingerprint_files(files)


@lru_cache
def writer_engine(settings: Settings) -> sa.Engine:
    """This process's one engine for stages."""
    return create_engine(database_url(settings, role="writer"), role="writer")


def load_night(run_id: int, settings: Settings) -> Night:
    """Reads the run from the ledger and its definition from the deployments folder; raises LookupError for an unknown run."""
    engine = writer_engine(settings)
    with transaction(engine) as connection:
        run = load_run(connection, run_id)
    return Night(run, load_definition(settings.deployments, run.pipeline), engine, settings)
