"""How the command line prints: tables that fit 80 columns, JSON on request, sentences on stderr."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

STATE_STYLE = {
    "published": "green", "skipped": "dim", "held": "yellow", "failed": "red", "crashed": "red", "running": "cyan",
    "late": "yellow", "fresh": "green", "never": "dim",
}  # fmt: skip


def say(sentence: str) -> None:
    """One sentence for a person; goes to stderr, so that stdout stays data."""
    err.print(escape(sentence), soft_wrap=True)


def print_json(document: object) -> None:
    """One line of JSON on stdout."""
    print(json.dumps(document, default=str))


def styled(state: str) -> str:
    return f"[{STATE_STYLE.get(state, 'default')}]{state}[/]"


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, numbers: Sequence[str] = ()) -> None:
    """A table on stdout; cells may hold rich markup, `numbers` names the columns that are aligned to the right."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    out.print(table)
