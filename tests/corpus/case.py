"""One file of the messy corpus, and what must come of it."""

from dataclasses import dataclass, field
from typing import Any

HEAD = "id,n,s\n"
PLAIN = "id:text:key n:int s:text"


@dataclass(frozen=True, slots=True)
class Case:
    """`rows` are what must land (in the contract's order, sorted by id; an int where only their number is told), `rejects`
    the (line, rule) of what must not, `refused` a part of the sentence with which the whole file is refused.

    `columns` is the contract as `name:type[:key]`; all but the key may be empty unless `:must` is said.
    """

    name: str
    body: str | bytes
    rows: list[tuple[Any, ...]] | int = 0
    rejects: list[tuple[int | None, str]] = field(default_factory=list)
    refused: str = ""
    source: dict[str, Any] = field(default_factory=dict)
    columns: str = PLAIN
    new_columns: str = "ignore"
    file: str = "day.csv"

    @property
    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else self.body.encode()

    def contract(self) -> dict[str, dict[str, Any]]:
        found = {}
        for word in self.columns.split():
            name, kind, *more = word.split(":")
            found[name] = {"type": kind, "key": "key" in more, "null": not {"key", "must"} & set(more)}
        return found
