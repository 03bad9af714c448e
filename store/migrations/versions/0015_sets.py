"""The newest figure of each metric is found within its pipeline and night."""

from pathlib import Path

from alembic import op

from store.engine import driver_cursor

revision = "0015"
down_revision = "0014"

_AS_BEFORE = """
SET ROLE overnight_owner;
DROP INDEX overnight.quality_by_batch;
CREATE OR REPLACE VIEW reading.quality AS
    SELECT DISTINCT ON (q.batch, q.metric) q.pipeline, q.interval_start, q.batch, q.model, m.version AS model_version,
        q.metric, q.value, q.dummy, q.rows, q.at
    FROM overnight.quality q JOIN overnight.batch b ON b.id = q.batch AND NOT b.hindsight AND b.kind = 'prediction'
        JOIN overnight.model m ON m.id = q.model
    ORDER BY q.batch, q.metric, q.id DESC;
RESET ROLE;
"""


def upgrade() -> None:
    with driver_cursor(op.get_bind()) as cursor:
        cursor.execute(Path(__file__).with_suffix(".sql").read_text())


def downgrade() -> None:
    with driver_cursor(op.get_bind()) as cursor:
        cursor.execute(_AS_BEFORE)
