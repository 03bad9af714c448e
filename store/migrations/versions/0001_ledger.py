"""The ledger, its guards and its reading views."""

from pathlib import Path

from alembic import op

from store.engine import driver_cursor

revision = "0001"
down_revision = None


def upgrade() -> None:
    with driver_cursor(op.get_bind()) as cursor:  # because SQLAlchemy would read % as a parameter
        cursor.execute(Path(__file__).with_suffix(".sql").read_text())


def downgrade() -> None:
    op.execute("DROP SCHEMA reading CASCADE")
    op.execute("DROP SCHEMA overnight CASCADE")
