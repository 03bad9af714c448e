"""What an exported model is asked through, far from Overnight: MLflow calls `_load_pyfunc`. It travels with the model, so it
imports the standard library alone, `tasks.preparing` and `tasks.encoding` beside it, and skops and pandas late.

The same checks as at home (`tasks.artifacts`): the recorded bytes, the recorded types and no others, the recorded scikit-learn.
"""

import hashlib
import importlib
import importlib.util
import json
import platform
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from domain.errors import EnvironmentRefused
from tasks.preparing import prepare

if TYPE_CHECKING:
    import pandas as pd

ARTIFACT, RECIPE, HOOK = "model.skops", "recipe.json", "overnight_hook.py"


class Predictor:
    """A model with the recipe of its rows. `predict` takes a frame with the contract's columns that are features."""

    def __init__(self, estimator: Any, recipe: Mapping[str, Any], hook: Callable[..., Any] | None) -> None:
        self.estimator, self.recipe, self.hook = estimator, recipe, hook

    def predict(self, rows: "pd.DataFrame", params: Mapping[str, Any] | None = None) -> "pd.DataFrame":  # noqa: ARG002  # MLflow's
        """`prediction`, and for a classification its `probability`, as Overnight publishes them."""
        import numpy as np
        import pandas as pd

        frame = prepare(read_rows(rows, self.recipe), self.recipe["columns"], self.hook)
        if self.recipe["task"] == "regression":
            return pd.DataFrame({"prediction": np.asarray(self.estimator.predict(frame), dtype=float)}, index=rows.index)
        matrix, classes = self.estimator.predict_proba(frame), list(self.estimator.classes_)
        if self.recipe["rule"]:
            truths = [bool(value) for value in classes]
            said = matrix[:, truths.index(True)] if True in truths else matrix[:, 0] * 0.0
            return pd.DataFrame({"prediction": said > 0.5, "probability": said}, index=rows.index)
        best = matrix.argmax(axis=1)
        named = np.asarray(classes, dtype=object)[best]
        return pd.DataFrame({"prediction": named, "probability": matrix[np.arange(len(best)), best]}, index=rows.index)


def read_rows(rows: "pd.DataFrame", recipe: Mapping[str, Any]) -> "pd.DataFrame":
    """The columns that are features, as Postgres would hand them over. Raises EnvironmentRefused when one is missing."""
    import pandas as pd

    missing = [name for name in recipe["columns"] if name not in rows.columns]
    if missing:
        raise EnvironmentRefused(f"the model needs the column {missing[0]!r}, which these rows do not have")
    given = {
        name: _as_kind(rows[name], kind, recipe["types"][name], recipe["timezone"]) for name, kind in recipe["columns"].items()
    }
    return pd.DataFrame(given, index=rows.index)


def _as_kind(column: "pd.Series[Any]", kind: str, declared: str, timezone: str) -> Any:
    import pandas as pd

    if kind == "number":
        return pd.to_numeric(column, errors="raise").astype("float64")
    if kind in ("moment", "date"):  # on the wall clock of the pipeline's zone; without an offset they are that already
        moments = pd.to_datetime(column, format="ISO8601") if column.dtype == object or str(column.dtype) == "str" else column
        return moments.dt.tz_convert(timezone).dt.tz_localize(None) if getattr(moments.dtype, "tz", None) else moments
    if kind == "category" and declared == "bool":
        return column.map({True: "true", False: "false"}).astype("category")
    if kind == "category" and declared == "int":
        return column.astype("Int64").astype("string").astype("category")
    return column.astype("str") if kind == "text" else column.astype("str").astype("category")


def _load_pyfunc(path: str) -> Predictor:
    """MLflow's way in: `path` is the folder `data` of the export."""
    folder = Path(path)
    recipe = json.loads((folder / RECIPE).read_text(encoding="utf-8"))
    data = (folder / ARTIFACT).read_bytes()
    if hashlib.sha256(data).hexdigest() != recipe["sha256"]:
        raise EnvironmentRefused(f"the bytes of {recipe['label']} are not those that were exported (sha256 differs)")
    _refuse_other_versions(recipe)
    _refuse_other_code(recipe)
    from skops import io as skops

    foreign = sorted(set(skops.get_untrusted_types(data=data)) - set(recipe["trusted_types"]))
    if foreign:
        raise EnvironmentRefused(f"{recipe['label']} holds the type {foreign[0]}, which was not there when it was exported")
    model = skops.loads(data, trusted=recipe["trusted_types"])
    hook = _load_hook(folder.parent / "code" / HOOK, recipe) if recipe["hook"] else None
    return Predictor(model["all"] if isinstance(model, dict) else model, recipe, hook)


def _refuse_other_code(recipe: Mapping[str, Any]) -> None:
    """Python imports a module once: beside a model of another release, this one would be asked through that one's code."""
    for name, sha256 in recipe["code"].items():
        file = importlib.import_module(name).__file__
        if file is None or hashlib.sha256(Path(file).read_bytes()).hexdigest() != sha256:
            raise EnvironmentRefused(f"{recipe['label']} brought its own {name}, and another is imported in this process already",
                                     hint="a process of its own for each model")  # fmt: skip


def _load_hook(file: Path, recipe: Mapping[str, Any]) -> Callable[..., Any]:
    """By its place and not by its name, for each model brings one of that name."""
    if hashlib.sha256(file.read_bytes()).hexdigest() != recipe["hook_sha256"]:
        raise EnvironmentRefused(f"{file.name} is not the one that {recipe['label']} was made with")
    spec = importlib.util.spec_from_file_location(f"{file.stem}_{recipe['hook_sha256'][:12]}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, recipe["hook"])  # type: ignore[no-any-return]


def _refuse_other_versions(recipe: Mapping[str, Any]) -> None:
    here = {"python": ".".join(platform.python_version_tuple()[:2]), "scikit-learn": version("scikit-learn")}
    for name, found in here.items():
        asked = recipe["libraries"].get(name)
        if found != asked:
            raise EnvironmentRefused(f"{recipe['label']} was fitted under {name} {asked}, and this is {name} {found}",
                                     hint="pip install -r requirements.txt")  # fmt: skip
