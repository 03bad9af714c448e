"""Calls: of libraries, of methods, of the notebook's own functions."""

import ast
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from tasks.adoption import tables
from tasks.adoption.cells import Place
from tasks.adoption.columns import ENCODERS, FILLERS, SCALERS
from tasks.adoption.questions import question_of
from tasks.adoption.reads import as_connection, as_read
from tasks.adoption.values import Answer, Const, Frame, Function, Made, Maker, Module, Several, Split, Turned, Unknown, Value

if TYPE_CHECKING:
    from tasks.adoption.walk import Walk

_TRIALS = frozenset(["cross_val_score", "cross_validate", "cross_val_predict", "learning_curve", "validation_curve"])
_MADE_BY = frozenset(["make_pipeline", "make_column_transformer", "make_union", "make_column_selector"])
_METRICS = {
    "accuracy_score": "accuracy", "balanced_accuracy_score": "accuracy", "f1_score": "f1", "roc_auc_score": "roc_auc", "log_loss":
    "log_loss", "mean_squared_error": "rmse", "root_mean_squared_error": "rmse", "mean_absolute_error": "mae", "r2_score": "r2",
    "accuracy": "accuracy", "f1": "f1", "f1_macro": "f1", "f1_weighted": "f1", "roc_auc": "roc_auc", "neg_log_loss": "log_loss",
    "neg_mean_squared_error": "rmse", "neg_root_mean_squared_error": "rmse", "neg_mean_absolute_error": "mae", "r2": "r2",
}  # fmt: skip
_PICTURES = ("matplotlib", "plotly", "missingno", "IPython", "warnings", "wandb", "mlflow")
_SAME_TABLE = frozenset(["array", "asarray", "DataFrame", "stack", "ascontiguousarray", "from_pandas"])
_SPLITS = re.compile(r"sklearn\.(model_selection|cross_validation)\.train_test_split")


def call(walk: "Walk", node: ast.Call) -> Value:
    """What a call gives back; Unknown without a reason where nothing is known of it."""
    if isinstance(node.func, ast.Name):
        known = walk.lookup(node.func.id)
        if isinstance(known, Function):
            return walk.inline(known, node)
        return _library(walk, known.path, node) if isinstance(known, Module) else _looked_into(walk, node)
    if not isinstance(node.func, ast.Attribute):
        return Unknown()
    if isinstance(node.func.value, ast.Constant | ast.JoinedStr):
        return _looked_into(walk, node)
    base = walk.value(node.func.value)
    match base:
        case Module(path=path):
            return _library(walk, f"{path}.{node.func.attr}", node)
        case Frame():
            return _applied(walk, node) or tables.method(walk, base, node.func.attr, node)
        case Maker():
            return _of_maker(walk, base, node.func.attr, node)
        case Several() if node.func.attr == "items":
            return base
        case Several() if node.func.attr == "values":
            return Several(tuple(one.items[1] for one in base.items if isinstance(one, Several) and len(one.items) == 2))
        case Answer():
            return question_of(node, walk.value, walk.constants()) or _of_column(base, node)
        case Made(frame=frame):
            return Made(frame, node)
    return Unknown()


def _looked_into(walk: "Walk", node: ast.Call) -> Value:
    """A call of which nothing is known, such as print: what stands inside it may fit something."""
    for arg in node.args:
        inside = (
            [one.value for one in arg.values if isinstance(one, ast.FormattedValue)] if isinstance(arg, ast.JoinedStr) else [arg]
        )
        for one in inside:
            if not isinstance(one, ast.Constant | ast.Starred | ast.GeneratorExp):
                walk.value(one)
    return Unknown()


def _of_column(base: Answer, node: ast.Call) -> Value:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    if name in (
        "unique",
        "value_counts",
        "nunique",
        "mean",
        "median",
        "std",
        "mode",
        "describe",
        "min",
        "max",
        "quantile",
        "sum",
    ):
        return Unknown(f"the {name} over all rows of {base.name!r}")
    return Made(base.frame, node)


def _applied(walk: "Walk", node: ast.Call) -> Value | None:
    """`table.apply(f, axis=1)` and `table[[…]].sum(axis=1)` give a column; None for anything else."""
    assert isinstance(node.func, ast.Attribute)
    axis = next((walk.value(each.value) for each in node.keywords if each.arg == "axis"), None)
    by_row = (
        isinstance(axis, Const) and axis.value in (1, "columns") and node.func.attr not in ("drop", "dropna", "rename", "sample")
    )
    if by_row or node.func.attr in ("sum", "mean", "max", "min", "any", "all", "std", "median"):
        base = walk.value(node.func.value)
        return Made(base, node) if isinstance(base, Frame) and by_row else Unknown("a figure of all rows")
    return None


def _library(walk: "Walk", path: str, node: ast.Call) -> Value:
    place, name = walk.place(node), path.rpartition(".")[2]
    if path.startswith(_PICTURES) or (path.startswith("seaborn") and name != "load_dataset"):
        return Unknown("a picture")
    read = as_read(path, node, place, walk.value)
    if read is not None:
        return walk.open(read)
    args = [walk.value(arg) for arg in node.args if not isinstance(arg, ast.Starred)]
    keywords = {each.arg: walk.value(each.value) for each in node.keywords if each.arg}
    if (connection := as_connection(path, args)) is not None:
        return connection
    if _SPLITS.fullmatch(path):
        return _split(walk, args, keywords, place)
    if name in _TRIALS and args and isinstance(args[0], Maker):
        _tell_fitted(walk, _argument(args, keywords, 1, "X"), place)
        walk.fit(args[0], _argument(args, keywords, 1, "X"), _argument(args, keywords, 2, "y"), place)
        _metric(walk, keywords.get("scoring"))
        return Unknown("figures of a trial")
    if name in _METRICS and path.startswith("sklearn.metrics"):
        walk.metrics.append(_METRICS[name])
        return Unknown("a figure of a trial")
    if name in ("add_constant", "to_categorical", "label_binarize") and args:
        return args[0]
    if path.startswith(("pandas.", "numpy.")):
        return _pandas(walk, name, args, keywords, node)
    return _maker(walk, path, args, keywords, node)


def _metric(walk: "Walk", said: Value | None) -> None:
    if isinstance(said, Const) and said.value in _METRICS:
        walk.metrics.append(_METRICS[said.value])


def _argument(args: list[Value], keywords: dict[str, Value], place: int, name: str) -> Value:
    return args[place] if len(args) > place else keywords.get(name, Unknown())


def _split(walk: "Walk", args: list[Value], keywords: dict[str, Value], place: Place) -> Value:
    shuffle = keywords.get("shuffle")
    by_chance = not (isinstance(shuffle, Const) and shuffle.value is False)
    walk.splits.append(Split(place, by_chance, tuple(args[:2]) if len(args) > 1 else ()))
    for one in args:
        _tell_fitted(walk, one, place)
    return Several(tuple(_part(one) for each in args for one in (each, each)))


def _tell_fitted(walk: "Walk", value: Value, place: Place) -> None:
    for fitted, what in value.fitted if isinstance(value, Frame) else []:
        walk.tell("leak", fitted, f"{what} was fitted on all rows before any were set apart for testing ({place}), so it "
                  f"had seen them; "
                  "here everything is fitted on what a model learns from")  # fmt: skip


def _part(value: Value) -> Value:
    if isinstance(value, Frame):
        found = value.copy()
        found.fitted = []
        return found
    return value


def _pandas(walk: "Walk", name: str, args: list[Value], keywords: dict[str, Value], node: ast.Call) -> Value:
    place, first = walk.place(node), args[0] if args else Unknown()
    if name == "get_dummies" and isinstance(first, Frame):
        found = first.copy()
        found.note(
            "ours", place, "get_dummies: texts are categories here, and one that a night brings for the first time breaks nothing"
        )
        named = keywords.get("columns")
        found.kinds |= (
            dict.fromkeys(named.value, "categorical") if isinstance(named, Const) and isinstance(named.value, list) else {}
        )
        return found
    if name == "get_dummies" and isinstance(first, Answer):
        found = tables.select(first.frame, [first.name])
        found.kinds[first.name] = "categorical"
        found.note("ours", place, f"get_dummies of {first.name!r}: texts are categories here")
        return found
    if name == "merge" and isinstance(first, Frame):
        return tables.merged(first, args[1] if len(args) > 1 else Unknown(), "merge", place)
    if name == "concat":
        axis = keywords.get("axis", args[1] if len(args) > 1 else Const(0))
        items = list(first.items) if isinstance(first, Several) else []
        across = isinstance(axis, Const) and axis.value in (1, "columns")
        return tables.concatenated(items, across=across, place=place)
    if name in _SAME_TABLE and isinstance(first, Frame | Answer):
        named = keywords.get("columns")
        given = [str(one) for one in named.value] if isinstance(named, Const) and isinstance(named.value, list) else []
        if isinstance(first, Frame) and len(given) == len(first.columns):
            tables.rename_columns(first, dict(zip(list(first.columns), given, strict=True)))
        return first
    if name in ("DataFrame", "Series") and isinstance(first, Turned):
        return tables.select(first.frame, list(first.names))
    asked = question_of(node, walk.value, walk.constants())
    if asked is not None:
        return asked
    return Unknown()


def _maker(walk: "Walk", path: str, args: list[Value], keywords: dict[str, Value], node: ast.Call) -> Value:
    name = path.rpartition(".")[2]
    if not (name[:1].isupper() or name in _MADE_BY or name in ("ols", "logit", "glm")):
        return Unknown()
    maker = Maker(path, node, walk.place(node), tuple(args), keywords)
    _metric(walk, keywords.get("scoring"))
    if path.startswith("statsmodels"):
        _statsmodels(walk, maker)
    return maker


def _statsmodels(walk: "Walk", maker: Maker) -> None:
    """OLS(y, X), and a formula's two sides."""
    from tasks.adoption.formula import sides_of

    if maker.name in ("ols", "logit", "glm", "mnlogit", "probit"):
        formula = maker.args[0] if maker.args else maker.keywords.get("formula")
        data = maker.args[1] if len(maker.args) > 1 else maker.keywords.get("data")
        if isinstance(formula, Const) and isinstance(data, Frame) and (sides := sides_of(str(formula.value))):
            walk.fit(maker, tables.select(data, sides[1]), Answer(data, sides[0]), maker.place)
    elif len(maker.args) > 1:
        walk.fit(maker, maker.args[1], maker.args[0], maker.place)


def _of_maker(walk: "Walk", maker: Maker, name: str, node: ast.Call) -> Value:
    place = walk.place(node)
    args = [walk.value(arg) for arg in node.args if not isinstance(arg, ast.Starred)]
    keywords = {each.arg: walk.value(each.value) for each in node.keywords if each.arg}
    table, answer = _argument(args, keywords, 0, "X"), _argument(args, keywords, 1, "y")
    if name in ("fit", "partial_fit") and not isinstance(answer, Unknown):
        walk.fit(maker, table, answer, place)
        return maker
    if name == "fit":
        _note_fit(table, maker, place)
        return maker
    if name in ("fit_transform", "transform", "fit_resample", "fit_sample"):
        if name != "transform":
            _note_fit(table, maker, place)
        return _transformed(maker, table, answer, name, place)
    if name == "set_params":
        return replace(maker, keywords={**maker.keywords, **keywords})
    if name == "add_constant":
        return table
    return Unknown("what a model said") if name.startswith(("predict", "score", "decision")) else Unknown()


def _note_fit(table: Value, maker: Maker, place: Place) -> None:
    if isinstance(table, Frame):
        table.fitted.append((place, maker.name))


def _transformed(maker: Maker, table: Value, answer: Value, how: str, place: Place) -> Value:
    if how in ("fit_resample", "fit_sample"):
        found = table.copy() if isinstance(table, Frame) else table
        if isinstance(found, Frame):
            found.note("left", place, f"{maker.name} makes up rows or leaves some out: a model learns from the rows that "
                       f"there are; "
                       "for rare classes look at class_weight among model.params")  # fmt: skip
        return Several((found, answer))
    if isinstance(table, Answer):
        return Turned(table.frame, (table.name,), maker)
    if not isinstance(table, Frame):
        return Unknown(f"what {maker.name} gives")
    found = table.copy()
    if maker.name in ENCODERS:
        found.note("ours", place, f"{maker.name}: texts are categories here, learned from the rows that a model learns from")
        found.kinds |= dict.fromkeys(found.columns, "categorical") if table.chosen else {}
    elif maker.name in SCALERS | FILLERS:
        found.note("ours", place, f"{maker.name}: here it is fitted on what a model learns from, where its estimator needs it")
    elif not any(part.node is maker.node for part in found.parts):
        found.parts.append(maker)
    return found
