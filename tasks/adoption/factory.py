"""An estimator as Python says it, for features.py, where pipeline.yaml cannot."""

import importlib
import inspect
import warnings
from dataclasses import dataclass, field
from typing import Any

from tasks.adoption.values import Const, Maker, Module, Said, Several, Value

MACHINE = frozenset({"n_jobs", "verbose", "thread_count", "nthread", "silent", "device", "gpu_id", "tree_method"})


@dataclass
class Model:
    """`path` is empty where none could be carried. `parts` come before it in features.py's factory; `columns` are those that a
    ColumnTransformer lists by kind, and `only` says that no others go in."""

    path: str = ""
    params: dict[str, Any] = field(default_factory=dict)
    search: dict[str, Any] = field(default_factory=dict)
    calibrate: str = ""
    task: str | None = None
    code: str = ""
    imports: set[str] = field(default_factory=set)
    kinds: dict[str, str] = field(default_factory=dict)
    only: bool = False
    dropped: list[str] = field(default_factory=list)
    parts: list[Maker] = field(default_factory=list)
    told: list[Said] = field(default_factory=list)

    def tell(self, kind: str, maker: Maker, what: str) -> None:
        self.told.append(Said(kind, maker.place, what))


class NoCode(Exception):
    """A part of the estimator cannot be written down."""


def class_of(maker: Maker) -> Any:
    """scikit-learn's own class of that name; the notebook may name it by an older path."""
    module, _, name = maker.path.rpartition(".")
    homes = [module, module.rpartition(".")[0], ".".join(module.split(".")[:2])]
    for home in homes:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = getattr(importlib.import_module(home), name, None)
        except ImportError:
            continue
        if inspect.isclass(found):
            return found
    return None


def as_code(model: Model, maker: Maker, *, wrapped: bool) -> None:
    """A factory for features.py: parts, then the estimator."""
    try:
        written = _write(model, maker)
        parts = [_write(model, part) for part in model.parts]
    except NoCode as why:
        model.tell("left", maker, f"{maker.name}: {why}; it stands with its defaults")
        model.params, model.code = {}, ""
        return
    if wrapped:
        model.imports.add("from sklearn.calibration import CalibratedClassifierCV")
        written = f"CalibratedClassifierCV({written})"
    if parts:
        model.imports.add("from sklearn.pipeline import make_pipeline")
        written = f"make_pipeline({', '.join([*parts, written])})"
    model.code, model.params = written, {}


def _write(model: Model, value: Value) -> str:
    """A value as Python says it."""
    match value:
        case Const(value=plain):
            return repr(plain)
        case Several(items=items):
            inner = ", ".join(_write(model, item) for item in items)
            return f"({inner})" if all(isinstance(item, Several) for item in items) is False and len(items) == 2 else f"[{inner}]"
        case Module(path=path) if path.partition(".")[0] == "numpy":
            model.imports.add("import numpy as np")
            return f"np.{path.partition('.')[2]}"
        case Maker() if value.path.partition(".")[0] == "sklearn":
            return _write_call(model, value)
        case Maker():
            raise NoCode(f"{value.name} is none of scikit-learn's")
    raise NoCode("a part of it cannot be told from the text")


def _write_call(model: Model, maker: Maker) -> str:
    found = class_of(maker)
    home = found.__module__ if found is not None else maker.path.rpartition(".")[0]
    public = [part for part in home.split(".") if not part.startswith("_")]
    model.imports.add(f"from {'.'.join(public[:2])} import {maker.name}")
    args = [_write(model, one) for one in maker.args]
    known = inspect.signature(found).parameters if found is not None else None
    for name, value in maker.keywords.items():
        if name in MACHINE:
            continue
        if known is not None and name not in known:
            model.tell("left", maker, f"{maker.name}({name}=…): there is no such argument here (any more)")
            continue
        args.append(f"{name}={_write(model, value)}")
    if known is not None and "random_state" in known and "random_state" not in maker.keywords:
        args.append("random_state=0")
    return f"{maker.name}({', '.join(args)})"
