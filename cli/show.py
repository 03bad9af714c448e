"""How the command line prints: tables that fit 80 columns, JSON on request, sentences on stderr."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

SHORT = 24  # letters of a cell, markup included, up to which it is one word
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

    Sentences break between words to fit; a column of short words and figures never breaks within one.
    """
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim")
    lines = [["" if cell is None else str(cell) for cell in row] for row in rows]
    for place, column in enumerate(columns):
        short = all(len(line[place]) <= SHORT and " " not in line[place] for line in lines)
        table.add_column(
            column, justify="right" if column in numbers else "left", overflow="fold", no_wrap=short,
            min_width=max(map(len, column.split()), default=None),
        )  # fmt: skip
    for line in lines:
        table.add_row(*line)
    out.print(table)


def counted(number: int, noun: str, *, many: str = "") -> str:
    """`1 run`, `2 runs`."""
    return f"{number:,} {noun if number == 1 else many or f'{noun}s'}"


def near(path: Path) -> str:
    """A path as people at this folder say it."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
