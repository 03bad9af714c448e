"""Understands what `--from` names: a file, several, an address, a database; and how a night will find it again."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from domain.errors import SourceError, UsageError
from domain.withheld import find_secrets
from tasks.ingest.place import with_secrets, without_secrets

Kind = Literal["csv", "parquet", "jsonl", "sql"]
_MAGIC = "*?["
_DATABASES = ("postgresql", "postgres", "mysql", "mariadb", "sqlite", "mssql", "oracle", "duckdb", "snowflake", "trino")
_DATE = re.compile(r"(?<!\d)(\d{4})([-_.]?)(\d{2})\2(\d{2})(?!\d)")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the rows are. `pattern` finds the files; `template` finds a night's own, when their names hold dates, of which `days`
    are the first and the last; `query` is what a night asks, `look_query` what is asked now."""

    kind: Kind
    said: str
    pattern: str = ""
    template: str = ""
    days: tuple[date, date] | None = None
    files: int = 1
    url: str = ""
    query: str = ""
    secrets: tuple[str, ...] = ()

    @property
    def secret(self) -> str:
        """The variables that hold what is secret in the address, as a sentence names them."""
        return " and ".join(self.secrets)

    @property
    def look_query(self) -> str:
        return self.query

    def to_source(self, mode: str) -> dict[str, Any]:
        """The keys of `source:` that say where."""
        if self.kind == "sql":
            return {"kind": "sql", "url": self.url, "query": self.query, **({"mode": mode} if mode == "snapshot" else {})}
        path = self.template if mode == "interval" and self.template else self.pattern
        return {"kind": self.kind, "path": path, **({"mode": mode} if mode == "snapshot" else {})}


def find_place(said: str, *, name: str, data: Path, table: str | None = None, query: str | None = None) -> Place:
    """Raises UsageError for what is no source, SourceError for one that is not there."""
    scheme = said.split("://")[0].split("+")[0].lower() if "://" in said else ""
    if re.match(r"\s*(select|with)\s", said, re.IGNORECASE):
        raise UsageError("a query alone does not say which database", hint='--from sqlite:///shop.db --query "select …"')
    if scheme in _DATABASES:
        return _database(said, name=name, table=table, query=query)
    if table or query:
        raise UsageError("--table and --query are for databases", hint="--from postgresql://user@host/name --table orders")
    if scheme and scheme != "file":
        shown, secrets = _without_values(said, name=name)
        return Place(_kind_by_name(said), without_secrets(said), _with_braces(shown), secrets=secrets)
    return _files(said.removeprefix("file://"), name=name, data=data)


def _files(said: str, *, name: str, data: Path) -> Place:
    path = Path(said).expanduser().absolute()
    if path.is_dir():
        path = path / _only_suffix(path)
    if not any(mark in str(path) for mark in _MAGIC):
        if not path.is_file():
            near = path.parent if path.parent.is_dir() else next(parent for parent in path.parents if parent.is_dir())
            raise SourceError(f"there is no file {said}", hint=f"ls {near}")
        if path.open("rb").read(16) == b"SQLite format 3\0":
            return _database(f"sqlite:///{path}", name=name, table=None, query=None)
        return Place(_kind_of(path), said, _written(path, data))
    found = sorted(one for one in path.parent.glob(path.name) if one.is_file())
    if not found:
        raise SourceError(f"no file matches {said}", hint=f"ls {path.parent}")
    template, days = _dated(found, data)
    return Place(_kind_of(found[0]), said, _written(path, data), template, days, len(found))


def _only_suffix(folder: Path) -> str:
    suffixes = {"".join(one.suffixes[-2:]) for one in folder.iterdir() if one.is_file() and not one.name.startswith(".")}
    if len(suffixes) != 1:
        raise UsageError(f"{folder} is a folder of {len(suffixes)} kinds of files", hint=f"--from '{folder}/*.csv'")
    return f"*{suffixes.pop()}"


def _written(path: Path, data: Path) -> str:
    """The path as the pipeline names it: under {data} where it lies there, so that the folder can move."""
    if path.is_relative_to(data):
        return "{data}/" + _with_braces(str(path.relative_to(data)))
    return _with_braces(str(path))


def _with_braces(text: str) -> str:
    """Braces that stand in a name are doubled; `${NAME}` is none of them."""
    return re.sub(r"\$\{\w+\}|[{}]", lambda found: found[0] if len(found[0]) > 1 else found[0] * 2, text)


def _dated(found: Sequence[Path], data: Path) -> tuple[str, tuple[date, date] | None]:
    """The path of one night's file, when every name differs from the others by its date alone."""
    dates, shapes = [], set()
    for path in found:
        match = _DATE.search(path.name)
        day = _day(match) if match else None
        if match is None or day is None:
            return "", None
        mark = match[2]
        shapes.add(f"{path.name[: match.start()]}\0%Y{mark}%m{mark}%d\0{path.name[match.end() :]}")
        dates.append(day)
    if len(shapes) != 1 or len(set(dates)) < 2:
        return "", None
    before, form, after = shapes.pop().split("\0")
    folder = _written(found[0].parent, data)
    return f"{folder}/{_with_braces(before)}{{start:{form}}}{_with_braces(after)}", (min(dates), max(dates))


def _day(match: re.Match[str]) -> date | None:
    try:
        return date(int(match[1]), int(match[3]), int(match[4]))
    except ValueError:
        return None


def _kind_of(path: Path) -> Kind:
    start = path.open("rb").read(4)
    return "parquet" if start == b"PAR1" else _kind_by_name(path.name)


def _kind_by_name(name: str) -> Kind:
    words = re.split(r"[?#]", name.lower())[0].removesuffix(".gz").removesuffix(".zst").removesuffix(".bz2").removesuffix(".xz")
    if words.endswith((".parquet", ".pq")):
        return "parquet"
    return "jsonl" if words.endswith((".jsonl", ".ndjson", ".json")) else "csv"


def _without_values(said: str, *, name: str) -> tuple[str, tuple[str, ...]]:
    """The address with each secret that was typed replaced by a variable of the environment, and the variables: no file holds
    a value. They are set here, so that the source can be looked at."""
    shown, variables = said, []
    for one in reversed(find_secrets(said)):
        variable = f"{name}_{re.sub(r'[^A-Za-z0-9]+', '_', one.name).strip('_')}".upper()
        while variable in variables:
            variable += "_"
        os.environ.setdefault(variable, said[one.start : one.end])
        shown = f"{shown[: one.start]}${{{variable}}}{shown[one.end :]}"
        variables.append(variable)
    return shown, tuple(reversed(variables))


def _database(said: str, *, name: str, table: str | None, query: str | None) -> Place:
    known = _without_values(said, name=name)
    (url, _, fragment), secrets = known[0].partition("#"), known[1]
    asked = query or (f"SELECT * FROM {_quoted(table or fragment)}" if table or fragment else None)
    if asked is None:
        asked = f"SELECT * FROM {_quoted(_only_table(url))}"
    return Place("sql", without_secrets(said), url=url, query=asked.strip().rstrip(";"), secrets=secrets)


def _quoted(table: str) -> str:
    return ".".join(
        part if re.fullmatch(r"[a-z_][a-z0-9_]*", part) else '"' + part.replace('"', '""') + '"' for part in table.split(".")
    )


def _only_table(url: str) -> str:
    """The one table of a database; raises UsageError that lists them when there are several."""
    try:
        engine = sa.create_engine(with_secrets(url).replace("postgres://", "postgresql://", 1), poolclass=sa.NullPool)
        inspector = sa.inspect(engine)
        names = [*inspector.get_table_names(), *inspector.get_view_names()]
    except (SQLAlchemyError, ImportError, OSError) as error:
        said = without_secrets((str(getattr(error, "orig", None) or error).strip().splitlines() or ["no message"])[0])
        raise SourceError(f"the database {without_secrets(url)} cannot be asked ({said})", hint="mend the URL") from None
    if len(names) != 1:
        raise UsageError(
            f"the database holds {len(names)} tables: {', '.join(sorted(names)[:8]) or 'none'}",
            hint="--table NAME, or --query SQL",
        )
    return names[0]
