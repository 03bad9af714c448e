"""A notebook or a script as statements that know where they stand. What is not Python is told and left out."""

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from domain.errors import SourceError, UsageError

_MAGIC = re.compile(r"^\s*(%|!|\?)|^\s*[\w.]+\?{1,2}\s*$")
_ASSIGNED = re.compile(r"^(?P<before>\s*[\w, ]+=\s*)[!%]")


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands: its cell, from 1 as a reader counts (0 in a script), and the line there."""

    cell: int
    line: int

    def __str__(self) -> str:
        return f"cell {self.cell}, line {self.line}" if self.cell else f"line {self.line}"


@dataclass(frozen=True, slots=True)
class Script:
    """`cells` holds each cell that could be read, by its number; `skipped` says what could not, and where."""

    file: str
    cells: tuple[tuple[int, tuple[ast.stmt, ...]], ...]
    skipped: tuple[tuple[Place, str], ...]


def read_script(path: Path) -> Script:
    """Raises UsageError when there is no such file or it is of another kind, SourceError when it is broken."""
    if path.suffix not in (".ipynb", ".py"):
        raise UsageError(f"{path.name} is neither a notebook (.ipynb) nor a script (.py)", hint="overnight adopt NAME.ipynb")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UsageError(f"there is no file {path}", hint=f"ls {path.parent}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path.name} cannot be read ({error})", hint=f"head {path}") from None
    sources = _sources(text, path.name) if path.suffix == ".ipynb" else [(0, text)]
    return _parsed(path.name, sources)


def _sources(text: str, name: str) -> list[tuple[int, str]]:
    """The cells of code with their numbers; notebooks of the third form keep theirs in worksheets."""
    try:
        book = json.loads(text)
    except ValueError as error:
        raise SourceError(
            f"{name} is no whole notebook: its JSON breaks off or is damaged ({error})", hint="save it again"
        ) from None
    cells: Any = book.get("cells") if isinstance(book, dict) else None
    if cells is None and isinstance(book, dict):
        cells = [cell for sheet in book.get("worksheets") or [] for cell in sheet.get("cells", [])] or None
    if not isinstance(cells, list):
        raise SourceError(f"{name} is JSON, but no notebook: it has no cells", hint="save it again from Jupyter")
    return [(number, _text(cell)) for number, cell in enumerate(cells, 1) if _is_code(cell)]


def _is_code(cell: Any) -> bool:
    return isinstance(cell, dict) and cell.get("cell_type") == "code"


def _text(cell: dict[str, Any]) -> str:
    said = cell.get("source", cell.get("input", ""))
    return said if isinstance(said, str) else "".join(map(str, said))


def _parsed(name: str, sources: list[tuple[int, str]]) -> Script:
    cells: list[tuple[int, tuple[ast.stmt, ...]]] = []
    skipped: list[tuple[Place, str]] = []
    for number, text in sources:
        if re.match(r"\s*%%(?!time|capture)", text):
            skipped.append((Place(number, 1), f"the whole cell is for {text.split()[0]}"))
            continue
        plain = "\n".join(_without_magics(text, number, skipped))
        try:
            cells.append((number, tuple(ast.parse(plain).body)))
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            line = getattr(error, "lineno", None) or 1
            skipped.append((Place(number, line), f"this is no Python that can be read ({getattr(error, 'msg', error)})"))
    if not any(body for _, body in cells):
        said = f": {skipped[0][0]}: {skipped[0][1]}" if skipped else ""
        raise SourceError(f"{name} holds no code that can be read{said}", hint=f"overnight new NAME --from TABLE, without {name}")
    return Script(name, tuple(cells), tuple(skipped))


def _without_magics(text: str, cell: int, skipped: list[tuple[Place, str]]) -> Iterator[str]:
    """Lines for the shell or for IPython become `pass`, so that every other line keeps its number."""
    for number, line in enumerate(text.splitlines(), 1):
        if cell and _MAGIC.match(line):
            if not re.match(r"\s*%(%?time|%capture|matplotlib|load_ext|config|autoreload)|\s*[\w.]*\?", line):
                skipped.append((Place(cell, number), f"{line.strip()[:60]!r} is for the shell or for IPython"))
            yield line[: len(line) - len(line.lstrip())] + "pass"
        elif cell and (match := _ASSIGNED.match(line)):
            skipped.append((Place(cell, number), f"{line.strip()[:60]!r} takes what the shell answers"))
            yield match["before"] + "None"
        else:
            yield line
