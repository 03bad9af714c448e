"""What readers can select of a definition holds no secret, whoever registered it when."""

import sqlalchemy as sa

from deployments.catalogue import Definition
from domain.pipeline import Pipeline
from store import schema
from store.engine import transaction
from store.migrate import migrate
from store.pipelines import register

SEEN = sa.text("SELECT definition FROM reading.pipeline")


def test_a_hooks_path_is_withheld_from_readers(owner: sa.Engine, reader: sa.Engine, shops: Definition) -> None:
    document = shops.pipeline.model_dump(mode="json", by_alias=True)
    document["interval"]["timezone"] = str(shops.pipeline.interval.timezone)
    told = Pipeline.model_validate({**document, "tell": {"webhook": "https://example.org/hooks/mine"}})
    for _ in range(2):
        register(owner, told, expectations=[])
        with transaction(reader) as connection:
            seen = connection.scalar(SEEN)
        assert seen["tell"]["webhook"] == "https://example.org/${WITHHELD}"
    assert Pipeline.model_validate(seen).columns == told.columns


def test_what_was_registered_before_is_withheld_too_and_can_still_be_read(
    owner: sa.Engine, reader: sa.Engine, shops: Definition, database: str
) -> None:
    with transaction(reader) as connection:
        before = connection.scalar(SEEN)
    source = {**before["source"], "kind": "http", "url": "https://a.b/c?token=hunter2", "headers": {"X-Api-Key": "hunter2"}}
    open_ = {**before, "source": source, "tell": {"webhook": "https://hooks.slack.com/services/hunter2", "secret": ""}}
    with transaction(owner) as connection:
        connection.execute(sa.update(schema.pipeline).values(definition=open_))
    migrate(database, revision="0013")
    migrate(database)
    with transaction(reader) as connection:
        seen = connection.scalar(SEEN)
    assert "hunter2" not in str(seen)
    assert Pipeline.model_validate(seen).source.url == "https://a.b/c?token=${WITHHELD}"
