"""pg_dump and pg_restore: found where they fit the server, and run without a password on any command line."""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from domain.errors import EnvironmentRefused, StageFailed
from infra.postgres import program_folders


def find_tool(name: str, *, server: int) -> Path:
    """The program of the server's own major version, else the oldest newer one: from the embedded Postgres, then from PATH.

    Raises EnvironmentRefused when there is none.
    """
    found = {version: path for path in _candidates(name) if (version := _major(path)) >= server}
    if not found:
        raise EnvironmentRefused(
            f"there is no {name} for PostgreSQL {server} here, neither beside the embedded one nor on PATH",
            hint=f"apt install postgresql-client-{server}",
        )
    return found[min(found)]


def _candidates(name: str) -> list[Path]:
    """The last of several with one version is taken, so the embedded ones come last."""
    on_path = shutil.which(name)
    paths = [Path(on_path)] if on_path else []
    return paths + [folder / name for folder in program_folders() if (folder / name).is_file()]


def _major(path: Path) -> int:
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return 0
    match = re.search(r"(\d+)", said)
    return int(match[1]) if match else 0


def run_tool(path: Path, arguments: Sequence[str], *, url: str) -> str:
    """Runs a program of libpq's against a database and returns what it printed; raises StageFailed with its last words."""
    shown, password = _without_password(url)
    environment = {**os.environ, **({"PGPASSWORD": password} if password else {})}
    done = subprocess.run(
        [str(path), *arguments, f"--dbname={shown}", "--no-password"],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise StageFailed(f"{path.name} failed ({last.removeprefix(f'{path.name}: ')[:300]})", hint="overnight doctor")
    return done.stdout


def _without_password(url: str) -> tuple[str, str | None]:
    """The address as libpq reads it, and the password apart: what stands on a command line can be seen by everybody."""
    from sqlalchemy.engine import make_url

    parts = make_url(re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql://", url))
    bare = parts._replace(password=None)
    return bare.render_as_string(hide_password=False), str(parts.password) if parts.password else None
