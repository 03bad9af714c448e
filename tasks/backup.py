"""`db backup` and `db restore`: one file of one moment, a manifest beside it, and the proof that they agree."""

import hashlib
import json
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from domain.errors import Refused, SourceError, StageFailed
from infra.pg_tools import find_tool, pour, run_tool
from infra.postgres import ensure_database
from infra.settings import Settings
from store.backups import (
    Contents,
    admin_engine,
    clearing,
    find_differences,
    is_empty,
    marking,
    nights_at_work,
    prepare_restore,
    scratch_database,
    snapshot,
)
from store.engine import transaction
from store.migrate import migrate, newest_revision


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup on disk, as its manifest tells it."""

    path: Path
    at: str
    sha256: str
    bytes: int
    contents: Contents

    @property
    def manifest(self) -> Path:
        return manifest_of(self.path)

    def to_json(self) -> dict[str, Any]:
        return {"at": self.at, "sha256": self.sha256, "bytes": self.bytes, **self.contents.to_json()}

    def summary(self) -> dict[str, Any]:
        held = self.contents
        return {
            "file": str(self.path), "at": self.at, "bytes": self.bytes, "sha256": self.sha256, "revision": held.revision,
            "pipelines": held.pipelines, "batches": len(held.batches), "published": len(held.pointers),
            "runs": held.lines.get("run", 0),
        }  # fmt: skip


def manifest_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


_NO_PARTS = "--exclude-table=overnight_*.part_*"  # what workers bring to a night that is under way, and is gone when it is over


def back_up(settings: Settings, path: Path, *, now: datetime) -> Backup:
    """Writes one moment of the database into `path`, and what it holds beside it. Nights go on meanwhile.

    Both appear under their names only when they are whole. Raises StageFailed when pg_dump fails.
    """
    url = ensure_database(settings)
    migrate(url)
    half = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with snapshot(url) as (name, contents):
            tool = find_tool("pg_dump", server=contents.server)
            schemas = [f"--schema={_pattern(schema)}" for schema in contents.schemas]
            run_tool(tool, ["--format=custom", f"--snapshot={name}", f"--file={half}", _NO_PARTS, *schemas], url=url)
        backup = Backup(path, now.isoformat(), _sha256(half), half.stat().st_size, contents)
        manifest_of(path).write_text(json.dumps(backup.to_json(), indent=1))
        half.replace(path)
    except OSError as error:
        raise Refused(f"{path} cannot be written ({error.strerror or error})", hint="overnight db backup PATH") from None
    finally:
        half.unlink(missing_ok=True)
    return backup


def _pattern(schema: str) -> str:
    """pg_dump reads names as patterns, unless they stand in quotes."""
    return f'"{schema}"'


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_backup(path: Path) -> Backup:
    """The backup as its manifest tells it, its bytes compared. Raises SourceError when it is missing, damaged or another's."""
    try:
        told = json.loads(manifest_of(path).read_text())
        contents = Contents.from_json(told)
        if _sha256(path) != told["sha256"]:
            raise SourceError(f"{path} is not the file that its manifest tells of: its bytes differ", hint="another copy of it")
    except FileNotFoundError as error:
        raise SourceError(f"there is no {error.filename}", hint="overnight db backup PATH writes both files") from None
    except (OSError, ValueError, KeyError) as error:
        raise SourceError(f"{manifest_of(path)} cannot be read ({error})", hint="another copy of it") from None
    if contents.revision > newest_revision():
        raise Refused(f"the backup is of schema {contents.revision}, newer than this version's {newest_revision()}")
    return Backup(path, told["at"], told["sha256"], told["bytes"], contents)


def restore(settings: Settings, backup: Backup, *, replace: bool) -> list[str]:
    """Puts a backup into the settings' database and returns how it differs from the manifest: not at all, unless something
    is badly wrong. Raises Refused when anything is there already and `replace` was not said, or while a run is at work."""
    url = ensure_database(settings)
    with transaction(admin_engine(url)) as connection:
        if not is_empty(connection) and not replace:
            raise Refused("the database holds pipelines already, and a restore would replace all of them",
                          hint=f"overnight db restore {backup.path} --replace")  # fmt: skip
        if nights_at_work(connection):
            raise Refused("a run is at work in the database", hint="overnight status, then again")
    return _restore(url, backup)


def verify(settings: Settings, backup: Backup) -> list[str]:
    """Restores a backup into a scratch database, which goes afterwards, and returns how that differs from the manifest."""
    url = ensure_database(settings)
    with scratch_database(url, f"overnight_verify_{os.getpid()}") as scratch:
        return _restore(scratch, backup, upgrade=False)


def _restore(url: str, backup: Backup, *, upgrade: bool = True) -> list[str]:
    """All of it or nothing: what was there goes in the transaction that brings the backup, and readers wait for it."""
    engine = admin_engine(url)
    with transaction(engine) as connection:
        server = max((connection.dialect.server_version_info or (0,))[0], backup.contents.server)
        prepare_restore(connection)
        before, after = clearing(connection), marking(connection, backup.contents.revision)
    try:
        tools = find_tool("pg_restore", server=server), find_tool("psql", server=server)
        pour(backup.path, tools=tools, before=before, after=after, url=url)
    except StageFailed as error:
        raise StageFailed(
            f"nothing was restored, and the database is as it was: {error.what}", hint=f"overnight db restore {backup.path}"
        ) from error
    with transaction(engine) as connection:
        connection.execute(sa.text("ANALYZE"))
    found = find_differences(url, backup.contents)
    if upgrade and not found:
        migrate(url)
    return found
