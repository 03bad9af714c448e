"""Whoever listens is told of every change that a page may show, when its transaction commits."""

from pathlib import Path

from alembic import op

from store.engine import driver_cursor

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    with driver_cursor(op.get_bind()) as cursor:  # because SQLAlchemy would read % as a parameter
        cursor.execute(Path(__file__).with_suffix(".sql").read_text())


def downgrade() -> None:
    for table in ("run", "stage_run", "batch", "alias_move", "quality", "verdict", "pipeline"):
        op.execute(f"DROP TRIGGER tell ON overnight.{table}")
    op.execute("DROP FUNCTION overnight.tell()")
