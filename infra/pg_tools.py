"""pg_dump, pg_restore and psql: found where they fit the server, and run without a password on any command line."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
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
    shown, environment = _way_in(url)
    line = [str(path), *arguments, f"--dbname={shown}", "--no-password"]
    done = subprocess.run(line, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise _failed(path, done.stderr)
    return done.stdout


def pour(dump: Path, *, tools: tuple[Path, Path], before: str, after: str, url: str) -> None:
    """A dump into a database by pg_restore and psql, in one transaction with what is to be done before and after it.

    The transaction is committed when the whole dump was read and every statement went well; whatever dies in between, the
    database is as it was. Raises StageFailed with the last words of the program that failed.
    """
    pg_restore, psql = tools
    shown, environment = _way_in(url)
    line = [str(psql), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--file=-", f"--dbname={shown}", "--no-password"]
    with (
        tempfile.TemporaryFile("w+") as complaints,
        subprocess.Popen([str(pg_restore), "--file=-", str(dump)], stdout=subprocess.PIPE, stderr=complaints) as source,
        tempfile.TemporaryFile("w+") as answers,
        subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=answers, env=environment) as target,
    ):
        assert source.stdout is not None
        assert target.stdin is not None
        with suppress(BrokenPipeError), target.stdin as statements:  # psql goes at the first error, and tells it
            statements.write(f"BEGIN;\n{before}\n".encode())
            shutil.copyfileobj(source.stdout, statements, 1 << 20)
            if source.wait() == 0:
                statements.write(f"{after}\nCOMMIT;\n".encode())
        source.stdout.close()
        for path, failed, said in ((pg_restore, source.returncode, complaints), (psql, target.wait(), answers)):
            if failed:
                said.seek(0)
                raise _failed(path, said.read())


def _failed(path: Path, said: str) -> StageFailed:
    lines = [line for line in said.strip().splitlines() if not line.startswith("CONTEXT:")]
    last = (lines or ["it said nothing"])[-1]
    return StageFailed(f"{path.name} failed ({last.removeprefix(f'{path.name}: ')[:300]})", hint="overnight doctor")


def _way_in(url: str) -> tuple[str, dict[str, str]]:
    """The address for a command line, and the environment with its password."""
    shown, password = _without_password(url)
    return shown, {**os.environ, **({"PGPASSWORD": password} if password else {})}


def _without_password(url: str) -> tuple[str, str | None]:
    """The address as libpq reads it, and the password apart: what stands on a command line can be seen by everybody."""
    from sqlalchemy.engine import make_url

    parts = make_url(re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql://", url))
    bare = parts._replace(password=None)
    return bare.render_as_string(hide_password=False), str(parts.password) if parts.password else None
