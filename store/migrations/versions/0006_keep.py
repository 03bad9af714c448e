"""What may be pruned, the one door through which it goes, and what readers are told of it."""

from pathlib import Path

from alembic import op

from store.engine import driver_cursor

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    with driver_cursor(op.get_bind()) as cursor:  # because SQLAlchemy would read % as a parameter
        cursor.execute(Path(__file__).with_suffix(".sql").read_text())


def downgrade() -> None:
    _forget_pipelines()
    op.execute("DROP TRIGGER points_at_rows ON overnight.run")
    op.execute("DROP VIEW reading.pruning")
    for function in (
        "overnight.require_seen(text, timestamptz)", "reading.require_rows(bigint)",
        "overnight.refuse_pruned(overnight.batch)", "overnight.sweep_orphans(text, boolean)", "overnight.guard_point()",
        "overnight.prune_batch(bigint, text, timestamptz, text, text)", "overnight.pruning_plan(text, timestamptz)",
        "overnight.kept_because(overnight.batch, text, timestamptz)", "overnight.unseen_since(overnight.batch)",
    ):
        op.execute(f"DROP FUNCTION {function}")
    op.execute("DROP INDEX overnight.action_by_batch, overnight.batch_by_input, overnight.publication_by_previous")
    op.execute("DROP TABLE overnight.pruning")


def _forget_pipelines() -> None:
    """The views of pipelines that know of pruning go; registering with the older release makes its own."""
    names = op.get_bind().exec_driver_sql("SELECT name FROM overnight.pipeline").scalars().all()
    for name in names:
        op.execute(f'DROP FUNCTION IF EXISTS "{name}".as_of(timestamptz)')
        op.execute(f'DROP VIEW IF EXISTS "{name}".pruned, "{name}".history')
