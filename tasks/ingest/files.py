"""Finds a night's files, brings remote ones here, and names each by its content."""

import hashlib
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from domain.errors import SourceError
from tasks.ingest.place import refuse_a_way_out, without_secrets

_READ = 1 << 20
_MAGIC = "*?["
_SECONDS = 60.0
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a night: where it lies on this machine, how rejects name it, and what it held when it was hashed.

    `member` is the file's name inside a zip. `placed` is false for rows that a query gave, which stand on no line.
    """

    path: Path
    name: str
    sha256: str
    bytes: int
    changed: int = 0
    member: str | None = None
    placed: bool = True

    def to_json(self) -> dict[str, object]:
        return {"file": self.name, "sha256": self.sha256, "bytes": self.bytes}


def find_files(path: str, *, data: Path, scratch: Path) -> list[SourceFile]:
    """The night's files in the order of their names, hashed; `path` is a path, a glob or an fsspec URL.

    Remote files are copied to `scratch` once. Raises SourceError when there is none or one cannot be read.
    """
    found = _remote(path, scratch) if "://" in path else _local(path, data)
    return [member for file in found for member in _members(file)]


def _local(path: str, data: Path) -> list[SourceFile]:
    paths = sorted(Path(path).parent.glob(Path(path).name)) if any(mark in path for mark in _MAGIC) else [Path(path)]
    paths = [one for one in paths if not one.is_dir()] if len(paths) > 1 else paths
    if not paths or not paths[0].exists():
        raise SourceError(f"there is no file {path}", hint=_where_to_look(Path(path)))
    return [look_at(one, str(one.relative_to(data)) if one.is_relative_to(data) else str(one)) for one in paths]


def _where_to_look(path: Path) -> str:
    if path.parent.is_dir():
        return f"ls {path.parent}, then the same run again once the file is there"
    return f"ls {next((parent for parent in path.parents if parent.is_dir()), Path('/'))}"


def _remote(url: str, scratch: Path) -> list[SourceFile]:
    if url.startswith(("http://", "https://")):
        return [_download(url, scratch)]
    import fsspec

    shown = without_secrets(url)
    try:
        system, path = fsspec.core.url_to_fs(url)
        paths = sorted(system.glob(path)) if any(mark in path for mark in _MAGIC) else [path]
        if not paths:
            raise FileNotFoundError
        return [_fetch(system, one, scratch / f"{number}", shown) for number, one in enumerate(paths)]
    except FileNotFoundError:
        raise SourceError(f"there is no file {shown}", hint="the same run again once the file is there") from None
    except (ImportError, ValueError) as error:
        extra = _EXTRAS.get(url.split("://")[0])
        install = f"pip install 'overnight[{extra}]', and in containers: overnight image build --with {extra}"
        hint = install if extra else "a path, or a URL that fsspec knows"
        raise SourceError(f"{shown} cannot be read here ({_first_line(error)})", hint=hint) from None
    except SourceError:
        raise
    except Exception as error:  # every file system has errors of its own
        raise SourceError(f"{shown} cannot be read ({type(error).__name__}: {_first_line(error)})") from None


def _download(url: str, scratch: Path) -> SourceFile:
    import httpx

    shown = without_secrets(url)
    target = scratch / (PurePosixPath(httpx.URL(url).path).name or "download")
    try:
        with httpx.stream("GET", url, timeout=_SECONDS, follow_redirects=True) as response, target.open("wb") as file:
            refuse_a_way_out(shown, response.status_code, response.reason_phrase)
            response.raise_for_status()
            for block in response.iter_bytes(_READ):
                file.write(block)
    except httpx.HTTPStatusError as error:
        raise SourceError(
            f"{shown} answers with HTTP {error.response.status_code}", hint="the same run again once it is there"
        ) from None
    except httpx.HTTPError as error:
        refuse_a_way_out(shown, str(error))
        raise SourceError(f"{shown} does not answer ({type(error).__name__})", hint="the same run again") from None
    return look_at(target, shown)


def _fetch(system: object, path: str, folder: Path, shown: str) -> SourceFile:
    folder.mkdir(parents=True)
    target = folder / (PurePosixPath(path.split("?")[0]).name or "download")
    system.get_file(path, str(target))  # type: ignore[attr-defined]  # fsspec carries no types
    name = f"{shown.split('://')[0]}://{without_secrets(path)}" if "://" not in path else without_secrets(path)
    return look_at(target, name)


def _first_line(error: Exception) -> str:
    return without_secrets((str(error).strip().splitlines() or ["no message"])[0])[:200]


def look_at(path: Path, name: str, *, placed: bool = True) -> SourceFile:
    """One file, hashed; raises SourceError when it is empty or cannot be read."""
    digest, size = hashlib.sha256(), 0
    try:
        changed = path.stat().st_mtime_ns
        with path.open("rb") as file:
            while block := file.read(_READ):
                digest.update(block)
                size += len(block)
    except OSError as error:
        raise SourceError(f"{path} cannot be read ({error.strerror})", hint=f"ls -l {path}") from None
    if not size:
        raise SourceError(f"{name} is empty: not even a header", hint="ask for the file again")
    return SourceFile(path, name, digest.hexdigest(), size, changed, placed=placed)


def _members(file: SourceFile) -> Iterable[SourceFile]:
    """A zip's files, or the file itself."""
    with file.path.open("rb") as raw:
        if raw.read(4) != b"PK\x03\x04":
            return [file]
    try:
        with zipfile.ZipFile(file.path) as archive:
            entries = archive.infolist()
    except zipfile.BadZipFile as error:
        raise SourceError(f"{file.name} is a damaged zip ({error})", hint="ask for the file again") from None
    names = [entry.filename for entry in entries]
    if "[Content_Types].xml" in names:
        raise SourceError(f"{file.name} is an Excel workbook", hint="save its sheet as CSV")
    inside = [e for e in entries if not e.is_dir() and not PurePosixPath(e.filename).name.startswith(".") and e.file_size]
    inside = [entry for entry in inside if not entry.filename.startswith("__MACOSX/")]
    if not inside:
        raise SourceError(f"{file.name} is a zip without files", hint="ask for the file again")
    return [
        SourceFile(file.path, f"{file.name}/{e.filename}", f"{file.sha256}:{e.CRC:08x}", e.file_size, file.changed, e.filename)
        for e in sorted(inside, key=lambda entry: entry.filename)
    ]


def without_copies(files: list[SourceFile]) -> tuple[list[SourceFile], list[str]]:
    """The files without those that hold the very bytes of an earlier one, and a sentence about each that was left out."""
    first: dict[str, str] = {}
    kept, notes = [], []
    for file in files:
        content = file.sha256.rpartition(":")[2] + f":{file.bytes}" if file.member else file.sha256
        if content in first:
            notes.append(f"{file.name} holds the very bytes of {first[content]} and was left out")
        else:
            first[content] = file.name
            kept.append(file)
    return kept, notes
