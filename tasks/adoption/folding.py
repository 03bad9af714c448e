"""Constants out of expressions, by their syntax alone: numbers, texts, lists, joined paths, f-strings, simple comprehensions."""

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv, ast.Mod: operator.mod,
    ast.FloorDiv: operator.floordiv, ast.BitOr: operator.or_,
}  # fmt: skip
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge, ast.Is: operator.is_, ast.IsNot: operator.is_not,
    ast.In: lambda one, many: one in many, ast.NotIn: lambda one, many: one not in many,
}  # fmt: skip
_OF_TEXT = {"startswith", "endswith", "lower", "upper", "strip", "replace", "split", "format", "join", "title"}
_OF_LIST = {"copy", "tolist", "to_list", "index", "count"}
_LARGEST = 100_000


class NoConstant(Exception):
    """The expression is no constant, or none that syntax alone tells."""


def fold(node: ast.AST, names: Mapping[str, Any], ask: Callable[[ast.AST], Any] | None = None) -> Any:
    """The value of an expression; `names` are constants known by name, and `ask` is asked about what is not known here (it
    raises NoConstant itself). Raises NoConstant."""
    try:
        value = _fold(node, names, ask)
    except NoConstant:
        raise
    except Exception as error:
        raise NoConstant(str(error)) from None
    if isinstance(value, str | list | tuple | dict | set) and len(value) > _LARGEST:
        raise NoConstant("it is too large")
    return value


def _fold(node: ast.AST, names: Mapping[str, Any], ask: Callable[[ast.AST], Any] | None) -> Any:
    def of(one: ast.AST) -> Any:
        return fold(one, names, ask)

    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name) if name in names:
            return names[name]
        case ast.List() | ast.Tuple() | ast.Set():
            return _items(node.elts, of, node)
        case ast.Dict(keys=keys, values=values):
            pairs = zip(keys, values, strict=True)
            return {k: v for key, value in pairs for k, v in ([(of(key), of(value))] if key is not None else of(value).items())}
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -of(operand)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not of(operand)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            return _joined(of(left), of(right), op)
        case ast.BoolOp(op=op, values=values):
            found = [of(value) for value in values]
            return all(found) if isinstance(op, ast.And) else any(found)
        case ast.Compare(left=left, ops=ops, comparators=others):
            return _compared([left, *others], ops, of)
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return of(body) if of(test) else of(orelse)
        case ast.JoinedStr(values=values):
            return "".join(str(of(value.value if isinstance(value, ast.FormattedValue) else value)) for value in values)
        case ast.Subscript(value=value, slice=ast.Slice(lower=low, upper=up, step=step)):
            return of(value)[slice(*(of(end) if end is not None else None for end in (low, up, step)))]
        case ast.Subscript(value=value, slice=at):
            return of(value)[of(at)]
        case (
            ast.ListComp(elt=elt, generators=[one])
            | ast.SetComp(elt=elt, generators=[one])
            | ast.GeneratorExp(elt=elt, generators=[one])
        ):
            return [fold(elt, inner, ask) for inner in _each(one, names, ask)]
        case ast.Call():
            return _called(node, of, ask)
    return _ask(node, ask)


def _ask(node: ast.AST, ask: Callable[[ast.AST], Any] | None) -> Any:
    if ask is None:
        raise NoConstant(type(node).__name__)
    return ask(node)


def _items(nodes: list[ast.expr], of: Callable[[ast.AST], Any], node: ast.AST) -> Any:
    found: list[Any] = []
    for each in nodes:
        found += list(of(each.value)) if isinstance(each, ast.Starred) else [of(each)]
    return tuple(found) if isinstance(node, ast.Tuple) else found


def _joined(left: Any, right: Any, op: ast.operator) -> Any:
    if isinstance(op, ast.Mult) and isinstance(left, str | list) and isinstance(right, int) and len(left) * right > _LARGEST:
        raise NoConstant("it is too large")
    if isinstance(op, ast.Div) and isinstance(left, str):  # a Path and a name
        return f"{left.rstrip('/')}/{right}"
    if isinstance(op, ast.Sub) and isinstance(left, list | set):
        return [one for one in left if one not in right]
    if isinstance(op, ast.Add) and isinstance(left, list):
        return left + list(right)
    return _BINARY[type(op)](left, right)


def _compared(nodes: list[ast.expr], ops: list[ast.cmpop], of: Callable[[ast.AST], Any]) -> bool:
    values = [of(node) for node in nodes]
    return all(_COMPARE[type(op)](one, other) for op, one, other in zip(ops, values, values[1:], strict=False))


def _each(one: ast.comprehension, names: Mapping[str, Any], ask: Callable[[ast.AST], Any] | None) -> list[dict[str, Any]]:
    if not isinstance(one.target, ast.Name):
        raise NoConstant("it unpacks")
    inner = [{**names, one.target.id: each} for each in fold(one.iter, names, ask)]
    return [bound for bound in inner if all(fold(test, bound, _bound(ask, bound)) for test in one.ifs)]


def _bound(ask: Callable[[ast.AST], Any] | None, names: Mapping[str, Any]) -> Callable[[ast.AST], Any] | None:
    """What is asked about a condition, with the loop's own name replaced by its value."""
    if ask is None:
        return None

    class Put(ast.NodeTransformer):
        def visit_Name(self, node: ast.Name) -> ast.expr:
            value = names.get(node.id)
            return ast.Constant(value) if isinstance(value, str | int | float) else node

    def asked(node: ast.AST) -> Any:
        import copy

        return ask(Put().visit(copy.deepcopy(node)))

    return asked


def _called(node: ast.Call, of: Callable[[ast.AST], Any], ask: Callable[[ast.AST], Any] | None) -> Any:
    name = ast.unparse(node.func)
    args = node.args
    if name in ("list", "tuple", "set", "sorted") and len(args) == 1:
        return sorted(of(args[0])) if name == "sorted" else list(of(args[0]))
    if name == "range" and not node.keywords:
        return list(range(*(of(arg) for arg in args)))
    if name == "dict" and not args:
        return {str(each.arg): of(each.value) for each in node.keywords}
    if name in ("os.path.join", "path.join", "join"):
        return "/".join(str(of(arg)).rstrip("/") for arg in args)
    if name in ("Path", "pathlib.Path", "str", "os.path.expanduser", "os.path.abspath", "PurePath"):
        return str(of(args[0]))
    if isinstance(node.func, ast.Attribute) and node.func.attr in _OF_TEXT | _OF_LIST:
        return _method(of(node.func.value), node.func.attr, [of(arg) for arg in args])
    return _ask(node, ask)


def _method(value: Any, name: str, args: list[Any]) -> Any:
    if isinstance(value, str) and name in _OF_TEXT:
        return getattr(value, name)(*args)
    if isinstance(value, list | tuple) and name in _OF_LIST:
        return list(value) if name in ("copy", "tolist", "to_list") else getattr(value, name)(*args)
    raise NoConstant(name)
