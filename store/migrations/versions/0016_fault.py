"""A definition that broke is known to readers too."""

from pathlib import Path

from alembic import op

from store.engine import driver_cursor

revision = "0016"
down_revision = "0015"

_AS_BEFORE = """
SET ROLE overnight_owner;
DROP VIEW reading.pipeline;
ALTER TABLE overnight.pipeline DROP COLUMN fault;
CREATE VIEW reading.pipeline AS
    SELECT name, title, owner, definition, expectations, registered_at FROM overnight.pipeline;
GRANT SELECT ON reading.pipeline TO overnight_reader, overnight_writer, overnight_stage;
RESET ROLE;
"""


def upgrade() -> None:
    with driver_cursor(op.get_bind()) as cursor:
        cursor.execute(Path(__file__).with_suffix(".sql").read_text())


def downgrade() -> None:
    with driver_cursor(op.get_bind()) as cursor:
        cursor.execute(_AS_BEFORE)
