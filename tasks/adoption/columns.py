"""Columns looked up, made and changed: what a night can do for each row is written down as a step, the rest is told."""

import ast
from dataclasses import replace
from typing import TYPE_CHECKING

from tasks.adoption import tables
from tasks.adoption.cells import Place
from tasks.adoption.questions import question_of
from tasks.adoption.rowwise import ROWS, ByRow, NotCarried, write_expression
from tasks.adoption.values import Answer, Const, Frame, Made, Maker, Several, Step, Turned, Unknown, Value

if TYPE_CHECKING:
    from tasks.adoption.walk import Walk

ENCODERS = frozenset(["LabelEncoder", "OneHotEncoder", "OrdinalEncoder", "LabelBinarizer"])
SCALERS = frozenset(["StandardScaler"])
FILLERS = frozenset(["SimpleImputer", "KNNImputer", "IterativeImputer", "MissingIndicator", "Imputer"])
_FILLS = ("fillna", "ffill", "bfill", "interpolate")


def attribute(frame: Frame, node: ast.Attribute) -> Value:
    name = node.attr
    if name in ("values", "T"):
        return frame
    if name == "columns":
        return Const(list(frame.columns))
    if name == "dtypes":
        return frame
    if name in frame.columns:
        return Answer(frame, name)
    if name == "shape":
        return Unknown("the size of the table")
    if name in ("frame", "data") and frame.read is not None and frame.read.how.startswith("sklearn."):
        return frame
    return Made(frame, node) if name in frame.lost else Unknown()


def subscript(walk: "Walk", node: ast.Subscript) -> Value:
    """`table[…]`, `table.loc[…]`, `table.iloc[…]`, an item of a list."""
    if isinstance(node.value, ast.Attribute) and node.value.attr in ("loc", "iloc"):
        base = walk.value(node.value.value)
        if isinstance(base, Frame):
            return _located(walk, base, node, node.value.attr)
    base = walk.value(node.value)
    if isinstance(base, Frame):
        return _of_frame(walk, base, node)
    at = walk.value(node.slice)
    if isinstance(base, Several) and isinstance(at, Const):
        if isinstance(at.value, int) and -len(base.items) <= at.value < len(base.items):
            return base.items[at.value]
        named = {pair.items[0].value: pair.items[1] for pair in base.items
                 if isinstance(pair, Several) and len(pair.items) == 2 and isinstance(pair.items[0], Const)}  # fmt: skip
        return named.get(at.value, Unknown())
    if isinstance(base, Answer):
        return base  # rows of it
    return Unknown()


def _of_frame(walk: "Walk", frame: Frame, node: ast.Subscript) -> Value:
    if isinstance(node.slice, ast.Tuple) and any(isinstance(one, ast.Slice) for one in node.slice.elts):
        return tables.by_place(walk, frame, node.slice, walk.place(node))
    wanted = walk.value(node.slice)
    if isinstance(wanted, Const) and isinstance(wanted.value, str):
        return Answer(frame, wanted.value)
    if isinstance(wanted, Const) and isinstance(wanted.value, int) and str(wanted.value) in frame.columns:
        return Answer(frame, str(wanted.value))  # of a table without a header
    if isinstance(wanted, Const) and isinstance(wanted.value, list | tuple):
        names = [str(one) for one in wanted.value]
        return tables.select(frame, names)
    found = frame.copy()
    found.note("left", walk.place(node), f"{ast.unparse(node)[:70]} takes some of the rows: a night takes all that come; if "
               f"some are no part "
               "of the question, leave them out in the source, or set them aside by a line of expectations.yaml")  # fmt: skip
    return found


def _located(walk: "Walk", frame: Frame, node: ast.Subscript, how: str) -> Value:
    if how == "iloc":
        return tables.by_place(walk, frame, node.slice, walk.place(node))
    if isinstance(node.slice, ast.Tuple) and len(node.slice.elts) == 2:
        columns = node.slice.elts[1]
        if isinstance(columns, ast.Slice):
            first, last = (walk.value(end) if end is not None else None for end in (columns.lower, columns.upper))
            low = frame.columns.index(first.value) if isinstance(first, Const) and first.value in frame.columns else 0
            high = frame.columns.index(last.value) + 1 if isinstance(last, Const) and last.value in frame.columns else None
            return tables.select(frame, frame.columns[low:high])
        wanted = walk.value(columns)
        if isinstance(wanted, Const) and isinstance(wanted.value, str):
            return Answer(frame, wanted.value)
        if isinstance(wanted, Const) and isinstance(wanted.value, list):
            return tables.select(frame, [str(one) for one in wanted.value])
    found = frame.copy()
    found.note("left", walk.place(node), f"{ast.unparse(node)[:70]} takes some of the rows: a night takes all that come")
    return found


def assign(walk: "Walk", target: ast.expr, node: ast.expr, place: Place) -> bool:
    """Whether the target is a column, or the columns, of a table."""
    if isinstance(target, ast.Attribute):
        frame = walk.value(target.value)
        if not isinstance(frame, Frame):
            return False
        if target.attr == "columns":
            _name_all(walk, frame, node)
        elif target.attr in frame.columns:
            make(walk, frame, target.attr, node, place)
        return True
    assert isinstance(target, ast.Subscript)
    if isinstance(target.value, ast.Attribute) and target.value.attr in ("loc", "iloc", "at"):
        frame = walk.value(target.value.value)
        if isinstance(frame, Frame):
            _assign_some(walk, frame, target, node, place)
        return isinstance(frame, Frame)
    frame = walk.value(target.value)
    if not isinstance(frame, Frame):
        return False
    named = walk.value(target.slice)
    if isinstance(named, Const) and isinstance(named.value, str):
        make(walk, frame, named.value, node, place)
    elif isinstance(named, Const) and isinstance(named.value, list):
        _make_several(walk, frame, [str(one) for one in named.value], node, place)
    else:
        frame.note("left", place, f"which column {ast.unparse(target)[:60]} is cannot be told")
    return True


def _name_all(walk: "Walk", frame: Frame, node: ast.expr) -> None:
    named = walk.value(node)
    if isinstance(named, Const) and isinstance(named.value, list) and len(named.value) == len(frame.columns):
        tables.rename_columns(frame, dict(zip(list(frame.columns), [str(one) for one in named.value], strict=True)))


def _assign_some(walk: "Walk", frame: Frame, target: ast.Subscript, node: ast.expr, place: Place) -> None:
    """`table.loc[condition, 'column'] = value`."""
    said = f"{ast.unparse(target)[:50]} = {ast.unparse(node)[:30]}"
    if not isinstance(target.slice, ast.Tuple) or len(target.slice.elts) != 2:
        frame.note("left", place, f"{said}: which column it changes cannot be told")
        return
    named = walk.value(target.slice.elts[1])
    if not isinstance(named, Const) or not isinstance(named.value, str):
        frame.note("left", place, f"{said}: which column it changes cannot be told")
        return
    name, by_row = named.value, ByRow(frame, walk.lookup)
    try:
        if isinstance(target.slice.elts[0], ast.Slice):
            make(walk, frame, name, node, place)
            return
        import copy

        condition, value = (ast.unparse(by_row.visit(copy.deepcopy(one))) for one in (target.slice.elts[0], node))
    except NotCarried as why:
        _lose(frame, name, place, said, str(why))
        return
    reads = frozenset(by_row.reads)
    code = f"{ROWS}.loc[{condition}, {name!r}] = {value}"
    _take(frame, name, Step(code, place, reads | ({name} if name in frame.columns else set()), frozenset({name}),
                                  frozenset(by_row.needs)))  # fmt: skip


def make(walk: "Walk", frame: Frame, name: str, node: ast.expr, place: Place) -> None:
    """`table[name] = node`."""
    before = name in frame.columns
    if _is_dates(walk, frame, name, node):
        frame.note("ours", place, f"dates of {name!r} are read by the contract")
        return
    value = walk.value(node)
    said = f"{name!r} = {ast.unparse(node)[:70]}"
    if isinstance(value, Turned):
        _turned(frame, [name], value, place)
        return
    if before and _is_transformed(value, [name]):
        frame.kinds |= value.kinds if isinstance(value, Frame) else {}
        return
    if _is_encoding(node):
        _encoded(walk, frame, name, node, place)
        return
    if before and _is_filled_by_others(walk, node):
        frame.note("ours", place, f"{said}: empty {name!r} goes in as it is, or as the median of what a model learns from with "
                   "a mark; the notebook took it from all rows")  # fmt: skip
        return
    asked = value if isinstance(value, Answer) else question_of(node, walk.value, walk.constants())
    try:
        code, reads, needs, rounded = write_expression(node, frame, walk.lookup)
    except NotCarried as why:
        if asked is not None:
            _mean(frame, name, asked)
        _lose(frame, name, place, said, str(why))
        return
    if rounded:
        frame.note(
            "ours", place, f"astype(int) in {name!r} became a number that may be missing, since a night may have empty cells"
        )
    if asked is not None:
        _mean(frame, name, asked)
    else:
        frame.meaning.pop(name, None)
    _take(frame, name, Step(f"{ROWS}[{name!r}] = {code}", place, reads, frozenset({name}), needs))


def _mean(frame: Frame, name: str, asked: Answer) -> None:
    """What the column is, by what it was before."""
    if asked.name == name and (known := frame.meaning.get(name)) is not None and isinstance(known, Answer):
        asked = replace(asked, name=known.name, comparison=asked.comparison or known.comparison,
                        literal=asked.literal if asked.comparison else known.literal)  # fmt: skip
    frame.meaning[name] = asked


def _take(frame: Frame, name: str, step: Step) -> None:
    frame.steps.append(step)
    frame.lost.pop(name, None)
    if name not in frame.columns:
        frame.columns.append(name)
    elif name in frame.kinds:
        del frame.kinds[name]


def _lose(frame: Frame, name: str, place: Place, said: str, why: str) -> None:
    """A column that cannot be made is not to be had; one of the source stays as the source has it."""
    if name in frame.origin and name in frame.columns:
        frame.note("left", place, f"{said}: {why}; {name!r} stays as the source has it")
        return
    frame.note("left", place, f"{said}: {why}")
    frame.lost[name] = f"which could not be carried ({place})"
    if name in frame.columns:
        frame.columns.remove(name)


def _make_several(walk: "Walk", frame: Frame, names: list[str], node: ast.expr, place: Place) -> None:
    value = walk.value(node)
    if isinstance(value, Turned):
        _turned(frame, names, value, place)
        return
    if _is_transformed(value, names):
        frame.kinds |= value.kinds if isinstance(value, Frame) else {}
        return
    said = f"{names} = {ast.unparse(node)[:50]}"
    try:
        code, reads, needs, _ = write_expression(node, frame, walk.lookup)
    except NotCarried as why:
        for name in names:
            _lose(frame, name, place, said, str(why))
        return
    frame.steps.append(Step(f"{ROWS}[{names!r}] = {code}", place, reads, frozenset(names), needs))
    frame.columns += [name for name in names if name not in frame.columns]


def _is_transformed(value: Value, names: list[str]) -> bool:
    """Whether the very columns come back from a transformer, which has been told of."""
    return isinstance(value, Frame) and value.columns == names and value.chosen


def _turned(frame: Frame, names: list[str], value: Turned, place: Place) -> None:
    """A column that a transformer gives: categories, scaling and filling are the house's own affair."""
    own = _own(value.maker)
    if own is None or len(names) != len(value.names):
        for name in names:
            _lose(frame, name, place, f"{name!r} from {value.maker.name}", "what it learned belongs to the model, not to a row")
        return
    for name, old in zip(names, value.names, strict=True):
        if name != old and old in frame.columns:
            step = Step(f"{ROWS}[{name!r}] = {ROWS}[{old!r}]", place, frozenset({old}), frozenset({name}))
            _take(frame, name, step)
        if own == "categories":
            frame.kinds[name] = "categorical"
        if old in frame.columns:
            _mean(frame, name, Answer(frame, old)) if name != old else None
    _tell_own(frame, value.maker, own, names, place)


def _own(maker: Maker) -> str | None:
    if maker.name in ENCODERS:
        return "categories"
    return "scaling" if maker.name in SCALERS | {"MinMaxScaler", "RobustScaler", "MaxAbsScaler"} else (
        "filling" if maker.name in FILLERS else None)  # fmt: skip


def _tell_own(frame: Frame, maker: Maker, own: str, names: list[str], place: Place) -> None:
    words = {
        "categories": "texts are categories here, learned from the rows that a model learns from",
        "scaling": "numbers are scaled here by what a model learns from, where its estimator needs it",
        "filling": "empty cells go in as they are, or as the median of what a model learns from with a mark",
    }
    frame.note("ours", place, f"{maker.name} of {', '.join(names[:6])}{' …' if len(names) > 6 else ''}: {words[own]}")


def _is_dates(walk: "Walk", frame: Frame, name: str, node: ast.expr) -> bool:
    """pd.to_datetime of a column whose dates the contract reads already."""
    text = ast.unparse(node)
    known = walk.columns_of(frame).get(name)
    return known is not None and known.moment and ("to_datetime" in text or "datetime64" in text) and text.count(name) <= 1


def _is_encoding(node: ast.expr) -> bool:
    text = ast.unparse(node)
    return text.endswith((".cat.codes", ".astype('category')")) or "factorize(" in text


def _encoded(walk: "Walk", frame: Frame, name: str, node: ast.expr, place: Place) -> None:
    inside = [one for one in ast.walk(node) if isinstance(one, ast.Subscript | ast.Attribute)]
    found = [value for one in inside if isinstance(value := walk.value(one), Answer)]
    old = found[0].name if found else name
    if old not in frame.columns:
        _lose(frame, name, place, f"{name!r} = {ast.unparse(node)[:60]}", "its column cannot be told")
        return
    if name != old:
        step = Step(f"{ROWS}[{name!r}] = {ROWS}[{old!r}]", place, frozenset({old}), frozenset({name}))
        _take(frame, name, step)
        _mean(frame, name, Answer(frame, old))
    frame.kinds[name] = "categorical"
    frame.note("ours", place, f"{name!r} as codes: texts are categories here, learned from the rows that a model learns from")


def _is_filled_by_others(walk: "Walk", node: ast.expr) -> bool:
    """Whether empty cells are filled with what other rows hold."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr not in _FILLS:
        return False
    given = node.args[0] if node.args else next((each.value for each in node.keywords if each.arg == "value"), None)
    return given is None or not isinstance(walk.value(given), Const)


def change_in_place(walk: "Walk", node: ast.Call, func: ast.Attribute) -> None:
    """`table.drop(…, inplace=True)` and `table['x'].fillna(…, inplace=True)`."""
    left = ast.Call(func, node.args, [each for each in node.keywords if each.arg != "inplace"])
    ast.copy_location(left, node)
    base = walk.value(func.value)
    if isinstance(base, Frame):
        changed = walk.value(left)
        if isinstance(changed, Frame):
            tables.become(base, changed)
    elif isinstance(base, Answer) and isinstance(func.value, ast.Subscript | ast.Attribute):
        assign(walk, func.value, left, walk.place(node))
