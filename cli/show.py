"""How the command line prints: tables that fit 80 columns, JSON on request, sentences on stderr."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

SHORT = 24  # letters of a cell up to which it is one word
GAPS = (2, 1)  # letters between the columns of a table
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

STATE_STYLE = {
    "published": "green", "skipped": "dim", "held": "yellow", "failed": "red", "crashed": "red", "running": "cyan",
    "late": "yellow", "fresh": "green", "never": "dim",
}  # fmt: skip


def say(sentence: str) -> None:
    """One sentence for a person; goes to stderr, so that stdout stays data. A terminal breaks it between words, a pipe never."""
    err.print(escape(sentence), soft_wrap=not err.is_terminal)


def saying_news() -> Callable[[Sequence[str]], None]:
    """Says of each round of sentences those that were not in the round before: what lasts is said once."""
    before: Sequence[str] = ()

    def say_news(sentences: Sequence[str]) -> None:
        nonlocal before
        for sentence in sentences:
            if sentence not in before:
                say(sentence)
        before = sentences

    return say_news


def say_next(*commands: str) -> None:
    """What to type next: each command whole, on a line of its own where it would not fit behind the word."""
    for command in commands:
        fits = not err.is_terminal or len(command) + len("next: ") <= err.width
        err.print(escape(f"next: {command}" if fits else f"next:\n  {command}"), soft_wrap=True)


def print_json(document: object) -> None:
    """One line of JSON on stdout."""
    print(json.dumps(document, default=str))


def styled(state: str) -> str:
    return f"[{STATE_STYLE.get(state, 'default')}]{state}[/]"


def print_pairs(pairs: Iterable[tuple[str, str]], *, indent: int = 0) -> None:
    """Headings and what is to be said of each, which breaks between words and stays to their right; both may hold markup."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for heading, said in pairs:
        grid.add_row(heading, said)
    out.print(Padding(grid, (0, 0, 0, indent)))


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, numbers: Sequence[str] = ()) -> None:
    """A table on stdout; cells may hold rich markup, `numbers` names the columns that are aligned to the right.

    Sentences break between words to fit; a column of short words and figures never breaks within one. What is too wide for that
    moves closer together, or else each row stands as a record; in a pipe it is as wide as it is. Nothing is cut off.
    """
    lines = [["" if cell is None else str(cell) for cell in row] for row in rows]
    spans = [_measure(column, [line[place] for line in lines]) for place, column in enumerate(columns)]
    least = sum(span.least for span in spans)
    gap = next((gap for gap in GAPS if least + gap * (len(columns) - 1) <= out.width), None)
    if gap is None and out.is_terminal:
        _print_records(title, columns, lines)
        return
    between = (gap or GAPS[0]) * (len(columns) - 1)
    widths = _fit(spans, room=out.width - between) if gap else [span.whole for span in spans]
    table = Table(
        title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim",
        collapse_padding=gap == 1, width=sum(widths) + between,
    )  # fmt: skip
    for column, width in zip(columns, widths, strict=True):
        table.add_column(column, justify="right" if column in numbers else "left", overflow="fold", width=width)
    for line in lines:
        table.add_row(*line)
    out.print(table, crop=False)


class Span(NamedTuple):
    """How many letters a column has at most, and below how many its words would break."""

    whole: int
    least: int


def _measure(column: str, cells: Sequence[str]) -> Span:
    texts = [Text.from_markup(cell).plain for cell in cells]
    short = all(len(text) <= SHORT and " " not in text for text in texts)
    words = [*column.split(), *(texts if short else " ".join(texts).split())]
    whole = max(cell_len(line) for text in [column, *texts] for line in text.split("\n"))
    longest = max(map(cell_len, words), default=0)
    return Span(whole, longest if short else min(longest, SHORT))


def _fit(spans: Sequence[Span], *, room: int) -> list[int]:
    """The widths of columns in so much room: each whole, or else the widest give way first."""
    widths = [span.whole for span in spans]
    while sum(widths) > room:
        widest = max((place for place, span in enumerate(spans) if widths[place] > span.least), key=widths.__getitem__)
        widths[widest] -= 1
    return widths


def _print_records(title: str, columns: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """Each row under the one before it, a line for each of its cells that says something."""
    if title:
        out.print(title, style="bold")
    for number, line in enumerate(lines):
        if title or number:
            out.print()
        print_pairs([(f"[dim]{column}[/]", cell) for column, cell in zip(columns, line, strict=True) if cell])


def near(path: Path) -> str:
    """A path as people at this folder say it."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
