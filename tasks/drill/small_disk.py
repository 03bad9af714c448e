"""A disk of a few megabytes that the copy's database lives on, so that it can be full: a file system in memory, which only
root may mount."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg2
from psycopg2 import sql

from tasks.drill.copy import Copy

ROOM = 48 * 2**20  # beside the database: what a night takes, and what is taken away from it
LEFT = 64 * 2**10


class NoSmallDisk(Exception):
    """Why there is none here."""


@dataclass(frozen=True, slots=True)
class SmallDisk:
    folder: Path
    tablespace: str

    def fill(self) -> None:
        """Takes all room but a little, which a night needs more than."""
        with (self.folder / "ballast").open("wb", buffering=0) as file:
            with suppress(OSError):
                while file.write(bytes(LEFT)):
                    pass
            file.truncate(max(file.tell() - LEFT, 0))

    def free(self) -> None:
        (self.folder / "ballast").unlink(missing_ok=True)


@contextmanager
def small_disk(copy: Copy, *, size: int) -> Iterator[SmallDisk]:
    """A tablespace on a disk that has room for a database of `size` bytes and little more. Raises NoSmallDisk."""
    if os.getuid() != 0:
        raise NoSmallDisk("only root may mount a small file system to fill")
    folder = Path(tempfile.mkdtemp(prefix="overnight-drill-disk-"))
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size + ROOM},mode=755", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        folder.rmdir()
        raise NoSmallDisk("a small file system cannot be mounted here")
    try:
        space = folder / "space"
        space.mkdir(mode=0o700)
        owner = copy.settings.postgres_folder.stat()
        os.chown(space, owner.st_uid, owner.st_gid)
        copy.execute(sql.SQL("CREATE TABLESPACE small LOCATION {}").format(sql.Literal(str(space))))
        try:
            yield SmallDisk(folder, "small")
        finally:
            with suppress(psycopg2.Error):  # the whole server goes soon
                copy.execute(sql.SQL("DROP TABLESPACE small"))
    finally:
        with suppress(OSError):
            subprocess.run(["umount", "--lazy", str(folder)], capture_output=True, check=False)
            folder.rmdir()
