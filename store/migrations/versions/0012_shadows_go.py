"""What challengers said in the shadow is pruned too."""

from pathlib import Path

from alembic import op

from store.engine import driver_cursor

revision = "0012"
down_revision = "0011"

_AS_BEFORE = """
DO $$ DECLARE text_now text := pg_get_functiondef('overnight.pruning_plan'::regproc);
BEGIN
    EXECUTE replace(text_now, ' (''shadow'', ''rows'', ''predictions''),', '');
    text_now := pg_get_functiondef('overnight.kept_because'::regproc);
    EXECUTE regexp_replace(text_now, 'IF b.kind = ''shadow'' AND NOT EXISTS.*IF b.kind <> ''input'' THEN RETURN NULL; END IF;',
        'IF b.kind = ''prediction'' THEN RETURN NULL; END IF;');
END $$
"""


def upgrade() -> None:
    with driver_cursor(op.get_bind()) as cursor:
        cursor.execute(Path(__file__).with_suffix(".sql").read_text())


def downgrade() -> None:
    with driver_cursor(op.get_bind()) as cursor:
        cursor.execute(_AS_BEFORE)
