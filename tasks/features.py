"""From the contract's columns to what an estimator learns from: which columns, and the user's own hook."""

import hashlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from deployments.catalogue import Definition
from domain.errors import DefinitionError
from domain.pipeline import Pipeline
from tasks.frames import Kind
from tasks.preparing import Hook

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
