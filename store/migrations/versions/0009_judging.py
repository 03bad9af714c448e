"""Challengers in the shadow, estimates until the answers come, ranges without a dummy, and the scoreboard of all of them."""

from pathlib import Path

from alembic import op

from store.engine import driver_cursor

revision = "0009"
down_revision = "0008"

_QUALITY_BEFORE = """
CREATE OR REPLACE VIEW reading.quality AS
    SELECT DISTINCT ON (q.batch, q.metric) q.pipeline, q.interval_start, q.batch, q.model, m.version AS model_version,
        q.metric, q.value, q.dummy, q.rows, q.at
    FROM overnight.quality q JOIN overnight.batch b ON b.id = q.batch AND NOT b.hindsight
        JOIN overnight.model m ON m.id = q.model
    ORDER BY q.batch, q.metric, q.id DESC
"""


def upgrade() -> None:
    with driver_cursor(op.get_bind()) as cursor:  # because SQLAlchemy would read % as a parameter
        cursor.execute(Path(__file__).with_suffix(".sql").read_text())


def downgrade() -> None:
    """The functions and checks stay: they only allow a kind that nothing writes any more."""
    op.execute("SET ROLE overnight_owner")
    op.execute("DROP VIEW reading.scoreboard, reading.estimate, reading.quality_history")
    op.execute(_QUALITY_BEFORE)
    op.execute("DROP TABLE overnight.estimate")
    op.execute("DROP TRIGGER shadow_is_not_anyones ON overnight.batch")
    op.execute("RESET ROLE")
