"""Rows as an estimator takes them: numbers, categories, texts, dates in parts. It travels with exported models, so it imports
nothing but pandas, and that late."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from domain.errors import DefinitionError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

Hook = Callable[["pd.DataFrame"], "pd.DataFrame"]
_MINUTE, _DAY = 60_000_000, 86_400_000_000  # in microseconds


def prepare(rows: "pd.DataFrame", columns: Mapping[str, str], hook: Hook | None) -> "pd.DataFrame":
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
