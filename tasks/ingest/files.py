"""Finds a night's files and opens them as UTF-8, whatever they were written in."""

import codecs
import csv
import difflib
import hashlib
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO
from zoneinfo import ZoneInfo

from domain.errors import SourceError
from domain.interval import Interval

_READ = 1 << 20
_BOM = codecs.BOM_UTF8


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a night: where it is, how rejects name it, and what it held when it was hashed."""

    path: Path
    name: str
    sha256: str
    bytes: int

    def to_json(self) -> dict[str, object]:
        return {"file": self.name, "sha256": self.sha256, "bytes": self.bytes}


def fill_path(template: str, *, interval: Interval, zone: ZoneInfo, data: Path) -> str:
    """The template with {data}, {start:…} and {end:…} filled in, in the pipeline's zone; raises SourceError for other names."""
    start, end = interval.start.astimezone(zone), interval.end.astimezone(zone)
    try:
        return template.format(data=data, start=_Moment(start), end=_Moment(end))
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        raise SourceError(
            f"source.path: {template!r} cannot be filled in ({error}); it may hold {{data}}, {{start:%Y-%m-%d}} and {{end:…}}"
        ) from None


class _Moment(datetime):
    """A moment that shows as its date where the template names no format."""

    def __new__(cls, moment: datetime) -> "_Moment":
        return super().__new__(
            cls, moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second, tzinfo=moment.tzinfo
        )

    def __format__(self, form: str) -> str:
        return super().__format__(form or "%Y-%m-%d")


def find_files(template: str, *, interval: Interval, zone: ZoneInfo, data: Path) -> list[SourceFile]:
    """The night's files in the order of their names, hashed; raises SourceError when there is none or one cannot be read."""
    path = fill_path(template, interval=interval, zone=zone, data=data)
    found = sorted(Path(path).parent.glob(Path(path).name)) if any(c in path for c in "*?[") else [Path(path)]
    if not found or not found[0].exists():
        raise SourceError(f"there is no file {path}", hint=_near(Path(path)))
    return [_look_at(one, data) for one in found]


def _near(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"ls {next((parent for parent in path.parents if parent.is_dir()), Path('/'))}"
    return f"ls {folder}, then the same run again once the file is there"


def _look_at(path: Path, data: Path) -> SourceFile:
    name = str(path.relative_to(data)) if path.is_relative_to(data) else str(path)
    digest, size = hashlib.sha256(), 0
    try:
        with path.open("rb") as file:
            while block := file.read(_READ):
                digest.update(block)
                size += len(block)
    except OSError as error:
        raise SourceError(f"{path} cannot be read ({error.strerror})", hint=f"ls -l {path}") from None
    if not size:
        raise SourceError(f"{path} is empty: not even a header", hint="ask for the file again")
    return SourceFile(path, name, digest.hexdigest(), size)


class Utf8(io.RawIOBase):
    """A file's bytes as UTF-8 without a byte order mark; counts and hashes what came, so that a change is noticed."""

    def __init__(self, raw: BinaryIO, *, name: str, encoding: str) -> None:
        self._raw, self._name, self._encoding = raw, name, encoding
        self._digest, self._size, self._rest = hashlib.sha256(), 0, b""
        self._decoder = codecs.getincrementaldecoder("utf-8-sig" if _is_utf8(encoding) else encoding)()
        self._plain, self._old_mac = _is_utf8(encoding), False
        self._started = self._done = False

    def readable(self) -> bool:
        return True

    def pull(self) -> bytes:
        """The next stretch of the file in UTF-8; empty at the end."""
        while not self._done:
            raw = self._raw.read(_READ)
            self._digest.update(raw)
            self._size += len(raw)
            self._done = not raw
            text = self._decoded(raw)
            if text:
                return text.replace(b"\r", b"\n") if self._old_mac else text
        return b""

    def _decoded(self, raw: bytes) -> bytes:
        if self._plain:
            if not self._started and raw:
                self._started = True
                if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                    raise SourceError(f"{self._name} is written in utf-16, not in utf-8", hint="source: {encoding: utf-16}")
                return raw.removeprefix(_BOM)
            return raw
        try:
            return self._decoder.decode(raw, not raw).encode()
        except UnicodeDecodeError as error:
            raise SourceError(
                f"{self._name} is not written in {self._encoding}: byte {error.object[error.start]:#04x} means nothing there",
                hint="another source.encoding, such as utf-8 or windows-1252",
            ) from None

    def line(self) -> bytes:
        """The next physical line; finds out whether lines end as on an old Macintosh."""
        while b"\n" not in self._rest:
            more = self.pull()
            if not more:
                break
            self._rest += more
            if len(self._rest) >= _READ:
                break
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
            more = self.pull()
            if not more:
                break
            parts.append(more)
            length += len(more)
        return b"".join(parts)

    def check_unchanged(self, file: SourceFile) -> None:
        """Raises SourceError when what was read is not what had been hashed."""
        if (self._size, self._digest.hexdigest()) != (file.bytes, file.sha256):
            raise SourceError(
                f"{file.name} changed while it was read ({file.bytes:,} bytes before, {self._size:,} now)",
                hint="the same run again, once the file is complete",
            )


def _is_utf8(encoding: str) -> bool:
    return codecs.lookup(encoding).name in ("utf-8", "utf-8-sig", "ascii")


@contextmanager
def open_text(file: SourceFile, *, encoding: str) -> Iterator[Utf8]:
    """Raises SourceError when the encoding is unknown or the file cannot be opened."""
    try:
        codecs.lookup(encoding)
    except LookupError:
        raise SourceError(f"source.encoding: there is no encoding {encoding!r}", hint="utf-8, windows-1252 or utf-16") from None
    try:
        raw = file.path.open("rb", buffering=0)
    except OSError as error:
        raise SourceError(f"{file.path} cannot be opened ({error.strerror})", hint=f"ls -l {file.path}") from None
    with raw:
        yield Utf8(raw, name=file.name, encoding=encoding)


def read_header(stream: Utf8, *, name: str, delimiter: str) -> tuple[tuple[str, ...], int]:
    """The first record's cells, and the physical line behind it; raises SourceError when there is none."""
    line, number = b"", 1
    while True:
        more = stream.line()
        if not more:
            break
        number += 1
        line += more
        if line.strip() and line.count(b'"') % 2 == 0:
            break
        if not line.strip():
            line = b""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise wrong_encoding(name, line=1, byte=line[error.start]) from None
    cells = next(csv.reader(io.StringIO(text), delimiter=delimiter), [])
    if not cells:
        raise SourceError(f"{name} has no header: it holds blank lines only", hint="ask for the file again")
    return tuple(cell.strip() for cell in cells), number


def wrong_encoding(name: str, *, line: int, byte: int) -> SourceError:
    return SourceError(
        f"{name} is not written in utf-8: line {line} holds the byte {byte:#04x}",
        hint="source: {encoding: windows-1252}, or ask for the file in utf-8",
    )


def match_columns(
    header: Sequence[str], wanted: Sequence[str], *, name: str, delimiter: str, refuse_new: bool
) -> tuple[str, ...]:
    """The contract's columns in the file's order; raises SourceError for missing, doubled or (if asked) new ones."""
    missing = [column for column in wanted if column not in header]
    extra = [cell for cell in header if cell not in wanted]
    if missing:
        raise SourceError(_missing(missing, header, extra, name, delimiter), hint="overnight check, or ask for the column")
    doubled = next((column for column in wanted if header.count(column) > 1), None)
    if doubled:
        raise SourceError(f"{name}: the column {doubled!r} stands twice in the header", hint="ask which of the two is meant")
    if extra and refuse_new:
        raise SourceError(
            f"{name}: {', '.join(map(repr, extra[:5]))} {'are' if len(extra) > 1 else 'is'} not in the contract, "
            "and new_columns is refuse",
            hint="add to columns:, or new_columns: ignore",
        )
    return tuple(cell for cell in header if cell in wanted)


def _missing(missing: list[str], header: Sequence[str], extra: list[str], name: str, delimiter: str) -> str:
    column = missing[0]
    if len(header) == 1 and len(missing) > 1:
        other = next((mark for mark in ";\t|," if mark != delimiter and mark in header[0]), None)
        if other:
            return f"{name}: the header is one cell, {header[0][:60]!r}; the delimiter is {other!r}, not {delimiter!r}"
    near = difflib.get_close_matches(column.lower(), [cell.lower() for cell in extra], n=1, cutoff=0.5)
    likely = next((cell for cell in extra if near and cell.lower() == near[0]), None)
    if likely is None and len(extra) == 1 and len(missing) == 1:
        likely = extra[0]
    more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
    said = f"; it may be called {likely!r} now" if likely else f", which has {', '.join(header[:8])}"
    return f"{name}: the column {column!r}{more} is missing{said}"
