"""Calls that read a table: which file or query, and with which options."""

import ast
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tasks.adoption.cells import Place
from tasks.adoption.values import Connection, Const, Read, Value

_FILES = {
    "read_csv",
    "read_table",
    "read_parquet",
    "read_json",
    "read_fwf",
    "read_excel",
    "read_feather",
    "read_pickle",
    "read_hdf",
}
_ARRAYS = {"numpy.loadtxt", "numpy.genfromtxt"}
_SQL = {"read_sql", "read_sql_query", "read_sql_table"}
_FIRST = {"read_sql_query": "sql", "read_sql": "sql", "read_sql_table": "table_name"}
_TOYS = re.compile(r"sklearn\.datasets\.(load|fetch|make)_\w+|seaborn\.load_dataset|statsmodels\.api\.datasets\..*")


def as_read(path: str, node: ast.Call, place: Place, of: Callable[[ast.expr], Value]) -> Read | None:
    """The read that a call to `path` (a full dotted name) is; None when it reads no table."""
    name = path.rpartition(".")[2]
    options = {each.arg: value.value for each in node.keywords if each.arg and isinstance(value := of(each.value), Const)}
    args = [of(arg) for arg in node.args if not isinstance(arg, ast.Starred)]
    if path.startswith("pandas.") and name in _SQL:
        return _query(name, args, {each.arg: of(each.value) for each in node.keywords if each.arg}, place)
    if (path.startswith(("pandas.", "polars.", "dask.dataframe.")) and name in _FILES) or path in _ARRAYS:
        first = (
            args[0] if args else Const(next((options[key] for key in ("filepath_or_buffer", "path", "io") if key in options), ""))
        )
        if len(args) > 1 and name in ("read_csv", "read_table") and isinstance(args[1], Const):
            options["sep"] = args[1].value
        said = first.value if isinstance(first, Const) and isinstance(first.value, str) else ""
        return Read(place, path, path=said, options=options)
    return Read(place, path, options=options) if _TOYS.fullmatch(path) else None


def _query(name: str, args: list[Value], keywords: Mapping[str, Value], place: Place) -> Read:
    said = args[0] if args else keywords.get(_FIRST[name])
    con = args[1] if len(args) > 1 else keywords.get("con")
    url = con.url if isinstance(con, Connection) else con.value if isinstance(con, Const) and isinstance(con.value, str) else ""
    text = said.value if isinstance(said, Const) and isinstance(said.value, str) else ""
    if text and not re.match(r"\s*(select|with)\s", text, re.IGNORECASE):
        text = f"SELECT * FROM {text}"
    return Read(place, f"pandas.{name}", url=url, query=" ".join(text.split()))


def as_connection(path: str, args: list[Value]) -> Connection | None:
    """A database's address, from what opens it."""
    said = args[0].value if args and isinstance(args[0], Const) and isinstance(args[0].value, str) else None
    if said is None:
        return None
    if path == "sqlite3.connect":
        return Connection(f"sqlite:///{said}")
    return Connection(said) if path.endswith("create_engine") else None


def why_not(read: Read) -> tuple[str, str]:
    """(what is in the way, what helps) of a read that no night could make; two empty texts where there is nothing."""
    name = read.how.rpartition(".")[2]
    if _TOYS.fullmatch(read.how):
        return f"{name} makes its table inside a library, so no night brings a new one", "write it to a file, then --from FILE"
    if name in ("read_excel", "read_feather", "read_pickle", "read_hdf", "read_fwf"):
        return f"{name} reads a kind of file that no night takes", "write the table as CSV or Parquet, then --from FILE"
    if name in _SQL and (not read.url or not read.query):
        return "the database or the query is put together while it runs", '--from URL --query "select …"'
    if not read.path and not read.url:
        return "the path is put together while it runs", "--from FILE"
    return "", ""


def resolve(path: str, *, beside: Path) -> str:
    """The path as it is found from here: as written beside the notebook, or from where the command is typed."""
    if "://" in path or Path(path).is_absolute():
        return path
    found = [
        base / path for base in (beside, Path.cwd()) if (base / path).exists() or list(base.glob(path) if "*" in path else [])
    ]
    return str(found[0]) if found else str(beside / path)


def heading(read: Read) -> list[str] | None:
    """Names that the notebook gives to columns without a header."""
    names: Any = read.options.get("names")
    return [str(one) for one in names] if isinstance(names, list | tuple) else None


def without_header(read: Read) -> bool:
    return ("header" in read.options and read.options["header"] is None) or (
        read.how in _ARRAYS and not read.options.get("skiprows")
    )
