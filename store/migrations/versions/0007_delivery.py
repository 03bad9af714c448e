"""What a pipeline's webhook was told, and how it went: one line for each attempt."""

from pathlib import Path

from alembic import op

from store.engine import driver_cursor

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    with driver_cursor(op.get_bind()) as cursor:
        cursor.execute(Path(__file__).with_suffix(".sql").read_text())


def downgrade() -> None:
    op.execute("DROP VIEW reading.delivery")
    op.execute("DROP TABLE overnight.delivery")
