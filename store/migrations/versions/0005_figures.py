"""The figures of each judged night, so that a later one can be compared with them without its rows being read again."""

from pathlib import Path

from alembic import op

from store.engine import driver_cursor

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    with driver_cursor(op.get_bind()) as cursor:
        cursor.execute(Path(__file__).with_suffix(".sql").read_text())


def downgrade() -> None:
    op.execute("DROP TABLE overnight.figures")
