"""The header of a CSV file, held against the contract: what is missing, doubled, new, or no table at all."""

import csv
import difflib
import io
from collections.abc import Mapping, Sequence

from domain.errors import SourceError
from domain.spec.source import Column, Source
from tasks.ingest.text import Utf8

_OTHER_DELIMITERS = ";\t|,"


def read_header(stream: Utf8, source: Source, *, name: str, wanted: Sequence[str]) -> tuple[tuple[str, ...], int]:
    """The names of a file's columns, and the physical line on which its rows begin; raises SourceError when there is none."""
    number = 1
    for _ in range(source.skip):
        number += 1 if stream.line() else 0
    if not source.header:
        return tuple(wanted), number
    record, count = _first_record(stream, source)
    try:
        text = record.decode("utf-8")
    except UnicodeDecodeError as error:
        raise wrong_encoding(name, line=number, byte=record[error.start]) from None
    if not text.strip():
        raise SourceError(f"{name} has no header: it holds nothing but blank lines", hint="ask for the file again")
    if text.lstrip().lower().startswith(("<!doctype", "<html", "<?xml")):
        raise SourceError(f"{name} is a web page, not a table; perhaps the address asks for a login", hint=f"head {name}")
    if text.lstrip().startswith(("{", "[")):
        raise SourceError(f"{name} holds JSON, not CSV", hint="source: {kind: jsonl}")
    cells = next(csv.reader(io.StringIO(text), delimiter=source.delimiter, quotechar=source.quote))
    return tuple(cell.strip() for cell in cells), number + count


def _first_record(stream: Utf8, source: Source) -> tuple[bytes, int]:
    """The first line that is neither blank nor a comment, with those that a quoted cell adds, and how many lines that took."""
    quote = (source.quote or "").encode()
    record, count = b"", 0
    while more := stream.line():
        count += 1
        if not record and (not more.strip() or (source.comment and more.startswith(source.comment.encode()))):
            continue
        record += more
        if not quote or record.count(quote) % 2 == 0:
            break
    return record, count


def wrong_encoding(name: str, *, line: int, byte: int) -> SourceError:
    return SourceError(
        f"{name} is not written in utf-8: line {line} holds the byte {byte:#04x}",
        hint="source: {encoding: windows-1252}, or ask for the file in utf-8",
    )


def match_columns(
    found: Sequence[str], columns: Mapping[str, Column], *, name: str, new_columns: str, delimiter: str | None = None
) -> tuple[str, ...]:
    """The header by the contract's names; raises SourceError for columns that are missing, doubled or (where the contract
    refuses them) new."""
    header = found
    columns = {column: said for column, said in columns.items() if not said.made}
    found = _by_contract(header, columns)
    extra = [cell for cell in found if cell not in columns]
    missing = [column for column in columns if column not in found]
    if missing:
        raise SourceError(
            _missing([_spelled(column, columns) for column in missing], found, extra, name=name, delimiter=delimiter),
            hint="ask for the column, or mend columns:",
        )
    doubled = next((column for column in columns if list(found).count(column) > 1), None)
    if doubled:
        raise SourceError(f"{name}: the column {doubled!r} stands twice in the header", hint="ask which of the two is meant")
    if extra and new_columns == "refuse":
        are = "are" if len(extra) > 1 else "is"
        listed = ", ".join(repr(cell.partition("\0")[0]) for cell in extra[:5])
        raise SourceError(
            f"{name}: {listed} {are} not in the contract, and new_columns is refuse",
            hint="add to columns:, or new_columns: ignore",
        )
    return tuple(found)


def _spelled(name: str, columns: Mapping[str, Column]) -> str:
    """What a column of the contract is called in the source."""
    said = columns[name].from_
    return f"column {said}" if isinstance(said, int) else name if said is None else said


def _by_contract(header: Sequence[str], columns: Mapping[str, Column]) -> list[str]:
    """The header's names, the contract's where a column says `from`; another one that has such a name is put aside."""
    if all(column.from_ is None for column in columns.values()):
        return list(header)
    names = [f"{cell}\0{number}" if cell in columns and columns[cell].from_ is not None else cell
             for number, cell in enumerate(header)]  # fmt: skip
    placed = {column.from_ - 1 for column in columns.values() if isinstance(column.from_, int)}
    for name, column in columns.items():
        if isinstance(column.from_, int):
            names[column.from_ - 1 : column.from_] = [name] if column.from_ <= len(names) else []
        elif column.from_ is not None:
            for place, cell in enumerate(header):
                names[place] = name if cell == column.from_ and place not in placed else names[place]
    return names


def _missing(missing: list[str], found: Sequence[str], extra: list[str], *, name: str, delimiter: str | None) -> str:
    if delimiter and len(found) == 1 and len(missing) > 1:
        other = next((mark for mark in _OTHER_DELIMITERS if mark != delimiter and mark in found[0]), None)
        if other:
            return f"{name}: the header is one cell, {found[0][:60]!r}; the delimiter is {other!r}, not {delimiter!r}"
    found = [cell.partition("\0")[0] for cell in found]
    column = missing[0]
    more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
    likely = _likely_name(column, extra, alone=len(extra) == 1 and len(missing) == 1)
    if likely is None and not set(found) - set(extra):
        return f"{name}: none of the columns is there; the first line is {', '.join(found)[:80]!r}"
    said = f"; it may be called {likely!r} now" if likely else f", which has {', '.join(found[:8])}"
    return f"{name}: the column {column!r}{more} is missing{said}"


def _likely_name(column: str, extra: list[str], *, alone: bool) -> str | None:
    near = difflib.get_close_matches(column.lower(), [cell.lower() for cell in extra], n=1, cutoff=0.5)
    likely = next((cell for cell in extra if near and cell.lower() == near[0]), None)
    return extra[0] if likely is None and alone else likely
