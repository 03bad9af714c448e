"""Tokens for readers on other machines."""

from pathlib import Path

from alembic import op

from store.engine import driver_cursor

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    with driver_cursor(op.get_bind()) as cursor:
        cursor.execute(Path(__file__).with_suffix(".sql").read_text())


def downgrade() -> None:
    op.execute("DROP FUNCTION reading.token_of, reading.has_token")
    op.execute("DROP TABLE overnight.token")
    op.execute("DROP FUNCTION overnight.guard_token")
