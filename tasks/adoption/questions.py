"""Yes/no questions and plain renamings of a column, as notebooks write them: comparisons, maps, np.where, small functions."""

import ast
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tasks.adoption.folding import NoConstant, fold
from tasks.adoption.values import Answer, Value

_SIGNS: dict[type[ast.cmpop], str] = {
    ast.Eq: "==", ast.NotEq: "!=", ast.Gt: ">", ast.GtE: ">=", ast.Lt: "<", ast.LtE: "<=",
}  # fmt: skip
_TURNED = {"==": "!=", "!=": "==", ">": "<=", "<=": ">", "<": ">=", ">=": "<"}
_MIRRORED = {"==": "==", "!=": "!=", ">": "<", "<": ">", ">=": "<=", "<=": ">="}
_METHODS = {"eq": "==", "ne": "!=", "gt": ">", "ge": ">=", "lt": "<", "le": "<="}
_THROUGH = {"log", "log1p", "log10", "log2", "sqrt", "exp"}
SAME = frozenset(
    [
        "copy",
        "to_numpy",
        "ravel",
        "flatten",
        "reshape",
        "squeeze",
        "to_frame",
        "reset_index",
        "fillna",
        "astype",
        "tolist",
        "to_list",
        "dropna",
        "clip",
        "round",
    ]
)


def question_of(node: ast.AST, of: Callable[[ast.AST], Value], names: dict[str, Any]) -> Answer | None:
    """The column, or the question asked of it, that an expression is; None when it is neither."""

    def constant(one: ast.AST) -> Any:
        return fold(one, names)

    try:
        return _question(node, of, constant)
    except NoConstant:
        return None


def _question(node: ast.AST, of: Callable[[ast.AST], Value], constant: Callable[[ast.AST], Any]) -> Answer | None:
    match node:
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _SIGNS:
            return _compared(of(left), right, _SIGNS[type(op)], constant) or _compared(
                of(right), left, _MIRRORED[_SIGNS[type(op)]], constant
            )
        case ast.UnaryOp(op=ast.Invert(), operand=operand):
            inner = of(operand)
            return _negated(inner) if isinstance(inner, Answer) else None
        case ast.BinOp(left=left, op=ast.Mult(), right=ast.Constant(value=1)):
            return _plain(of(left))
        case ast.Call(func=ast.Attribute(value=value, attr=attr), args=args):
            return _method(of(value), attr, args, constant) or _where(node, of, constant)
        case ast.Call():
            return _where(node, of, constant)
    return None


def _plain(value: Value) -> Answer | None:
    return value if isinstance(value, Answer) else None


def _compared(value: Value, other: ast.AST, sign: str, constant: Callable[[ast.AST], Any]) -> Answer | None:
    if not isinstance(value, Answer):
        return None
    literal = constant(other)
    if value.comparison:  # a question about a question: (y == 'yes') == 1
        return (
            (value if sign == "==" else _negated(value)) if literal in (1, True) else _negated(value) if sign == "==" else value
        )
    return replace(value, comparison=sign, literal=literal) if isinstance(literal, str | int | float) else None


def _negated(value: Answer) -> Answer | None:
    return replace(value, comparison=_TURNED[value.comparison]) if value.comparison else None


def _method(value: Value, name: str, args: list[ast.expr], constant: Callable[[ast.AST], Any]) -> Answer | None:
    if not isinstance(value, Answer):
        return None
    if name in SAME:
        return value
    if name in _METHODS and args:
        return _compared(value, args[0], _METHODS[name], constant)
    if name in ("map", "replace") and args and not isinstance(args[0], ast.Lambda):
        return _mapped(value, constant(args[0]) if len(args) == 1 else _pairs(constant(args[0]), constant(args[1])))
    if name in ("apply", "map") and args and isinstance(args[0], ast.Lambda):
        return _function(value, args[0], constant)
    return None


def _pairs(before: Any, after: Any) -> Any:
    return dict(zip(before, after, strict=False)) if isinstance(before, list) and isinstance(after, list) else {before: after}


def _mapped(value: Answer, pairs: Any) -> Answer | None:
    """Two values turned into 1 and 0 ask which of them it is; more than two stay classes."""
    if not isinstance(pairs, dict) or not pairs:
        return None
    ones = [key for key, to in pairs.items() if to in (1, True) and to != "1"]
    if len(pairs) == 2 and len(ones) == 1 and set(pairs.values()) <= {0, 1, -1}:
        return replace(value, comparison="==", literal=ones[0])
    return value


def _function(value: Answer, node: ast.Lambda, constant: Callable[[ast.AST], Any]) -> Answer | None:
    """lambda v: 1 if v > 5 else 0, and the like."""
    body: ast.expr = node.body
    if isinstance(body, ast.Call) and ast.unparse(body.func) in ("int", "bool", "float") and body.args:
        body = body.args[0]
    turned = False
    if isinstance(body, ast.IfExp):
        yes, no = constant(body.body), constant(body.orelse)
        if {yes, no} != {0, 1}:
            return None
        turned, body = yes == 0, body.test
    if not (isinstance(body, ast.Compare) and len(body.ops) == 1 and type(body.ops[0]) in _SIGNS):
        return None
    if not (isinstance(body.left, ast.Name) and node.args.args and body.left.id == node.args.args[0].arg):
        return None
    found = _compared(value, body.comparators[0], _SIGNS[type(body.ops[0])], constant)
    return _negated(found) if found is not None and turned else found


def _where(node: ast.Call, of: Callable[[ast.AST], Value], constant: Callable[[ast.AST], Any]) -> Answer | None:
    """np.where(question, 1, 0), and a function of numpy around a column."""
    name = ast.unparse(node.func).rpartition(".")[2]
    if name == "where" and len(node.args) == 3:
        asked = of(node.args[0])
        yes, no = constant(node.args[1]), constant(node.args[2])
        if not isinstance(asked, Answer) or not asked.comparison or {yes, no} != {0, 1}:
            return None
        return asked if yes == 1 else _negated(asked)
    if name in _THROUGH and len(node.args) == 1:
        inner = of(node.args[0])
        return replace(inner, changed=ast.unparse(node.func)) if isinstance(inner, Answer) and not inner.comparison else None
    if name in ("array", "asarray", "ravel", "Series", "int64"):
        return _plain(of(node.args[0])) if node.args else None
    return None


def resolve_answer(answer: Answer) -> Answer:
    """The answer by a column of the source: what was made of it on the way is taken back, as far as it is plain."""
    frame, name, seen = answer.frame, answer.name, set[str]()
    while (meaning := frame.meaning.get(name)) is not None and name not in seen and isinstance(meaning, Answer):
        seen.add(name)
        answer = _joined(meaning, answer)
        if answer.name == name:
            break
        name = answer.name
    return answer


def _joined(inner: Answer, outer: Answer) -> Answer:
    """`outer` was said of a column that is `inner`."""
    changed = outer.changed or inner.changed
    if not inner.comparison:
        return replace(outer, name=inner.name, changed=changed)
    if not outer.comparison or (outer.comparison, outer.literal) in (("==", 1), ("!=", 0), (">", 0), (">=", 1)):
        return replace(inner, changed=changed)
    return _negated(inner) or inner
