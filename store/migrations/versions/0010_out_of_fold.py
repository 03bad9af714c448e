"""Models that keep one twin for each fold of a table, and may score the very rows that they were learned from."""

from pathlib import Path

from alembic import op

from store.engine import driver_cursor

revision = "0010"
down_revision = "0009"

_AS_BEFORE = Path(__file__).with_name("0010_out_of_fold_down.sql")


def upgrade() -> None:
    with driver_cursor(op.get_bind()) as cursor:
        cursor.execute(Path(__file__).with_suffix(".sql").read_text())


def downgrade() -> None:
    with driver_cursor(op.get_bind()) as cursor:
        cursor.execute(_AS_BEFORE.read_text())
