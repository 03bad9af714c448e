"""What workers brought for a run that ended is swept."""

from pathlib import Path

from alembic import op

from store.engine import driver_cursor

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    with driver_cursor(op.get_bind()) as cursor:
        cursor.execute(Path(__file__).with_suffix(".sql").read_text())


def downgrade() -> None:
    with driver_cursor(op.get_bind()) as cursor:
        cursor.execute(Path(__file__).with_name("0020_parts_down.sql").read_text())
