"""Makes ready what a night needs before it starts: a database with today's schema, and the pipeline's own tables."""

import sqlalchemy as sa

from deployments.catalogue import Definition, load_definition
from domain.fingerprint import fingerprint
from infra.postgres import database_url, ensure_database
from infra.settings import Settings
from store.engine import create_engine
from store.migrate import migrate
from store.pipelines import register


def prepare(settings: Settings, *names: str) -> list[Definition]:
    """Reads the named definitions, then brings the database up to them. Safe, and cheap, to call before every run.

    Raises DefinitionError before anything is touched, DatabaseUnavailable when Postgres does not answer.
    """
    definitions = [load_definition(settings.deployments, name) for name in names]
    if all(_READY.get((settings, one.pipeline.name)) == _content(one) for one in definitions) and definitions:
        database_url(settings)  # the embedded server may have died since
        return definitions
    url = ensure_database(settings)
    migrate(url)
    owner = create_engine(url, role="owner", pool_size=1)
    try:
        for definition in definitions:
            register(owner, definition.pipeline, expectations=list(definition.expectations))
    finally:
        owner.dispose()
    _READY.update({(settings, one.pipeline.name): _content(one) for one in definitions})
    return definitions


# What this process has made ready: a backfill asks before each night, and connecting three times costs more than publishing.
_READY: dict[tuple[Settings, str], str] = {}


def _content(definition: Definition) -> str:
    return fingerprint(definition.pipeline.model_dump_json(by_alias=True), definition.suite_hash)


def owner_engine(settings: Settings) -> sa.Engine:
    """An engine for what operators do: it acts as overnight_owner."""
    return create_engine(ensure_database(settings), role="owner", pool_size=1)
