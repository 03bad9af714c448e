"""From the contract's columns to what an estimator learns from: which columns, the user's own hook, dates into parts."""

import hashlib
import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from deployments.catalogue import Definition
from domain.errors import DefinitionError
from domain.pipeline import Pipeline
from tasks.frames import Kind

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

Hook = Callable[["pd.DataFrame"], "pd.DataFrame"]
_MINUTE, _DAY = 60_000_000, 86_400_000_000  # in microseconds
_NUMBERS = {"bool", "int", "float", "decimal"}


def feature_columns(pipeline: Pipeline) -> dict[str, Kind]:
    """The columns that are read for the model, each with what it is taken as; raises DefinitionError on a wrong type."""
    features = pipeline.features
    kinds: dict[str, Kind] = {
        **dict.fromkeys(features.numeric, "number"),
        **dict.fromkeys(features.categorical, "category"),
        **{name: "moment" if pipeline.columns[name].time else "date" for name in features.datetime},
        **dict.fromkeys(features.text, "text"),
    }
    if not kinds:
        raise _wrong(pipeline, "features: none is listed, so there is nothing to learn from")
    for name, kind in kinds.items():
        declared = pipeline.columns[name].type
        if kind == "number" and declared not in _NUMBERS:
            raise _wrong(pipeline, f"features.numeric: {name!r} is a {declared}; list it as categorical or datetime")
        if kind == "text" and declared != "text":
            raise _wrong(pipeline, f"features.text: {name!r} is a {declared}, not text")
        if kind in ("moment", "date") and declared not in ("date", "timestamp"):
            raise _wrong(pipeline, f"features.datetime: {name!r} is a {declared}, not a date or a timestamp")
    return kinds


def _wrong(pipeline: Pipeline, what: str) -> DefinitionError:
    return DefinitionError(what, where=f"{pipeline.name}/pipeline.yaml", hint=f"overnight check {pipeline.name}")


def load_hook(definition: Definition) -> Hook | None:
    """The function that `features.hook` names, from the pipeline's own folder; None when there is no hook."""
    named = definition.pipeline.features.hook
    return cast(Hook, load_function(definition.folder, named, key="features.hook")) if named is not None else None


def load_function(folder: Path, named: str, *, key: str) -> Callable[..., Any]:
    """`file.py:function` of a pipeline's own folder; `key` is where pipeline.yaml names it."""
    file, _, function = named.partition(":")
    path = folder / file
    if not path.is_file() or path.parent != folder or not function:
        raise DefinitionError(f"{key}: {named!r} names no file of this folder and function in it", where=str(path))
    found = getattr(_load_module(path), function, None)
    if not callable(found):
        raise DefinitionError(f"{key}: there is no function {function!r} in {file}", where=str(path))
    return cast(Callable[..., Any], found)


def _load_module(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"overnight_{path.parent.name}_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise DefinitionError(f"it cannot be imported: {type(error).__name__}: {error}", where=str(path)) from error
    return module


def hook_hash(definition: Definition) -> str:
    """The sha256 of the file that holds the hook, empty when there is no hook."""
    named = definition.pipeline.features.hook
    if named is None:
        return ""
    path = definition.folder / named.partition(":")[0]
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def prepare(rows: "pd.DataFrame", columns: Mapping[str, Kind], hook: Hook | None) -> "pd.DataFrame":
    """What the encoder takes: numbers, categories, texts, and three numbers for each moment (its minute of the day, weekday
    from Monday = 0, and month), with the day counted from 1970 for a date that is not the row's own time: a birthday's
    year says something, while the row's own only grows. A hook is handed the columns and its answer is treated by its types."""
    import pandas as pd

    frame = rows[list(columns)]
    if hook is not None:
        frame = _hooked(frame, hook)
    parts: dict[str, Any] = {}
    for name in frame.columns:
        column = frame[name]
        if pd.api.types.is_datetime64_any_dtype(column.dtype):
            parts.update(_moment_parts(str(name), column, day=hook is None and columns.get(str(name)) == "date"))
        elif hook is None and columns.get(str(name)) == "text":
            parts[str(name)] = column.astype("str").array
        else:
            parts[str(name)] = _plain(column)
    return pd.DataFrame(parts, index=frame.index, copy=False)


def _hooked(frame: "pd.DataFrame", hook: Hook) -> "pd.DataFrame":
    import pandas as pd

    given = frame.astype({name: "str" for name in frame.columns if isinstance(frame[name].dtype, pd.CategoricalDtype)})
    made = hook(given)
    if not isinstance(made, pd.DataFrame) or len(made) != len(frame) or not len(made.columns):
        shape = f"{len(made)} rows" if isinstance(made, pd.DataFrame) else type(made).__name__
        raise DefinitionError(
            f"the features hook was given {len(frame)} rows and gave back {shape}; a frame of as many is needed"
        )
    return made.reset_index(drop=True).set_axis(frame.index)


def _plain(column: "pd.Series[Any]") -> Any:
    """Numbers as float64; anything else as categories of text."""
    import pandas as pd

    if pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_bool_dtype(column.dtype):
        return column.to_numpy(dtype="float64", na_value=float("nan"))
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.array
    return column.astype("str").astype("category").array


def _moment_parts(name: str, column: "pd.Series[Any]", *, day: bool) -> dict[str, "np.ndarray[Any, Any]"]:
    import numpy as np

    local = column.dt.tz_localize(None) if getattr(column.dtype, "tz", None) is not None else column
    moments = local.to_numpy(dtype="datetime64[us]")
    ticks, empty = moments.view("int64"), np.isnat(moments)
    days = np.floor_divide(ticks, _DAY)
    parts = {
        f"{name} minute": (ticks - days * _DAY) // _MINUTE,
        f"{name} weekday": (days + 3) % 7,
        f"{name} month": moments.astype("datetime64[M]").view("int64") % 12 + 1,
    }
    if day:
        parts[f"{name} day"] = days
    return {part: np.where(empty, np.nan, values) for part, values in parts.items()}
