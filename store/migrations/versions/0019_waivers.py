"""Waived nights are found among all that people did, because every tag of the web tells of them."""

from pathlib import Path

from alembic import op

from store.engine import driver_cursor

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    with driver_cursor(op.get_bind()) as cursor:
        cursor.execute(Path(__file__).with_suffix(".sql").read_text())


def downgrade() -> None:
    op.execute("DROP INDEX overnight.action_by_waiver")
