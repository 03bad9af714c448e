"""A role for each stage, which can do that stage's work and no other's: what a stage's container logs in as."""

from pathlib import Path

from alembic import op

from store.engine import driver_cursor

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    with driver_cursor(op.get_bind()) as cursor:
        cursor.execute(Path(__file__).with_suffix(".sql").read_text())


def downgrade() -> None:
    for table, triggers in _TRIGGERS.items():
        for trigger in triggers:
            op.execute(f"DROP TRIGGER {trigger} ON overnight.{table}")
    for function in ("take_batch", "show_sealed", "guard_stage", "acting_stage"):
        op.execute(f"DROP FUNCTION overnight.{function}")
    # The rights on what is left go with the roles' entries; the roles belong to the whole server and stay.
    with driver_cursor(op.get_bind()) as cursor:
        cursor.execute(_TAKE_RIGHTS)


_TRIGGERS = {
    "batch": ("input_is_not_anyones", "prediction_is_not_anyones", "show_sealed"),
    "stage_run": ("line_is_not_anyones",),
    "verdict": ("passing_is_not_anyones",),
}
_TAKE_RIGHTS = """
SET ROLE overnight_owner;
DO $$ DECLARE place text; BEGIN
    FOR place IN SELECT nspname FROM pg_namespace WHERE nspowner = 'overnight_owner'::regrole LOOP
        EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA %I FROM overnight_stage, overnight_ingest, overnight_validate,
            overnight_train, overnight_score, overnight_publish, overnight_observe', place);
        EXECUTE format('REVOKE ALL ON ALL FUNCTIONS IN SCHEMA %I FROM overnight_stage, overnight_ingest, overnight_validate,
            overnight_train, overnight_score, overnight_publish, overnight_observe', place);
        EXECUTE format('REVOKE ALL ON SCHEMA %I FROM overnight_stage, overnight_ingest, overnight_validate,
            overnight_train, overnight_score, overnight_publish, overnight_observe', place);
    END LOOP;
END $$;
RESET ROLE;
"""
