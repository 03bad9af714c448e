"""Whole downloads, kept as files once one has been sent: a sealed batch never changes, so neither does its file.

What Postgres would sort, join and write out again is then read from a disk. A place that cannot be written to keeps nothing.
"""

import hashlib
import logging
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

log = logging.getLogger("overnight.web")
_DRAFT = ".draft"


@dataclass(frozen=True, slots=True)
class KeptFile:
    path: Path
    sha256: str


class KeptFiles:
    """The files of one folder, by a name and the hash of what they hold; of more than `most_bytes` the oldest are removed."""

    def __init__(self, folder: Path, *, most_bytes: int) -> None:
        self._folder, self._most = folder, most_bytes

    def find(self, name: str) -> KeptFile | None:
        found = next(self._folder.glob(f"{name}-*"), None) if self._most else None
        return KeptFile(found, found.name.rpartition("-")[2]) if found else None

    def keep(self, name: str, blocks: Iterable[bytes], *, whole: Callable[[], bool]) -> Iterator[bytes]:
        """Hands the blocks on; when all have come and `whole` agrees, there is a file of them."""
        draft, digest = self._begin(), hashlib.sha256()
        try:
            for block in blocks:
                digest.update(block)
                draft = self._write(draft, block)
                yield block
            if draft is not None and whole():
                self._place(draft, f"{name}-{digest.hexdigest()}")
        finally:
            self._drop(draft)

    def _begin(self) -> BinaryIO | None:
        if not self._most:
            return None
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            number, path = tempfile.mkstemp(suffix=_DRAFT, dir=self._folder)
            os.close(number)
            return Path(path).open("wb")
        except OSError as error:
            log.info("no download is kept: %s", error)
            return None

    def _write(self, draft: BinaryIO | None, block: bytes) -> BinaryIO | None:
        try:
            if draft is not None:
                draft.write(block)
        except OSError as error:  # a full disk ends the file, and not the download
            log.warning("a download is not kept: %s", error)
            self._drop(draft)
            return None
        return draft

    def _place(self, draft: BinaryIO, name: str) -> None:
        """Under its name once the disk has it: a power cut would leave the name, and of the file nothing."""
        try:
            draft.flush()
            os.fsync(draft.fileno())
            draft.close()
            Path(draft.name).replace(self._folder / name)
        except OSError as error:
            log.warning("a download is not kept: %s", error)
        self._make_room()

    def _drop(self, draft: BinaryIO | None) -> None:
        if draft is not None:
            with suppress(OSError):
                draft.close()
            Path(draft.name).unlink(missing_ok=True)

    def _make_room(self) -> None:
        """Also of drafts that a killed process has left; one that is being written is newer than any file."""
        with suppress(OSError):
            files = sorted(self._folder.iterdir(), key=lambda one: one.stat().st_mtime, reverse=True)
            held = 0
            for file in files:
                held += file.stat().st_size
                if held > self._most:
                    file.unlink(missing_ok=True)


def name_of(*parts: object, columns: Sequence[tuple[str, str]]) -> str:
    """What tells a file from every other: of which pipeline, batch and publication, with which columns of which types."""
    return hashlib.sha256(repr((*parts, *columns)).encode()).hexdigest()[:32]
