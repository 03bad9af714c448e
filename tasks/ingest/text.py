"""Opens a file as UTF-8 text, whatever it was packed and written in; nothing is guessed, and what does not fit is said."""

import bz2
import codecs
import gzip
import hashlib
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any

from domain.errors import SourceError
from tasks.ingest.files import SourceFile

_READ = 1 << 20
_HOLE = bytes(64)  # no text holds so many zero bytes in a row; a row or two with one are rejects
_BOM16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def _zstd(raw: IO[bytes]) -> Any:
    import pyarrow as pa

    return pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd")


def _gzip(raw: IO[bytes]) -> Any:
    return gzip.GzipFile(fileobj=raw)


_PACKED: dict[bytes, Callable[[IO[bytes]], Any]] = {
    b"\x1f\x8b": _gzip,
    b"BZh": bz2.BZ2File,
    b"\x28\xb5\x2f\xfd": _zstd,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
}
_NOT_TEXT = {
    b"PAR1": ("a Parquet file", "source: {kind: parquet}"),
    b"\xd0\xcf\x11\xe0": ("an old Excel workbook", "save its sheet as CSV"),
    b"%PDF": ("a PDF", "ask for the table as CSV"),
    b"SQLite format 3\0": ("an SQLite database", "source: {kind: sql, url: sqlite:///…}"),
}


class Utf8:
    """A file's bytes as UTF-8 without a byte order mark; hashes what came, so that a change is noticed."""

    def __init__(self, raw: Any, file: SourceFile, *, encoding: str, packed: bool) -> None:
        self._raw, self._file, self._encoding, self._packed = raw, file, encoding, packed
        self._digest, self._size, self._rest = hashlib.sha256(), 0, b""
        self._decode = None if is_utf8(encoding) else codecs.getincrementaldecoder(encoding)().decode
        self._begun = self._done = self._old_mac = False

    def _pull(self) -> bytes:
        """The next stretch of the file in UTF-8; empty at the end."""
        while not self._done:
            try:
                raw = self._raw.read(_READ)
            except (OSError, EOFError, zlib.error, zipfile.BadZipFile, lzma.LZMAError) as error:
                raise SourceError(
                    f"{self._file.name} cannot be unpacked to its end ({error}), so it is cut off or damaged",
                    hint="ask for the file again",
                ) from None
            self._digest.update(raw)
            self._size += len(raw)
            self._done = not raw
            if not self._begun and raw:
                self._begun = True
                raw = self._opening(raw)
            text = raw if self._decode is None else self._decoded(raw)
            if _HOLE in text:
                raise SourceError(
                    f"{self._file.name} holds a stretch of zero bytes, as files do whose writer or disk died before the end",
                    hint="ask for the file again",
                )
            if text:
                return text.replace(b"\r", b"\n") if self._old_mac else text
        return b""

    def _opening(self, raw: bytes) -> bytes:
        """The first bytes without their byte order mark; raises SourceError when they are no text in this encoding."""
        kind = next((said for magic, said in _NOT_TEXT.items() if raw.startswith(magic)), None)
        if kind:
            raise SourceError(f"{self._file.name} is {kind[0]}, not text", hint=kind[1])
        if raw.startswith(_BOM16) and not self._encoding.lower().startswith(("utf-16", "utf16")):
            raise SourceError(
                f"{self._file.name} is written in utf-16, not in {self._encoding}", hint="source: {encoding: utf-16}"
            )
        if raw.startswith(codecs.BOM_UTF8):
            if self._decode is not None:
                raise SourceError(
                    f"{self._file.name} is written in utf-8, not in {self._encoding}", hint="source: {encoding: utf-8}"
                )
            return raw.removeprefix(codecs.BOM_UTF8)
        return raw

    def _decoded(self, raw: bytes) -> bytes:
        assert self._decode is not None
        try:
            return self._decode(raw, not raw).encode().removeprefix(codecs.BOM_UTF8)
        except UnicodeError as error:
            why = f"byte {error.object[error.start]:#04x} means nothing there" if isinstance(error, UnicodeDecodeError) else error
            raise SourceError(
                f"{self._file.name} is not written in {self._encoding}: {why}", hint="another source.encoding"
            ) from None

    def line(self) -> bytes:
        """The next physical line; finds out when lines end in carriage returns alone, as on an old Macintosh."""
        while b"\n" not in self._rest and len(self._rest) < _READ:
            more = self._pull()
            if not more:
                break
            self._rest += more
        if b"\n" not in self._rest and b"\r" in self._rest:
            self._old_mac = True
            self._rest = self._rest.replace(b"\r", b"\n")
        line, feed, self._rest = self._rest.partition(b"\n")
        return line + feed

    def read(self, size: int = -1) -> bytes:
        """About `size` bytes; empty at the end."""
        parts, length = [self._rest], len(self._rest)
        self._rest = b""
        while size < 0 or length < size:
            more = self._pull()
            if not more:
                break
            parts.append(more)
            length += len(more)
        return b"".join(parts)

    def put_back(self, data: bytes) -> None:
        self._rest = data + self._rest

    def check_unchanged(self) -> None:
        """Raises SourceError when what was read is not what had been hashed."""
        file = self._file
        if not file.placed:
            return
        same = file.path.stat().st_mtime_ns == file.changed if self._packed else self._digest.hexdigest() == file.sha256
        if not same:
            raise SourceError(
                f"{file.name} changed while it was read", hint="the same run again, once the file is complete"
            )  # fmt: skip


def is_utf8(encoding: str) -> bool:
    return codecs.lookup(encoding).name in ("utf-8", "utf-8-sig", "ascii")


@contextmanager
def open_text(file: SourceFile, *, encoding: str) -> Iterator[Utf8]:
    """Raises SourceError when the encoding is unknown or the file cannot be opened or unpacked."""
    try:
        codecs.lookup(encoding)
    except LookupError:
        raise SourceError(f"source.encoding: there is no encoding {encoding!r}", hint="utf-8, windows-1252 or utf-16") from None
    with open_bytes(file) as (raw, packed):
        yield Utf8(raw, file, encoding=encoding, packed=packed)


@contextmanager
def open_bytes(file: SourceFile) -> Iterator[tuple[Any, bool]]:
    """The file's bytes, unpacked, and whether they had been packed: gzip, bzip2, zstd and xz are known by their first bytes."""
    try:
        raw = file.path.open("rb")
    except OSError as error:
        raise SourceError(f"{file.path} cannot be opened ({error.strerror})", hint=f"ls -l {file.path}") from None
    with raw:
        if file.member is not None:
            with zipfile.ZipFile(raw) as archive:
                try:
                    member = archive.open(file.member)
                except (RuntimeError, NotImplementedError) as error:
                    raise SourceError(f"{file.name} cannot be unpacked ({error})", hint="a zip without a password") from None
                with member:
                    yield member, True
            return
        start = raw.read(8)
        raw.seek(0)
        unpack = next((unpack for magic, unpack in _PACKED.items() if start.startswith(magic)), None)
        yield (raw, False) if unpack is None else (unpack(raw), True)
