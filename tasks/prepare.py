"""Makes ready what a night needs before it starts: a database with today's schema, and the pipeline's own tables."""

import sqlalchemy as sa

from deployments.catalogue import Definition, load_definition
from infra.postgres import ensure_database
from infra.settings import Settings
from store.engine import create_engine
from store.migrate import migrate
from store.pipelines import register


def prepare(settings: Settings, *names: str) -> list[Definition]:
    """Reads the named definitions, then brings the database up to them. Safe, and cheap, to call before every run.

    Raises DefinitionError before anything is touched, DatabaseUnavailable when Postgres does not answer.
    """
    definitions = [load_definition(settings.deployments, name) for name in names]
    url = ensure_database(settings)
    migrate(url)
    owner = create_engine(url, role="owner", pool_size=1)
    try:
        for definition in definitions:
            register(owner, definition.pipeline, expectations=list(definition.expectations))
    finally:
        owner.dispose()
    return definitions


def owner_engine(settings: Settings) -> sa.Engine:
    """An engine for what operators do: it acts as overnight_owner."""
    return create_engine(ensure_database(settings), role="owner", pool_size=1)
