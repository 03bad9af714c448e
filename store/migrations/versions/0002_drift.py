"""What each model learned from, in short, and how far each night is from it; who was champion on a night."""

from pathlib import Path

from alembic import op

from store.engine import driver_cursor

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    with driver_cursor(op.get_bind()) as cursor:
        cursor.execute(Path(__file__).with_suffix(".sql").read_text())


def downgrade() -> None:
    op.execute("DROP FUNCTION reading.champion_on")
    op.execute("DROP VIEW reading.drift")
    op.execute("DROP TABLE overnight.drift, overnight.profile")
