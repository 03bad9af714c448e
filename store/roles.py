"""The roles that Postgres knows Overnight by. Those of single stages are for containers: each can do its stage's work alone."""

import hashlib
import hmac

import sqlalchemy as sa
from psycopg2 import sql
from sqlalchemy.engine import URL

from domain.words import Stage
from store.engine import driver_cursor, parse_url

STAGES = "overnight_stage"  # what all stages may do; nobody logs in as it
HOUSE = ("overnight_owner", "overnight_writer", "overnight_reader")


def stage_role(stage: Stage) -> str:
    return f"overnight_{stage}"


def stage_url(writer: URL, stage: Stage, *, secret: str | None) -> URL:
    """Where one stage's role logs in. A server that wants no password of the writer wants none of a stage; one that does
    wants a password that follows from the database URL's own, so that each container is handed nothing but its own."""
    if writer.password is None:
        return writer.set(username=stage_role(stage))
    return writer.set(username=stage_role(stage), password=stage_password(secret or str(writer.password), stage))


def stage_password(secret: str, stage: Stage) -> str:
    """One way only: neither the secret nor another stage's password follows from it."""
    return hmac.new(secret.encode(), f"overnight role {stage}".encode(), hashlib.sha256).hexdigest()


def create_roles(connection: sa.Connection) -> None:
    """Makes the roles that are missing on the server, and tells them who is a member of whom. Safe to repeat."""
    existing = set(connection.scalars(sa.text("SELECT rolname FROM pg_roles WHERE rolname LIKE 'overnight_%'")))
    stages = [stage_role(stage) for stage in Stage]
    for role in (*HOUSE, *stages, STAGES):
        if role not in existing:
            connection.execute(sa.text(f'CREATE ROLE "{role}" {"NOLOGIN" if role == STAGES else "LOGIN"}'))
    statements = (
        f"GRANT {', '.join((*HOUSE, *stages))} TO CURRENT_USER",
        # The owner seals what a stage has made, which takes the right to act for who made it.
        f"GRANT overnight_writer, {', '.join(stages)} TO overnight_owner",
        f"GRANT {STAGES} TO {', '.join(stages)}",
        _ON_DATABASE.format(right="CREATE", role="overnight_owner"),
        # Validation looks at a batch through a temporary view, which ends with its session whatever happens to the process.
        _ON_DATABASE.format(right="TEMPORARY", role="overnight_writer, overnight_validate"),
        _MAY_SEE_SESSIONS,
    )
    for statement in statements:
        connection.execute(sa.text(statement))


_ON_DATABASE = "DO $$ BEGIN EXECUTE format('GRANT {right} ON DATABASE %I TO {role}', current_database()); END $$"
# Pruning asks whether a transaction is open that began when readers still saw what would go. Of other roles' sessions Postgres
# tells this to those who may read its statistics; where nobody can grant that, a batch is kept for a day at least.
_MAY_SEE_SESSIONS = """
DO $$ BEGIN GRANT pg_read_all_stats TO overnight_owner; EXCEPTION WHEN insufficient_privilege THEN NULL; END $$
"""


def set_stage_passwords(url: str, *, secret: str | None = None) -> bool:
    """Gives the stages' roles their passwords, as a user who may change roles; False where the URL has no secret to
    derive them from (nobody asks for passwords there) or where its user may not."""
    secret = secret or parse_url(url).password
    if not secret:
        return False
    engine = sa.create_engine(parse_url(url), poolclass=sa.NullPool, connect_args={"connect_timeout": 10})
    try:
        with engine.begin() as connection, driver_cursor(connection) as cursor:
            for stage in Stage:
                statement = sql.SQL("ALTER ROLE {} PASSWORD {}")
                cursor.execute(statement.format(sql.Identifier(stage_role(stage)), sql.Literal(stage_password(secret, stage))))
    except sa.exc.ProgrammingError:
        return False
    return True
