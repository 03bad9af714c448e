"""Whether an expression looks at one row at a time, and the same written for `rows`: what needs the whole table cannot be
carried, since a night is scored in parts, and what was learned of other rows belongs to the model."""

import ast
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tasks.adoption.known import ACROSS, BUILTINS, BY_ROW, MODULES, NOW, NUMPY, PANDAS, WHOLE
from tasks.adoption.values import Frame, Function, Made, Module, Value

ROWS = "rows"


class NotCarried(Exception):
    """Why an expression cannot be carried, as the end of a sentence."""


class ByRow(ast.NodeTransformer):
    """Rewrites an expression for `rows`; `reads` are the columns it looks at, `needs` the names of the notebook it uses.

    `lookup` tells what a name stands for. Raises NotCarried."""

    def __init__(self, frame: Frame, lookup: Callable[[str], Value | None]) -> None:
        self.frame, self.lookup = frame, lookup
        self.reads: set[str] = set()
        self.needs: set[str] = set()
        self.rounded = False  # whether whole numbers became numbers that may be missing
        self._local: list[set[str]] = []
        self._row: list[str] = []

    # Names

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if any(node.id in names for names in self._local) or node.id in BUILTINS:
            return node
        value = self.lookup(node.id)
        if isinstance(value, Frame):
            raise NotCarried("it takes the whole table")
        if isinstance(value, Made):
            return self._of_other(value)
        return self._of_notebook(node, value)

    def _of_other(self, value: Made) -> ast.expr:
        """A column that was put aside under a name is made where it is used."""
        found: ast.expr = self.visit(value.node)
        return found

    def _of_notebook(self, node: ast.Name, value: Value | None) -> ast.expr:
        from tasks.adoption.values import Answer, Const

        if isinstance(value, Answer):
            return self._column(value.name)
        if isinstance(value, Module):
            return self._module(node, value.path)
        if isinstance(value, Function):
            self.needs.add(node.id)
            self._function(value.node)
            return node
        if isinstance(value, Const):
            if isinstance(value.value, str | int | float | bool | None):
                return ast.Constant(value.value)
            self.needs.add(node.id)
            return node
        why = getattr(value, "why", "")
        raise NotCarried(f"{node.id} is {why}" if why else f"what {node.id} is cannot be told from the text")

    def _module(self, node: ast.Name, path: str) -> ast.expr:
        top, _, name = path.partition(".")
        if top == "numpy" and (not name or name in NUMPY):
            self.needs.add(node.id)
            return node
        if (top == "pandas" and (not name or name in PANDAS)) or top in MODULES:
            self.needs.add(node.id)
            return node
        raise NotCarried(f"it needs {path}")

    def _function(self, node: ast.FunctionDef | ast.Lambda) -> None:
        """A function of the notebook is carried whole, if all that it names can be."""
        with self._names(_bound_in(node)):
            for statement in node.body if isinstance(node, ast.FunctionDef) else [node.body]:
                self.visit(_fresh(statement))

    @contextmanager
    def _names(self, names: set[str]) -> Iterator[None]:
        self._local.append(names)
        try:
            yield
        finally:
            self._local.pop()

    # Columns

    def _column(self, name: str) -> ast.expr:
        if name not in self.frame.columns:
            why = self.frame.lost.get(name)
            raise NotCarried(f"it reads {name!r}, {why}" if why else f"it reads {name!r}, which is no column here")
        self.reads.add(name)
        return ast.Subscript(ast.Name(ROWS, ast.Load()), ast.Constant(name), ast.Load())

    def _is_frame(self, node: ast.AST) -> bool:
        return isinstance(node, ast.Name) and isinstance(self.lookup(node.id), Frame) and not self._is_local(node.id)

    def _is_local(self, name: str) -> bool:
        return any(name in names for names in self._local)

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        if self._is_frame(node.value):
            return self._of_frame(node)
        if isinstance(node.value, ast.Name) and node.value.id in self._row:
            return self._of_row(node)
        if isinstance(node.value, ast.Attribute) and node.value.attr in ("loc", "iloc", "iat", "at"):
            raise NotCarried("it picks rows by their place")
        return self._inside(node)

    def _of_row(self, node: ast.Subscript) -> ast.expr:
        if not isinstance(node.slice, ast.Constant) or not isinstance(node.slice.value, str):
            raise NotCarried("it takes a row's cells by their place")
        self._column(node.slice.value)
        return node

    def _of_frame(self, node: ast.Subscript) -> ast.expr:
        from tasks.adoption.folding import NoConstant, fold

        try:
            wanted = fold(node.slice, self._constants(node.slice))
        except NoConstant:
            raise NotCarried("it picks rows") from None
        if isinstance(wanted, str) or (isinstance(wanted, int) and str(wanted) in self.frame.columns):
            return self._column(str(wanted))
        if isinstance(wanted, list) and wanted and all(isinstance(one, str) for one in wanted):
            for one in wanted:
                self._column(one)
            names: list[ast.expr] = [ast.Constant(one) for one in wanted]
            return ast.Subscript(ast.Name(ROWS, ast.Load()), ast.List(names, ast.Load()), ast.Load())
        raise NotCarried("it picks rows")

    def _constants(self, node: ast.AST) -> dict[str, object]:
        from tasks.adoption.values import Const

        found = {one.id: self.lookup(one.id) for one in ast.walk(node) if isinstance(one, ast.Name)}
        return {name: value.value for name, value in found.items() if isinstance(value, Const)}

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        if self._is_frame(node.value):
            if node.attr in self.frame.columns or node.attr in self.frame.lost:
                return self._column(node.attr)
            raise NotCarried(f"it asks for the table's {node.attr}")
        if isinstance(node.value, ast.Name) and node.value.id in self._row:
            if node.attr in self.frame.columns:
                self._column(node.attr)
            return node
        if (path := self._path(node)) is not None:
            return self._of_module(node, path)
        if node.attr in WHOLE and not self._local:
            raise NotCarried(f"it needs {WHOLE[node.attr]}")
        return self._inside(node)

    def _path(self, node: ast.AST) -> str | None:
        """The dotted path of what is looked up in a module, None for anything else."""
        if isinstance(node, ast.Name) and not self._is_local(node.id):
            value = self.lookup(node.id)
            return value.path if isinstance(value, Module) else None
        if isinstance(node, ast.Attribute) and (above := self._path(node.value)) is not None:
            return f"{above}.{node.attr}"
        return None

    def _of_module(self, node: ast.Attribute, path: str) -> ast.expr:
        top, _, rest = path.partition(".")
        if rest.split(".")[-1] in NOW and (top in ("datetime", "pandas", "time") or "date" in path):
            raise NotCarried("it asks what day it is, so that no night could be taken again; take the night's own time column")
        if "random" in rest:
            raise NotCarried("it is left to chance")
        known = {"numpy": NUMPY, "pandas": PANDAS}.get(top)
        if (known is not None and rest not in known) or (known is None and top not in MODULES):
            said = WHOLE.get(rest)
            raise NotCarried(f"it needs {said}" if said else f"{path} is not known here to look at one row at a time")
        root: ast.AST = node
        while isinstance(root, ast.Attribute):
            root = root.value
        assert isinstance(root, ast.Name)
        self.needs.add(root.id)
        return node

    # Calls

    def visit_Call(self, node: ast.Call) -> ast.expr:
        if isinstance(node.func, ast.Attribute) and self._path(node.func) is None:
            return self._method(node, node.func)
        if isinstance(node.func, ast.Name) and node.func.id == "len" and not self._local:
            raise NotCarried("it counts all rows")
        path = self._path(node.func)
        if path == "pandas.cut" and not _has_edges(node):
            raise NotCarried("its bins are made from the least and the most of all rows; write the edges as a list")
        return self._inside(node)

    def _method(self, node: ast.Call, func: ast.Attribute) -> ast.expr:
        if self._local:
            return self._inside(node)  # of a value of one row
        if func.attr in ACROSS and not _across_columns(node):
            raise NotCarried(f"it needs the {func.attr} of all rows")
        if func.attr in WHOLE:
            raise NotCarried(f"it needs {WHOLE[func.attr]}")
        if func.attr in ("apply", "map", "transform", "applymap", "pipe") and node.args:
            return self._applied(node, func)
        by_text = isinstance(func.value, ast.Attribute) and func.value.attr in ("str", "dt")
        if func.attr not in BY_ROW | ACROSS and not by_text:
            raise NotCarried(f".{func.attr}() is not known here to look at one row at a time")
        if func.attr == "get_dummies":
            raise NotCarried("it makes a column for each value of all rows")
        return self._inside(self._as_number(node, func))

    def _as_number(self, node: ast.Call, func: ast.Attribute) -> ast.Call:
        """astype(int) fails on an empty cell, and a night may have some: the same number as one that may be missing."""
        if func.attr != "astype" or not node.args or isinstance(func.value, ast.Compare | ast.BinOp):
            return node
        said = ast.unparse(node.args[0]).strip("'\"")
        if said in ("int", "int64", "int32", "np.int64", "np.int32", "int8", "uint8", "np.int8"):
            self.rounded = True
            return ast.Call(func, [ast.Constant("float64")], [])
        return node

    def _applied(self, node: ast.Call, func: ast.Attribute) -> ast.expr:
        """A function on each value, or on each row where axis=1."""
        given, by_row = node.args[0], _across_columns(node)
        if not self._is_frame(func.value):
            return self._inside(node)
        if not by_row:
            raise NotCarried("it takes a column as a whole")
        return self._by_row(node, given)

    def _by_row(self, node: ast.Call, given: ast.expr) -> ast.expr:
        function: ast.FunctionDef | ast.Lambda | None = given if isinstance(given, ast.Lambda) else None
        if isinstance(given, ast.Name):
            value = self.lookup(given.id)
            function = value.node if isinstance(value, Function) else None
            self.needs.add(given.id)
        if function is None or not function.args.args:
            raise NotCarried("the function that it applies cannot be told from the text")
        self._row.append(function.args.args[0].arg)
        try:
            self._function(function)
        finally:
            self._row.pop()
        func = ast.Attribute(ast.Name(ROWS, ast.Load()), "apply", ast.Load())
        return ast.Call(func, list(node.args), list(node.keywords))

    def visit_Lambda(self, node: ast.Lambda) -> ast.expr:
        self._function(node)
        return node

    def visit_ListComp(self, node: ast.ListComp) -> ast.expr:
        return self._comprehension(node)

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> ast.expr:
        return self._comprehension(node)

    def _comprehension(self, node: ast.ListComp | ast.GeneratorExp) -> ast.expr:
        if not self._local:
            raise NotCarried("it goes through the rows one by one; write it with .apply or .map")
        names = {one.id for each in node.generators for one in ast.walk(each.target) if isinstance(one, ast.Name)}
        with self._names(names):
            return self._inside(node)

    def _inside(self, node: ast.expr) -> ast.expr:
        found = self.generic_visit(node)
        assert isinstance(found, ast.expr)
        return found


def _fresh(node: ast.AST) -> ast.AST:
    import copy

    return copy.deepcopy(node)


def _bound_in(node: ast.FunctionDef | ast.Lambda) -> set[str]:
    """Names that are a function's own: its parameters and what it assigns."""
    args = node.args
    names = {one.arg for one in (*args.posonlyargs, *args.args, *args.kwonlyargs)}
    inside = (one for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store))
    return names | {one.id for one in inside}


def _across_columns(node: ast.Call) -> bool:
    said = {each.arg: ast.unparse(each.value) for each in node.keywords}
    if said.get("axis") in ("1", "'columns'"):
        return True
    place = 1 if isinstance(node.func, ast.Attribute) and node.func.attr == "apply" else 0
    return len(node.args) > place and ast.unparse(node.args[place]) == "1" and "axis" not in said


def _has_edges(node: ast.Call) -> bool:
    bins = next((each.value for each in node.keywords if each.arg == "bins"), node.args[1] if len(node.args) > 1 else None)
    return isinstance(bins, ast.List | ast.Tuple | ast.Name)


def write_expression(
    node: ast.expr, frame: Frame, lookup: Callable[[str], Value | None]
) -> tuple[str, frozenset[str], frozenset[str], bool]:
    """(code for `rows`, columns it reads, names of the notebook it needs, whether whole numbers became numbers). Raises "
    "NotCarried."""
    by_row = ByRow(frame, lookup)
    written = by_row.visit(_fresh(node))
    ast.fix_missing_locations(written)
    return ast.unparse(written), frozenset(by_row.reads), frozenset(by_row.needs), by_row.rounded
