"""Publications are found by their batch, so that a look-up costs the same however many nights there were."""

from pathlib import Path

from alembic import op

from store.engine import driver_cursor

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    with driver_cursor(op.get_bind()) as cursor:
        cursor.execute(Path(__file__).with_suffix(".sql").read_text())


def downgrade() -> None:
    op.execute("DROP INDEX overnight.publication_by_batch")
