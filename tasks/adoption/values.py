"""What a name of the notebook stands for, as far as its text tells."""

import ast
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tasks.adoption.cells import Place


@dataclass(frozen=True, slots=True)
class Said:
    """One sentence of the report. `kind` is carried, ours (done here in the house's own way), left, leak or skipped."""

    kind: str
    place: Place | None
    what: str


@dataclass(frozen=True, slots=True)
class Read:
    """A call that reads a table. `path` is empty where it cannot be told; `options` are those that were written as constants."""

    place: Place
    how: str
    path: str = ""
    url: str = ""
    query: str = ""
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Column:
    """What the notebook reads of a table: `spelled` is its name in the source, `text` whether pandas reads it as text."""

    spelled: str
    text: bool
    moment: bool = False
    different: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """One statement that makes or changes columns, written for `rows`."""

    code: str
    place: Place
    reads: frozenset[str]
    writes: frozenset[str]
    needs: frozenset[str] = frozenset()  # functions, constants and modules of the notebook


@dataclass(slots=True)
class Frame:
    """A table on its way. `columns` are there now, by the notebook's names, in order; `origin` says which of the source they
    were; `lost` why a column that the notebook has is not to be had here."""

    read: Read | None
    columns: list[str]
    origin: dict[str, str]
    steps: list[Step] = field(default_factory=list)
    lost: dict[str, str] = field(default_factory=dict)
    meaning: dict[str, "Value"] = field(default_factory=dict)  # what a made column is, where that is plain
    kinds: dict[str, str] = field(default_factory=dict)  # of columns that the notebook takes as categories or numbers
    parts: list["Maker"] = field(default_factory=list)  # transformers that all columns went through
    fitted: list[tuple[Place, str]] = field(default_factory=list)  # what was fitted before any rows were set apart
    chosen: bool = False  # columns were listed one by one
    grouped: str = ""
    notes: list[Said] = field(default_factory=list)  # what was done to it that is told if a model learns from it

    def note(self, kind: str, place: Place | None, what: str) -> None:
        self.notes.append(Said(kind, place, what))

    def copy(self) -> "Frame":
        return Frame(
            self.read, list(self.columns), dict(self.origin), list(self.steps), dict(self.lost), dict(self.meaning),
            dict(self.kinds), list(self.parts), list(self.fitted), self.chosen, self.grouped, list(self.notes),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answer:
    """A column, or a question asked of it: `comparison` and `literal` make it one; `changed` is the function it went through."""

    frame: Frame
    name: str
    comparison: str = ""
    literal: Any = None
    changed: str = ""


@dataclass(frozen=True, slots=True)
class Made:
    """Anything else made of columns, as its expression."""

    frame: Frame
    node: ast.expr


@dataclass(frozen=True, slots=True)
class Maker:
    """An estimator, a transformer or a search: `path` is its full dotted name; `node` its call, with names replaced."""

    path: str
    node: ast.Call
    place: Place
    args: tuple["Value", ...] = ()
    keywords: dict[str, "Value"] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.path.rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class Turned:
    """Columns that went through a transformer."""

    frame: Frame
    names: tuple[str, ...]
    maker: Maker


@dataclass(frozen=True, slots=True)
class Const:
    """A plain value: number, text, list, dict …, made of others by folding."""

    value: Any


@dataclass(frozen=True, slots=True)
class Several:
    """A list or tuple of values that are not all constants."""

    items: tuple["Value", ...]


@dataclass(frozen=True, slots=True)
class Function:
    node: ast.FunctionDef | ast.Lambda
    place: Place


@dataclass(frozen=True, slots=True)
class Module:
    """A module, or a name out of one, by its full dotted path."""

    path: str


@dataclass(frozen=True, slots=True)
class Connection:
    url: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """What cannot be told, with the reason where there is one."""

    why: str = ""


Value = Frame | Answer | Made | Maker | Turned | Const | Several | Function | Module | Connection | Unknown
Look = Callable[[Read], dict[str, Column] | None]


@dataclass(frozen=True, slots=True)
class Fit:
    """An estimator that was fitted: on what, and to which answer."""

    maker: Maker
    table: Value
    answer: Value
    place: Place


@dataclass(frozen=True, slots=True)
class Split:
    """Rows set apart for testing; `parts` are the table and the answers, where both were given."""

    place: Place
    by_chance: bool
    parts: tuple[Value, ...] = ()


def loaded(node: ast.expr) -> ast.expr:
    import copy

    found = copy.deepcopy(node)
    for one in ast.walk(found):
        if hasattr(one, "ctx"):
            one.ctx = ast.Load()
    return found


def items_of(value: Value) -> list[Value]:
    match value:
        case Several(items=items):
            return list(items)
        case Const(value=list() | tuple() as many):
            return [Const(one) for one in many]
        case Const(value=dict() as pairs):
            return [Const(key) for key in pairs]
        case Frame(columns=names):
            return [Const(name) for name in names]
    return []
