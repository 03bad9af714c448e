"""Each batch counts its predictions in hindsight, and definitions that are registered hold no secret for readers to see."""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

from domain.withheld import withhold_definition
from store import schema
from store.engine import driver_cursor

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    with driver_cursor(op.get_bind()) as cursor:  # because SQLAlchemy would read % as a parameter
        cursor.execute(Path(__file__).with_suffix(".sql").read_text())
    named = sa.select(schema.pipeline.c.name, schema.pipeline.c.definition)
    for name, definition in op.get_bind().execute(named).all():
        shown = withhold_definition(definition)
        if shown != definition:
            update = sa.update(schema.pipeline).where(schema.pipeline.c.name == name)
            op.get_bind().execute(update.values(definition=shown, registered_at=schema.now()))


def downgrade() -> None:
    """The count stays: pipelines' own views are made from the view that shows it, and who does not know it does not miss it."""
