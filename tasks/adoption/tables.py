"""What methods of a table do to it: which columns are left, what was made, and what of it a night cannot do."""

import ast
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from tasks.adoption.cells import Place
from tasks.adoption.values import Answer, Const, Frame, Unknown, Value

if TYPE_CHECKING:
    from tasks.adoption.walk import Walk

_FEWER_ROWS = {
    "drop_duplicates": "rows that are there twice", "sample": "rows by chance", "head": "the first rows", "tail": "the last rows",
    "query": "rows by a condition", "nlargest": "the largest rows", "nsmallest": "the smallest rows", "truncate": "rows by place",
}  # fmt: skip
_GROUPS = frozenset(
    [
        "groupby",
        "pivot",
        "pivot_table",
        "melt",
        "resample",
        "stack",
        "unstack",
        "agg",
        "aggregate",
        "transpose",
        "explode",
        "crosstab",
    ]
)
_SAME = frozenset(
    [
        "copy",
        "reset_index",
        "sort_index",
        "infer_objects",
        "convert_dtypes",
        "to_numpy",
        "to_frame",
        "pipe",
        "sort_values",
        "round",
    ]
)
_LOOKS = frozenset(
    [
        "info",
        "describe",
        "plot",
        "hist",
        "boxplot",
        "corr",
        "nunique",
        "isnull",
        "isna",
        "value_counts",
        "memory_usage",
        "to_csv",
        "to_parquet",
    ]
)


def become(frame: Frame, other: Frame) -> None:
    """Changes a table in place, as `inplace=True` does, for every name that it has."""
    for one in fields(Frame):
        setattr(frame, one.name, getattr(other, one.name))


def method(walk: "Walk", frame: Frame, name: str, node: ast.Call) -> Value:
    """The value of `frame.name(…)`."""
    place = walk.place(node)
    keywords = {each.arg: each.value for each in node.keywords if each.arg}
    found = frame.copy()
    if name in _GROUPS:
        found.grouped = f"{place}: {name}"
        return found
    if name in _LOOKS:
        return Unknown("a look at the whole table")
    if name == "drop":
        return drop(walk, found, node, keywords)
    if name == "rename":
        return rename(walk, found, keywords)
    if name == "pop" and node.args and isinstance(key := walk.value(node.args[0]), Const):
        answer = Answer(found, str(key.value))
        changed = frame.copy()
        remove(changed, [str(key.value)])
        become(frame, changed)
        return answer
    if name == "assign":
        for each in node.keywords:
            if each.arg:
                walk.make_column(found, each.arg, _body_of(each.value, found, walk), place)
        return found
    if name == "insert" and len(node.args) == 3 and isinstance(key := walk.value(node.args[1]), Const):
        walk.make_column(frame, str(key.value), node.args[2], place)
        return frame
    if name == "set_index" and node.args:
        named = walk.value(node.args[0])
        remove(found, [str(one) for one in (named.value if isinstance(named, Const) and isinstance(named.value, list) else
                                            [named.value] if isinstance(named, Const) else [])])  # fmt: skip
        return found
    if name in ("merge", "join"):
        return merged(frame, walk.value(node.args[0]) if node.args else Unknown(), name, place)
    if name == "select_dtypes":
        return _of_types(walk, found, keywords)
    if name in ("iterrows", "itertuples", "items"):
        return Unknown("a walk through the rows")
    return _other(walk, found, name, node, place)


def _other(walk: "Walk", found: Frame, name: str, node: ast.Call, place: Place) -> Value:
    if name == "dropna":
        _dropna(walk, found, node, place)
    elif name in _FEWER_ROWS:
        found.note("left", place, f".{name}() leaves out {_FEWER_ROWS[name]}: a night takes all rows that come; if some are no "
                  "part of the question, leave them out in the source, or set them aside by a line of "
                  "expectations.yaml")  # fmt: skip
    elif name == "fillna":
        found.note("ours", place, "the whole table's .fillna(): missing values go in as they are, or as the median of what "
                   "a model "
                  "learns from with a mark, whichever its estimator takes")  # fmt: skip
    elif name in ("ffill", "bfill", "interpolate"):
        found.note("left", place, f".{name}() fills a cell from other rows, which a night that is scored in parts cannot")
    elif name == "sort_values":
        walk.sorted_by(node, place)
    elif name == "apply" and "LabelEncoder" in ast.unparse(node):
        found.note("ours", place, "LabelEncoder: texts are categories here, learned from the rows that a model learns from")
    elif name not in _SAME | {"astype", "replace", "apply"}:
        return Unknown(f"what .{name}() gives")
    elif name in ("replace", "apply"):
        found.note("left", place, f"the whole table's .{name}(): write it for single columns in features.py, or say marks of "
                  "'no value' under source.nulls")  # fmt: skip
    return found


def _body_of(node: ast.expr, frame: Frame, walk: "Walk") -> ast.expr:
    """The body of `assign(x=lambda d: …)` with the parameter bound to the table."""
    if isinstance(node, ast.Lambda) and node.args.args:
        walk.bind_name(node.args.args[0].arg, frame)
        return node.body
    return node


def remove(frame: Frame, names: Sequence[str]) -> None:
    frame.columns = [one for one in frame.columns if one not in names]


def drop(walk: "Walk", frame: Frame, node: ast.Call, keywords: dict[str, ast.expr]) -> Value:
    """`drop` of columns; of rows it cannot be told, and is told."""
    axis = walk.value(keywords["axis"]) if "axis" in keywords else walk.value(node.args[1]) if len(node.args) > 1 else Const(0)
    said = keywords.get("columns") or (node.args[0] if node.args else keywords.get("labels"))
    by_column = "columns" in keywords or (isinstance(axis, Const) and axis.value in (1, "columns"))
    named = walk.value(said) if said is not None else Unknown()
    if not by_column:
        frame.note("left", walk.place(node), ".drop() leaves out single rows: a night takes all rows that come")
        return frame
    if not isinstance(named, Const):
        frame.note(
            "left", walk.place(node), f"which columns .drop() leaves out cannot be told: {ast.unparse(said)[:60] if said else ''}"
        )
        return frame
    wanted = [named.value] if isinstance(named.value, str) else list(named.value)
    remove(frame, [str(one) for one in wanted])
    return frame


def rename(walk: "Walk", frame: Frame, keywords: dict[str, ast.expr]) -> Frame:
    named = walk.value(keywords["columns"]) if "columns" in keywords else Unknown()
    if isinstance(named, Const) and isinstance(named.value, dict):
        rename_columns(frame, {str(old): str(new) for old, new in named.value.items()})
    return frame


def rename_columns(frame: Frame, names: dict[str, str]) -> None:
    """Columns that steps have made keep the step; a renamed one is made from its old name."""
    frame.columns = [names.get(one, one) for one in frame.columns]
    for old, new in names.items():
        books: list[dict[str, Any]] = [frame.origin, frame.lost, frame.meaning, frame.kinds]
        for book in books:
            if old in book:
                book[new] = book.pop(old)
    if any(step.writes & names.keys() or step.reads & names.keys() for step in frame.steps):
        frame.steps = [_renamed(step, names) for step in frame.steps]


def _renamed(step: Any, names: dict[str, str]) -> Any:
    from dataclasses import replace

    class Put(ast.NodeTransformer):
        def visit_Constant(self, node: ast.Constant) -> ast.Constant:
            return ast.Constant(names[node.value]) if isinstance(node.value, str) and node.value in names else node

    code = ast.unparse(Put().visit(ast.parse(step.code)))
    changed = {"reads": step.reads, "writes": step.writes}
    return replace(step, code=code, **{key: frozenset(names.get(one, one) for one in value) for key, value in changed.items()})


def select(frame: Frame, names: Sequence[str]) -> Frame:
    found = frame.copy()
    found.columns = [one for one in names if one in frame.columns]
    found.lost |= {one: frame.lost.get(one, "which is no column of the source") for one in names if one not in frame.columns}
    found.chosen = True
    return found


def merged(left: Frame, right: Value, how: str, place: Place) -> Frame:
    """The left table; what comes from the other one is no column of the source."""
    found = left.copy()
    if isinstance(right, Frame):
        other = right.read.path if right.read and right.read.path else "another table"
        gone = {one: f"which comes from {other} ({how} in {place})" for one in right.columns if one not in left.columns}
        found.columns += list(gone)
        found.lost |= gone
        found.columns = [one for one in found.columns if one not in gone]
        found.note("left", place, f"the {how} with {other}: a pipeline has one source, so {_listed(gone)} cannot be had; "
                   f"join the two in "
                  "a database and take the query (--from URL --query), or in what writes the file")  # fmt: skip
    else:
        found.note("left", place, f"the {how} with a table that cannot be told: a pipeline has one source")
    return found


def _listed(names: Any) -> str:
    some = [repr(one) for one in list(names)[:6]]
    return ", ".join(some) + (" …" if len(names) > 6 else "") if some else "its columns"


def concatenated(items: Sequence[Value], *, across: bool, place: Place) -> Value:
    """Tables one below the other, or side by side; of several sources the first or widest one counts."""
    frames = [one for one in items if isinstance(one, Frame)]
    if not frames:
        return Unknown("tables one below the other that cannot be told")
    first = max(frames, key=lambda one: len(one.columns)) if not across else frames[0]
    found = first.copy()
    if len({id(one.read) for one in frames}) > 1:
        others = [one.read.path for one in frames if one.read and one.read is not first.read]
        found.note("left", place, f"concat with {', '.join(filter(None, others)) or 'another table'}: a pipeline has one "
                   f"source; files "
                   "of one kind can be one source by a glob (--from 'data/*.csv')")  # fmt: skip
    for other in frames[1:] if across else []:
        found.columns += [one for one in other.columns if one not in found.columns]
        found.steps += [step for step in other.steps if step not in found.steps]
        found.lost = {**other.lost, **found.lost}
        found.fitted += other.fitted
        found.notes += [note for note in other.notes if note not in found.notes]
    return found


def _dropna(walk: "Walk", frame: Frame, node: ast.Call, place: Place) -> None:
    words = {each.arg: walk.value(each.value) for each in node.keywords}
    if (axis := words.get("axis")) is not None and isinstance(axis, Const) and axis.value in (1, "columns"):
        frame.note("ours", place, ".dropna() of columns: a column without any value is no feature here either")
        return
    subset = words.get("subset")
    named = f" (of {', '.join(map(str, subset.value))})" if isinstance(subset, Const) and isinstance(subset.value, list) else ""
    frame.note("ours", place, f".dropna(){named}: rows with an empty cell are predicted too, for somebody will ask about "
               f"them; rows without "
              "an answer are not learned from")  # fmt: skip


def _of_types(walk: "Walk", frame: Frame, keywords: dict[str, ast.expr]) -> Frame:
    def kinds(key: str) -> str:
        return ast.unparse(keywords[key]) if key in keywords else ""

    included, left_out = kinds("include"), kinds("exclude")
    columns = walk.columns_of(frame)
    texts = {one for one in frame.columns if one in frame.origin and (known := columns.get(one)) is not None and known.text}
    wants_text = any(word in included for word in ("object", "category", "'O'", "str"))
    if left_out:
        wants_text = not any(word in left_out for word in ("object", "category", "'O'"))
        return select(frame, [one for one in frame.columns if wants_text or one not in texts])
    return select(frame, [one for one in frame.columns if (one in texts) == wants_text])


def by_place(walk: "Walk", frame: Frame, at: ast.expr, place: Place) -> Value:
    """`frame[:, a:b]` of an array and `frame.iloc[:, …]`."""
    if not isinstance(at, ast.Tuple) or len(at.elts) != 2:
        frame = frame.copy()
        frame.note("left", place, "it takes rows by their place: a night takes all rows that come")
        return frame
    rows, columns = at.elts
    if not (isinstance(rows, ast.Slice) and rows.lower is None and rows.upper is None):
        frame = frame.copy()
        frame.note("left", place, "it takes rows by their place: a night takes all rows that come")
    if isinstance(columns, ast.Slice):
        ends = [walk.value(end) if end is not None else Const(None) for end in (columns.lower, columns.upper, columns.step)]
        if all(isinstance(end, Const) for end in ends):
            return select(frame, frame.columns[slice(*(end.value for end in ends if isinstance(end, Const)))])
        return Unknown("columns by places that cannot be told")
    wanted = walk.value(columns)
    if isinstance(wanted, Const) and isinstance(wanted.value, int) and -len(frame.columns) <= wanted.value < len(frame.columns):
        return Answer(frame, frame.columns[wanted.value])
    if isinstance(wanted, Const) and isinstance(wanted.value, list | tuple):
        return select(frame, [frame.columns[one] for one in wanted.value if isinstance(one, int) and one < len(frame.columns)])
    return Unknown("columns by places that cannot be told")
