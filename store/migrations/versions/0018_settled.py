"""A run that finds nothing to do settles what an earlier one left open."""

from pathlib import Path

from alembic import op

from store.engine import driver_cursor

revision = "0018"
down_revision = "0017"

_AS_BEFORE = """
SET ROLE overnight_owner;
CREATE OR REPLACE VIEW reading.night AS
    SELECT DISTINCT ON (pipeline, interval_start) pipeline, interval_start, interval_end, id AS run, state, reason,
        input_batch, model, prediction_batch, started_at, ended_at,
        count(*) OVER (PARTITION BY pipeline, interval_start) AS runs
    FROM overnight.run
    ORDER BY pipeline, interval_start, (state = 'skipped'), id DESC;
RESET ROLE;
"""


def upgrade() -> None:
    with driver_cursor(op.get_bind()) as cursor:
        cursor.execute(Path(__file__).with_suffix(".sql").read_text())


def downgrade() -> None:
    with driver_cursor(op.get_bind()) as cursor:
        cursor.execute(_AS_BEFORE)
