"""Goes through a notebook's statements in order and keeps what each name stands for. Nothing is run: only the text is read."""

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tasks.adoption import calls, columns, tables
from tasks.adoption.cells import Place, Script
from tasks.adoption.folding import NoConstant, fold
from tasks.adoption.questions import question_of
from tasks.adoption.values import (
    Answer,
    Column,
    Const,
    Fit,
    Frame,
    Function,
    Look,
    Made,
    Maker,
    Module,
    Read,
    Said,
    Several,
    Split,
    Unknown,
    Value,
    items_of,
    loaded,
)  # fmt: skip

_DEEPEST, _MOST_ROUNDS = 12, 60
_CHANGES = ("insert", "pop")


class _Returned(Exception):
    """A function of the notebook gives back a value."""

    def __init__(self, value: Value) -> None:
        self.value = value


@dataclass
class Walk:
    """What was found on the way: reads, fits, splits, metrics by name, and sentences for the report."""

    look: Look
    reads: list[Read] = field(default_factory=list)
    fits: list[Fit] = field(default_factory=list)
    splits: list[Split] = field(default_factory=list)
    metrics: list[str] = field(default_factory=list)
    told: list[Said] = field(default_factory=list)
    ordered: list[tuple[Place, str]] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    sources: dict[str, str] = field(default_factory=dict)  # functions, constants and modules of the notebook, as they are written
    _scopes: list[dict[str, Value]] = field(default_factory=lambda: [{}])
    _cell: int = 0

    def run(self, script: Script) -> None:
        for number, body in script.cells:
            self._cell = number
            try:
                self.block(body)
            except _Returned:
                continue

    # Names

    def place(self, node: ast.AST) -> Place:
        return Place(self._cell, getattr(node, "lineno", 1))

    def tell(self, kind: str, place: Place | None, what: str) -> None:
        said = Said(kind, place, what)
        if said not in self.told:
            self.told.append(said)

    def lookup(self, name: str) -> Value | None:
        return next((scope[name] for scope in reversed(self._scopes) if name in scope), None)

    def bind_name(self, name: str, value: Value) -> None:
        self._scopes[-1][name] = value

    def constants(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for scope in self._scopes:
            found |= {name: value.value for name, value in scope.items() if isinstance(value, Const)}
        return found

    def columns_of(self, frame: Frame) -> Mapping[str, Column]:
        """What is known of a table's own columns, by the notebook's names."""
        known = self.look(frame.read) if frame.read else None
        by_source = {column.spelled: column for column in (known or {}).values()}
        return {name: by_source[spelled] for name, spelled in frame.origin.items() if spelled in by_source}

    # Statements

    def block(self, body: Sequence[ast.stmt]) -> None:
        for statement in body:
            self.statement(statement)

    def statement(self, node: ast.stmt) -> None:
        match node:
            case ast.Import(names=names):
                for alias in names:
                    self._import(alias.asname or alias.name.partition(".")[0], alias.name if alias.asname else
                                 alias.name.partition(".")[0], node)  # fmt: skip
            case ast.ImportFrom(module=str(module), names=names):
                for alias in names:
                    self._import(alias.asname or alias.name, f"{module}.{alias.name}", node)
            case ast.FunctionDef(name=name):
                self.bind_name(name, Function(node, self.place(node)))
                self.sources[name] = ast.unparse(node)
            case ast.ClassDef(name=name):
                self.bind_name(name, Unknown("a class of the notebook"))
            case ast.Assign(targets=targets, value=value):
                self._assign(targets, value, node)
            case ast.AnnAssign(target=target, value=value) if value is not None:
                self._assign([target], value, node)
            case ast.AugAssign(target=target, op=op, value=value):
                self._assign([target], ast.copy_location(ast.BinOp(loaded(target), op, value), node), node)
            case ast.Expr(value=value):
                self.effect(value)
            case ast.Delete(targets=targets):
                self._delete(targets)
            case ast.Return(value=value):
                raise _Returned(self.value(value) if value is not None else Unknown())
            case _:
                self._compound(node)

    def _compound(self, node: ast.stmt) -> None:
        match node:
            case ast.For(target=target, iter=each, body=body):
                self._loop(target, each, body)
            case ast.If(body=body, orelse=orelse):
                self.block(body)
                self.block(orelse)
            case ast.With(items=items, body=body):
                for item in items:
                    if isinstance(item.optional_vars, ast.Name):
                        self.bind_name(item.optional_vars.id, self.value(item.context_expr))
                self.block(body)
            case ast.Try(body=body, orelse=orelse, finalbody=final):
                self.block([*body, *orelse, *final])

    def _import(self, name: str, path: str, node: ast.stmt) -> None:
        self.bind_name(name, Module(path))
        top = path.partition(".")[0]
        if isinstance(node, ast.Import):
            self.sources[name] = f"import {path}" + (f" as {name}" if name != path else "") if name != top else f"import {top}"
        else:
            home, _, own = path.rpartition(".")
            self.sources[name] = f"from {home} import {own}" + (f" as {name}" if own != name else "")

    def _assign(self, targets: Sequence[ast.expr], node: ast.expr, statement: ast.stmt) -> None:
        for target in targets:
            if isinstance(target, ast.Subscript | ast.Attribute) and columns.assign(self, target, node, self.place(statement)):
                return
        if len(targets) == 1 and isinstance(targets[0], ast.Tuple) and isinstance(node, ast.Tuple):
            values = [self.value(one) for one in node.elts]
            for target, each in zip(targets[0].elts, values, strict=False):
                self.bind(target, each)
            return
        value = self.value(node)
        for target in targets:
            self.bind(target, value)
            if isinstance(target, ast.Name) and isinstance(value, Const):
                self.sources[target.id] = f"{target.id} = {value.value!r}"

    def bind(self, target: ast.expr, value: Value) -> None:
        match target:
            case ast.Name(id=name):
                self.bind_name(name, value)
            case ast.Tuple(elts=elts) | ast.List(elts=elts):
                many = items_of(value)
                for place, each in enumerate(elts):
                    self.bind(each, many[place] if len(many) == len(elts) else Unknown("part of a value that cannot be told"))

    def _delete(self, targets: Sequence[ast.expr]) -> None:
        for target in targets:
            if isinstance(target, ast.Subscript):
                frame, named = self.value(target.value), self.value(target.slice)
                if isinstance(frame, Frame) and isinstance(named, Const):
                    tables.remove(frame, [str(named.value)])

    def _loop(self, target: ast.expr, each: ast.expr, body: Sequence[ast.stmt]) -> None:
        """A loop over what is known is gone through; any other once, with its name unknown."""
        many = items_of(self.value(each))
        for value in many[:_MOST_ROUNDS] or [Unknown("another value in each round of a loop")]:
            self.bind(target, value)
            self.block(body)

    def effect(self, node: ast.expr) -> None:
        """An expression that stands alone: it may change a table, or fit something."""
        if not isinstance(node, ast.Call):
            return
        inplace = any(each.arg == "inplace" and getattr(each.value, "value", None) is True for each in node.keywords)
        if inplace and isinstance(node.func, ast.Attribute):
            columns.change_in_place(self, node, node.func)
            return
        if (
            isinstance(node.func, ast.Attribute)
            and node.func.attr not in _CHANGES
            and isinstance(self.value(node.func.value), Frame)
        ):
            return  # a look at the table
        self.value(node)

    # Expressions

    def value(self, node: ast.AST) -> Value:
        """What an expression stands for, as far as its text tells."""
        match node:
            case ast.Constant(value=value):
                return Const(value)
            case ast.Name(id=name):
                return self.lookup(name) or Unknown()
            case ast.Lambda():
                return Function(node, self.place(node))
            case ast.Call():
                return self._kept(calls.call(self, node), node)
            case ast.Attribute():
                return self._kept(self._attribute(node), node)
            case ast.Subscript():
                return self._kept(columns.subscript(self, node), node)
        return self._folded(node)

    def _kept(self, value: Value, node: ast.expr) -> Value:
        """What is not known is perhaps a constant, or made of columns."""
        return self._folded(node) if isinstance(value, Unknown) and not value.why else value

    def _folded(self, node: ast.AST) -> Value:
        try:
            return Const(fold(node, self.constants(), self._ask))
        except NoConstant:
            pass
        asked = question_of(node, self.value, self.constants())
        if asked is not None:
            return asked
        if isinstance(node, ast.List | ast.Tuple):
            return Several(tuple(self.value(one) for one in node.elts))
        if isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            return Several(tuple(Several((self.value(key), self.value(each))) for key, each in pairs if key is not None))
        if isinstance(node, ast.IfExp):
            return self.value(node.body)
        return self._made(node)

    def _made(self, node: ast.AST) -> Value:
        for one in ast.walk(node):
            found = self.lookup(one.id) if isinstance(one, ast.Name) else None
            if isinstance(found, Frame | Answer | Made) and isinstance(node, ast.expr):
                return Made(found if isinstance(found, Frame) else found.frame, node)
        return Unknown()

    def _ask(self, node: ast.AST) -> Any:
        """What folding asks about: the columns of a table and the like."""
        found: Value = Unknown()
        if isinstance(node, ast.Attribute):
            found = self._attribute(node)
        elif isinstance(node, ast.Subscript):
            found = columns.subscript(self, node)
        elif isinstance(node, ast.Call):
            found = calls.call(self, node)
        elif isinstance(node, ast.Name):
            found = self.lookup(node.id) or Unknown()
        if isinstance(found, Const):
            return found.value
        if isinstance(found, Frame) and isinstance(node, ast.Name | ast.Call):
            return list(found.columns)  # going through a table goes through its columns' names
        raise NoConstant(type(node).__name__)

    def _attribute(self, node: ast.Attribute) -> Value:
        base = self.value(node.value)
        match base:
            case Module(path=path):
                return Module(f"{path}.{node.attr}")
            case Frame():
                return columns.attribute(base, node)
            case Answer() if node.attr in ("values", "array", "T"):
                return base
            case Answer() if node.attr == "dtype":
                known = self.columns_of(base.frame).get(base.name)
                return Const("object" if known is not None and known.text else "float64")
            case Maker() if node.attr in ("best_estimator_", "base_estimator_"):
                return base
        return Unknown()

    # Columns

    def make_column(self, frame: Frame, name: str, node: ast.expr, place: Place) -> None:
        columns.make(self, frame, name, node, place)

    def sorted_by(self, node: ast.Call, place: Place) -> None:
        named = self.value(node.args[0]) if node.args else Unknown()
        by = next((self.value(each.value) for each in node.keywords if each.arg == "by"), named)
        if isinstance(by, Const):
            self.ordered.append((place, str(by.value[0] if isinstance(by.value, list) and by.value else by.value)))

    def inline(self, function: Function, node: ast.Call) -> Value:
        """A call of the notebook's own function: its statements, with the parameters bound."""
        body = function.node
        if len(self._scopes) > _DEEPEST:
            return Unknown("the answer of a function that calls itself")
        scope: dict[str, Value] = {}
        names = [one.arg for one in body.args.args]
        defaults = body.args.defaults
        for name, default in zip(names[len(names) - len(defaults) :], defaults, strict=True):
            scope[name] = self.value(default)
        scope |= dict(zip(names, [self.value(arg) for arg in node.args], strict=False))
        scope |= {each.arg: self.value(each.value) for each in node.keywords if each.arg}
        self._scopes.append(scope)
        try:
            if isinstance(body, ast.Lambda):
                return self.value(body.body)
            self.block(body.body)
        except _Returned as back:
            return back.value
        finally:
            self._scopes.pop()
        return Unknown()

    def fit(self, maker: Maker, table: Value, answer: Value, place: Place) -> None:
        self.fits.append(Fit(maker, table, answer, place))

    def open(self, read: Read) -> Frame:
        """The table that a read gives, with the columns that are found there now."""
        self.reads.append(read)
        known = self.look(read) or {}
        wanted = read.options.get("usecols")
        names = [name for name in known if not isinstance(wanted, list) or name in wanted]
        index = read.options.get("index_col")
        names = [name for number, name in enumerate(names) if index is None or index is False or (index not in (number, name))]
        frame = Frame(read, names, {name: known[name].spelled for name in names})
        self.frames.append(frame)
        return frame
