"""Answers that came with a later table stay as long as a figure rests on them; a stage stays who it logged in as."""

from pathlib import Path

from alembic import op

from store.engine import driver_cursor

revision = "0013"
down_revision = "0012"

_AS_BEFORE = """
DO $$ DECLARE text_now text := pg_get_functiondef('overnight.kept_because'::regproc);
BEGIN
    EXECUTE replace(text_now, 'WHERE q.pipeline = b.pipeline ORDER BY',
        'WHERE q.pipeline = b.pipeline AND q.interval_start = b.interval_start ORDER BY');
END $$;
CREATE OR REPLACE FUNCTION overnight.acting_stage() RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT substring(coalesce(nullif(current_setting('role'), 'none'), session_user::text)
        FROM '^overnight_(ingest|validate|train|score|publish|observe)$')
$$;
"""


def upgrade() -> None:
    with driver_cursor(op.get_bind()) as cursor:
        cursor.execute(Path(__file__).with_suffix(".sql").read_text())


def downgrade() -> None:
    with driver_cursor(op.get_bind()) as cursor:
        cursor.execute(_AS_BEFORE)
