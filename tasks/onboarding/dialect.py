"""How a CSV file is written: its encoding, what separates and surrounds cells, where its header stands."""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from domain.errors import SourceError
from tasks.ingest.files import SourceFile
from tasks.ingest.text import open_bytes, open_text

_SAMPLE = 1 << 20
_LINES = 500
_DELIMITERS = ",;\t|"
_NUMBER = re.compile(r"[-+]?[\d.,:/' ]*\d[\d.,:/' %-]*")
_USUAL = {"encoding": "utf-8", "delimiter": ",", "quote": '"', "header": True, "skip": 0, "comment": None}


@dataclass(frozen=True, slots=True)
class Written:
    """`names` are the header's cells, or made up where there is no header."""

    encoding: str
    delimiter: str
    quote: str | None
    header: bool
    skip: int
    comment: str | None
    names: tuple[str, ...]

    def to_source(self) -> dict[str, Any]:
        """The keys of `source:` that differ from their defaults."""
        return {key: getattr(self, key) for key, usual in _USUAL.items() if getattr(self, key) != usual}


def sniff_dialect(file: SourceFile) -> Written:
    """Reads the first megabyte; raises SourceError when the file holds no table."""
    encoding = _encoding(file)
    with open_text(file, encoding=encoding) as stream:
        data = stream.read(_SAMPLE)
    text = data[: data.rfind(b"\n") + 1 or len(data)].decode("utf-8", "replace").replace("\r\n", "\n")
    if text.lstrip().lower().startswith(("<!doctype", "<html", "<?xml")):
        raise SourceError(f"{file.name} is a web page, not a table", hint=f"head {file.name}")
    quote = _quote(text)
    comment = "#" if _has_comments(text) else None
    lines = _without_comments(text, comment)
    delimiter, width = _delimiter(lines, quote)
    records = _records(lines, delimiter, quote)
    skip, first = _start(records, width)
    table = [cells for _, cells in records[first:] if len(cells) == len(records[first][1])]
    if len(table) < 2 or (len(table[0]) < 2 and len(table) < 3):
        raise SourceError(f"{file.name} holds no table: a header and rows under it are needed", hint=f"head {file.name}")
    above = records[first - 1][1] if first else []
    if len(above) == len(table[0]) - 1 and not any(_NUMBER.fullmatch(cell.strip()) for cell in above):
        # As R writes it: the names of the rows stand in a column that has no name.
        return Written(encoding, delimiter, quote, False, skip, comment, ("", *(cell.strip() for cell in above)))
    header = _has_header(table)
    names = tuple(cell.strip() for cell in table[0]) if header else tuple(f"column_{n}" for n, _ in enumerate(table[0], 1))
    return Written(encoding, delimiter, quote, header, skip, comment, names)


def _encoding(file: SourceFile) -> str:
    with open_bytes(file) as (raw_file, _):
        raw: bytes = raw_file.read(4 * _SAMPLE)
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    try:
        raw[: raw.rfind(b"\n") + 1 or len(raw)].decode("utf-8")
    except UnicodeDecodeError:
        # Five bytes mean nothing in Windows-1252, so a file that holds one of them is Latin-1.
        return "latin-1" if re.search(rb"[\x81\x8d\x8f\x90\x9d]", raw) else "windows-1252"
    return "utf-8"


def _quote(text: str) -> str:
    """The quotation mark: a double one, unless only single ones surround cells."""
    single = len(re.findall(r"(?:^|[,;\t|])'[^'\n]*'(?=[,;\t|\n]|$)", text, re.MULTILINE))
    return "'" if '"' not in text and single > 5 and single >= text.count("\n") else '"'


def _has_comments(text: str) -> bool:
    """Whether lines that start with # are no rows: they stand above the table, and the table goes on without them."""
    lines = [line for line in text.split("\n", _LINES)[:_LINES] if line.strip()]
    marked = [line for line in lines if line.startswith("#")]
    plain = [line for line in lines if not line.startswith("#")]
    if not marked or len(plain) < 2:
        return False
    mark = max(_DELIMITERS, key=plain[0].count)
    return any(line.count(mark) != plain[0].count(mark) for line in marked)


def _without_comments(text: str, comment: str | None) -> str:
    return re.sub(rf"(?m)^{re.escape(comment)}.*\n?", "", text) if comment else text


def _records(text: str, delimiter: str, quote: str | None) -> list[tuple[int, list[str]]]:
    """(physical lines before it, cells) of the first records; blank lines are none."""
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, quotechar=quote)
    found: list[tuple[int, list[str]]] = []
    before = 0
    try:
        for cells in reader:
            if cells and (len(cells) > 1 or cells[0].strip()):
                found.append((before, cells))
            before = reader.line_num
            if len(found) >= 4 * _LINES:
                break
    except csv.Error:  # a cell past csv's own limit; what came before it is enough to tell
        pass
    return found


def _delimiter(text: str, quote: str | None) -> tuple[str, int]:
    """The mark that cuts most lines into the same number of cells, and into most of them, with that number."""

    def score(mark: str) -> tuple[float, int]:
        widths = [len(cells) for _, cells in _records(text, mark, quote)[:_LINES]]
        common = max(set(widths), key=widths.count, default=0)
        return (round(widths.count(common) / max(1, len(widths)), 2) if common > 1 else 0.0, common)

    best = max(_DELIMITERS, key=score)
    share, width = score(best)
    return (best, width) if share else (",", 1)


def _start(records: Sequence[tuple[int, list[str]]], width: int) -> tuple[int, int]:
    """How many lines stand above the table, and which record begins it: titles are narrower than what they stand above."""
    fitting = (place for place, (_, cells) in enumerate(records[:30]) if len(cells) == width and _is_full(cells))
    first = next(fitting, 0)
    return (records[first][0], first) if records and first else (0, 0)


def _is_full(cells: Sequence[str]) -> bool:
    """Whether it is more than a title in front of empty cells."""
    return 2 * sum(bool(cell.strip()) for cell in cells) >= len(cells)


def _has_header(table: Sequence[Sequence[str]]) -> bool:
    """Words over numbers are a header; so are words that never come again below."""
    above, below = table[0], list(zip(*table[1:], strict=True))
    numbers = [bool(_NUMBER.fullmatch(cell.strip())) for cell in above]
    numeric = [_mostly_numbers(cells) for cells in below]
    if any(cell.strip() and not is_number and under for cell, is_number, under in zip(above, numbers, numeric, strict=True)):
        return True
    filled = [cell for cell in above if cell.strip()]
    if len(set(filled)) < len(filled) or all(numbers):
        return False
    again = sum(cell in cells for cell, cells in zip(above, below, strict=True) if cell.strip())
    return not again and not any(is_number and under for is_number, under in zip(numbers, numeric, strict=True))


def _mostly_numbers(cells: Sequence[str]) -> bool:
    known = [cell for cell in cells if cell.strip()]
    return bool(known) and sum(bool(_NUMBER.fullmatch(cell.strip())) for cell in known) >= 0.7 * len(known)
