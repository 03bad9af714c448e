"""Which nights are left out on purpose, for readers and for whoever plans the next ones."""

from pathlib import Path

from alembic import op

from store.engine import driver_cursor

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    with driver_cursor(op.get_bind()) as cursor:  # because SQLAlchemy would read % as a parameter
        cursor.execute(Path(__file__).with_suffix(".sql").read_text())


def downgrade() -> None:
    op.execute("DROP TRIGGER tell ON overnight.action")
    op.execute("DROP VIEW reading.gap, reading.waived")
