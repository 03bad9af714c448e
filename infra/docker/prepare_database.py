"""Runs once before the compose stack's other parts: the schema, the roles' passwords, and Prefect's own database.

Safe to repeat: it is how an upgrade is done too.
"""

import sys
from pathlib import Path

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from domain.errors import OvernightError
from infra.settings import SECRETS, load_settings
from store.engine import parse_url
from store.migrate import migrate
from store.roles import HOUSE, STAGES, set_stage_passwords


def main() -> int:
    url = load_settings().database_url
    if url is None:
        print("the admin's URL is missing from the secrets", file=sys.stderr)
        return 2
    try:
        before, after = migrate(url)
    except OvernightError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    admin = psycopg2.connect(url)
    admin.autocommit = True
    for name in ("owner", "writer", "reader"):
        role = parse_url((SECRETS / f"{name}_url").read_text())
        set_password(admin, str(role.username), str(role.password))
    # A worker derives them from the one URL that it is given, the owner's.
    set_stage_passwords(url, secret=parse_url((SECRETS / "owner_url").read_text()).password)
    with admin.cursor() as cursor:  # the worker registers pipelines as the owner, and asks first whether the schema is right
        cursor.execute("GRANT SELECT ON public.schema_version TO overnight_owner")
    make_prefect_database(admin, (SECRETS / "prefect_password").read_text())
    admin.close()
    print(f"the schema is at {after}, before {before or 'empty'}; roles and Prefect's database are ready")
    return 0


def set_password(admin: Connection, role: str, password: str) -> None:
    with admin.cursor() as cursor:
        cursor.execute(sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(role), sql.Literal(password)))


def make_prefect_database(admin: Connection, password: str) -> None:
    """A database and a role of its own: Prefect's server sees nothing of the ledger."""
    with admin.cursor() as cursor:
        cursor.execute("SELECT FROM pg_roles WHERE rolname = 'prefect'")
        if cursor.fetchone() is None:
            cursor.execute("CREATE ROLE prefect")
        cursor.execute("SELECT FROM pg_database WHERE datname = 'prefect'")
        if cursor.fetchone() is None:
            cursor.execute("CREATE DATABASE prefect OWNER prefect")
        cursor.execute("REVOKE CONNECT ON DATABASE overnight FROM PUBLIC")
        cursor.execute(f"GRANT CONNECT ON DATABASE overnight TO {', '.join((*HOUSE, STAGES))}")
    set_password(admin, "prefect", password)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    sys.exit(main())
