"""Makes ready what a night needs before it starts: a database with today's schema, and the pipeline's own tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from deployments.catalogue import Definition, load_definition, pipeline_names
from domain.errors import Final, OvernightError
from domain.fingerprint import fingerprint
from domain.pipeline import Pipeline
from infra.postgres import database_url, ensure_database
from infra.settings import Settings
from store.engine import create_engine, transaction
from store.migrate import migrate
from store.pipelines import declared_pipeline, note_faults, register


def prepare(settings: Settings, *names: str) -> list[Definition]:
    """Reads the named definitions, then brings the database up to them. Safe, and cheap, to call before every run.

    Raises DefinitionError before anything is touched, DatabaseUnavailable when Postgres does not answer.
    """
    definitions = [load_definition(settings.deployments, name) for name in names]
    if all(_is_ready(one, settings) for one in definitions) and definitions:
        database_url(settings)  # the embedded server may have died since
        return definitions
    migrate(ensure_database(settings))
    owner = owner_engine(settings)
    try:
        for definition in definitions:
            _register(definition, settings, owner)
    finally:
        owner.dispose()
    return definitions


@dataclass(frozen=True, slots=True)
class House:
    """What the deployments folder holds: the pipelines that are ready, and what is wrong with each of the others."""

    definitions: Sequence[Definition]
    faults: Mapping[str, OvernightError]
    known: Sequence[Pipeline]
    news: Mapping[str, str | None]

    @property
    def pipelines(self) -> list[Pipeline]:
        """Those that are ready, and the others as the ledger last had them: their nights come, fail with a sentence and are told
        of, where nights that did not come at all would only be missed."""
        return sorted([*(one.pipeline for one in self.definitions), *self.known], key=lambda pipeline: pipeline.name)

    @property
    def names(self) -> str:
        return ", ".join(one.pipeline.name for one in self.definitions) or "no pipeline yet"

    def describe(self, *names: str) -> list[str]:
        """A sentence for each of these pipelines that is wrong."""
        known = {pipeline.name for pipeline in self.known}
        follows = {
            True: "its nights fail until it is mended",
            False: "it has no nights before it is mended and this starts again",
        }
        return [f"{name} is wrong, and {follows[name in known]}: {self.faults[name]}" for name in names if name in self.faults]


def prepare_house(settings: Settings) -> House:
    """As `prepare` for every pipeline, where one that is wrong keeps no other from its nights; the ledger tells readers of it.

    `news` are the sentences that the ledger did not have yet, None where what was wrong is mended.
    """
    definitions: list[Definition] = []
    faults: dict[str, OvernightError] = {}
    migrate(ensure_database(settings))
    owner = owner_engine(settings)
    try:
        for name in pipeline_names(settings.deployments):
            try:
                definition = load_definition(settings.deployments, name)
                _register(definition, settings, owner)
                definitions.append(definition)
            except Final as error:
                faults[name] = error
        ready = {one.pipeline.name: None for one in definitions}
        news = note_faults(owner, {**ready, **{name: describe_fault(error) for name, error in faults.items()}})
        with transaction(owner) as connection:
            known = [pipeline for name in faults if (pipeline := declared_pipeline(connection, name))]
    finally:
        owner.dispose()
    return House(definitions, faults, known, news)


def describe_fault(error: OvernightError) -> str:
    """`pipeline.yaml:7: unknown key 'colums'; did you mean 'columns'?`: without the folder, which is no reader's business."""
    place = Path(error.where).name
    return f"{place}: {error.what}" if place else error.what


# What this process has made ready: a backfill asks before each night, and connecting three times costs more than publishing.
_READY: dict[tuple[Settings, str], str] = {}


def _is_ready(definition: Definition, settings: Settings) -> bool:
    return _READY.get((settings, definition.pipeline.name)) == _content(definition)


def _register(definition: Definition, settings: Settings, owner: sa.Engine) -> None:
    if not _is_ready(definition, settings):
        register(owner, definition.pipeline, expectations=list(definition.expectations))
        _READY[settings, definition.pipeline.name] = _content(definition)


def _content(definition: Definition) -> str:
    return fingerprint(definition.pipeline.model_dump_json(by_alias=True), definition.suite_hash)


def owner_engine(settings: Settings) -> sa.Engine:
    """An engine for what operators do: it acts as overnight_owner."""
    return create_engine(ensure_database(settings), role="owner", pool_size=1)
