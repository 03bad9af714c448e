"""The estimator of a notebook as pipeline.yaml or features.py says it: its arguments, what stands before it, what it searches."""

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

from tasks.adoption.columns import ENCODERS, FILLERS, SCALERS
from tasks.adoption.factory import MACHINE, Model, as_code, class_of
from tasks.adoption.values import Const, Maker, Several, Value

_SEARCHES = frozenset(["GridSearchCV", "RandomizedSearchCV", "HalvingGridSearchCV", "HalvingRandomSearchCV"])
_CHAINS = frozenset(["Pipeline", "make_pipeline", "ImbPipeline"])
_TABLES = frozenset(["ColumnTransformer", "make_column_transformer"])
_WORDS = frozenset(["TfidfVectorizer", "CountVectorizer", "HashingVectorizer", "TfidfTransformer"])
_OURS = ENCODERS | SCALERS | FILLERS
_LIKE = {"n_estimators": "max_iter", "iterations": "max_iter", "num_boost_round": "max_iter", "learning_rate": "learning_rate",
         "eta": "learning_rate", "max_depth": "max_depth", "depth": "max_depth", "num_leaves": "max_leaf_nodes",
         "min_child_samples": "min_samples_leaf", "min_data_in_leaf": "min_samples_leaf", "reg_lambda": "l2_regularization",
         "l2_leaf_reg": "l2_regularization", "lambda_l2": "l2_regularization", "max_bin": "max_bins",
         "random_state": "random_state"}  # fmt: skip
_BOOSTERS = ("xgboost", "lightgbm", "catboost")
_YAML = (str, int, float, bool, type(None))


def understand(maker: Maker, before: list[Maker]) -> Model:
    """`before` are transformers that the whole table went through already."""
    model = Model(parts=[part for part in before if not _is_ours(part)])
    _estimator(model, maker)
    return model


def _is_ours(maker: Maker) -> bool:
    return maker.name in _OURS


def _estimator(model: Model, maker: Maker) -> None:
    name, top = maker.name, maker.path.partition(".")[0]
    inner = maker.args[0] if maker.args else maker.keywords.get("estimator", maker.keywords.get("base_estimator"))
    if name in _SEARCHES and isinstance(inner, Maker):
        _estimator(model, inner)
        _searched(model, maker)
    elif name in _CHAINS:
        _chain(model, maker)
    elif name == "CalibratedClassifierCV" and isinstance(inner, Maker):
        _estimator(model, inner)
        method = maker.keywords.get("method", Const("sigmoid"))
        model.calibrate = method.value if isinstance(method, Const) and method.value in ("sigmoid", "isotonic") else "sigmoid"
    elif name == "TransformedTargetRegressor" and isinstance(regressor := maker.keywords.get("regressor", inner), Maker):
        _estimator(model, regressor)
        model.tell("left", maker, "TransformedTargetRegressor: the model learns the number itself, not a function of it")
    elif top == "sklearn":
        _of_sklearn(model, maker)
    else:
        _of_others(model, maker)


def _chain(model: Model, maker: Maker) -> None:
    """A Pipeline: what comes before its last step, and that."""
    items = _steps(maker)
    for one in items[:-1]:
        if isinstance(one, Maker):
            _part(model, one)
    if items and isinstance(items[-1], Maker):
        _estimator(model, items[-1])
    else:
        model.tell("left", maker, "the last step of the Pipeline cannot be told from the text")


def _steps(maker: Maker) -> list[Value]:
    if maker.name == "make_pipeline":
        return list(maker.args)
    said = maker.args[0] if maker.args else maker.keywords.get("steps")
    pairs = said.items if isinstance(said, Several) else ()
    return [pair.items[1] for pair in pairs if isinstance(pair, Several) and len(pair.items) == 2]


def _part(model: Model, maker: Maker) -> None:
    if maker.name in _TABLES:
        _table(model, maker)
    elif maker.name in _CHAINS:
        for one in _steps(maker):
            if isinstance(one, Maker):
                _part(model, one)
    elif _is_ours(maker):
        model.tell("ours", maker, f"{maker.name}: here it is fitted on what a model learns from, where its estimator needs it")
    elif maker.path.startswith("imblearn"):
        model.tell("left", maker, f"{maker.name} makes up rows or leaves some out; for rare classes look at class_weight")
    else:
        model.parts.append(maker)


def _table(model: Model, maker: Maker) -> None:
    """A ColumnTransformer says which columns go in, and as what."""
    said = maker.args[0] if maker.args and maker.name == "ColumnTransformer" else maker.keywords.get("transformers")
    entries = said.items if isinstance(said, Several) else maker.args if maker.name == "make_column_transformer" else ()
    remainder = maker.keywords.get("remainder", Const("drop"))
    told = True
    for entry in entries:
        items = entry.items if isinstance(entry, Several) else ()
        transformer, named = (
            (items[1], items[2]) if len(items) == 3 else (items[0], items[1]) if len(items) == 2 else (None, None)
        )
        names = _names(named)
        if names is None:
            told = False
            continue
        _entry(model, maker, transformer, names)
    model.only = told and isinstance(remainder, Const) and remainder.value == "drop"
    if not told:
        model.tell(
            "left", maker, "which columns the ColumnTransformer takes cannot all be told; all go in, each as what it holds"
        )


def _names(value: Value | None) -> list[str] | None:
    if isinstance(value, Const) and isinstance(value.value, str):
        return [value.value]
    if isinstance(value, Const) and isinstance(value.value, list) and all(isinstance(one, str) for one in value.value):
        return list(value.value)
    return None


def _entry(model: Model, maker: Maker, transformer: Value | None, names: list[str]) -> None:
    if isinstance(transformer, Const) and transformer.value == "drop":
        model.dropped += names
        return
    inside = _all_in(transformer)
    kind = (
        "text" if inside & _WORDS else "categorical" if inside & ENCODERS else "numeric" if inside & (SCALERS | FILLERS) else ""
    )
    model.kinds |= dict.fromkeys(names, kind)
    other = sorted(inside - _OURS - _WORDS)
    if other:
        model.tell("left", maker, f"{', '.join(other)} of {', '.join(names[:4])}{' …' if len(names) > 4 else ''}: the "
                   f"columns go in as they "
                   "are; what looks at one row at a time can stand in features.py")  # fmt: skip


def _all_in(value: Value | None) -> set[str]:
    """Names of all transformers in a chain."""
    if isinstance(value, Maker) and value.name in _CHAINS:
        return {name for one in _steps(value) for name in _all_in(one)}
    return {value.name} if isinstance(value, Maker) else set()


def _of_sklearn(model: Model, maker: Maker) -> None:
    from sklearn.base import is_classifier, is_regressor

    found = class_of(maker)
    if found is None:
        model.tell("left", maker, f"scikit-learn has no {maker.name} here (any more)")
        return
    params, written = _params(model, maker, found)
    try:
        made = found(**params) if written is None else None
    except Exception:
        made = None
    probe = made if made is not None else found
    classifier = is_classifier(made) if made is not None else "Classifier" in maker.name or hasattr(found, "predict_proba")
    regressor = is_regressor(made) if made is not None else "Regressor" in maker.name
    if not classifier and not regressor:
        model.tell("left", maker, f"{maker.name} predicts nothing that has an answer, so it is no model of a night")
        return
    model.task = "classification" if classifier else "regression"
    model.path, model.params = _path(maker), params
    if written is not None:
        as_code(model, maker, wrapped=False)
    elif classifier and not hasattr(probe, "predict_proba"):
        model.tell(
            "ours", maker, f"{maker.name} gives no probabilities, which readers are shown: it stands in a CalibratedClassifierCV"
        )
        as_code(model, maker, wrapped=True)
    elif model.parts:
        as_code(model, maker, wrapped=False)


def _path(maker: Maker) -> str:
    """The path by which pipeline.yaml names it: two words and the class."""
    return ".".join([*maker.path.split(".")[:2], maker.name])


def _params(model: Model, maker: Maker, found: Any) -> tuple[dict[str, Any], str | None]:
    """(arguments that YAML can say, the first that only code can)."""
    known = list(inspect.signature(found).parameters)
    given = dict(zip(known, maker.args, strict=False)) | maker.keywords
    params: dict[str, Any] = {}
    code: str | None = None
    for name, value in given.items():
        if name in MACHINE:
            continue
        if name not in known:
            model.tell("left", maker, f"{maker.name}({name}=…): there is no such argument here (any more)")
        elif isinstance(value, Const) and _is_yaml(value.value):
            params[name] = _listed(value.value)
        elif isinstance(value, Maker | Several | Const):
            code = code or name
        else:
            model.tell("left", maker, f"{maker.name}({name}=…): what it is cannot be told from the text; the default stands")
    if code is None:
        params = _accepted(model, maker, found, params)
    return params, code


def _is_yaml(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(_is_yaml(one) for one in value)
    if isinstance(value, dict):
        return all(isinstance(key, _YAML) and _is_yaml(one) for key, one in value.items())
    return isinstance(value, _YAML)


def _listed(value: Any) -> Any:
    return [_listed(one) for one in value] if isinstance(value, list | tuple) else value


def _accepted(model: Model, maker: Maker, found: Any, params: dict[str, Any]) -> dict[str, Any]:
    """Without the values that this release of scikit-learn refuses, such as max_features='auto'."""
    from sklearn.utils._param_validation import InvalidParameterError

    kept = dict(params)
    for name in params:
        try:
            found(
                **{name: params[name], **{key: value for key, value in kept.items() if key in _required(found)}}
            )._validate_params()
        except InvalidParameterError:
            model.tell("left", maker, f"{maker.name}({name}={params[name]!r}): this scikit-learn refuses it; the default stands")
            del kept[name]
        except (AttributeError, TypeError):
            continue
    return kept


def _required(found: Any) -> set[str]:
    return {name for name, one in inspect.signature(found).parameters.items() if one.default is inspect.Parameter.empty}


def _searched(model: Model, maker: Maker) -> None:
    """A grid of arguments becomes `model.search`, where the estimator is one that YAML names."""
    said = maker.args[1] if len(maker.args) > 1 else maker.keywords.get("param_grid", maker.keywords.get("param_distributions"))
    grid = _grid(said)
    if not grid or model.code or not model.path:
        model.tell(
            "left", maker, f"{maker.name}: what it searches cannot be said by model.search; the arguments stand as they are"
        )
        return
    known = inspect.signature(_found(model.path)).parameters
    kept = {name.rpartition("__")[2]: values for name, values in grid.items() if name.rpartition("__")[2] in known}
    kept = {name: values for name, values in kept.items() if len(values) > 1}
    if kept:
        model.search = {"params": kept}
        model.params = {name: value for name, value in model.params.items() if name not in kept}
        model.tell("carried", maker, f"{maker.name} became model.search over {', '.join(kept)}")


def _found(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def _grid(value: Value | None) -> Mapping[str, list[Any]]:
    if isinstance(value, Const) and isinstance(value.value, dict):
        return {str(key): _listed(many) for key, many in value.value.items() if isinstance(many, list | tuple) and _is_yaml(many)}
    if isinstance(value, Several):
        found: dict[str, list[Any]] = {}
        for pair in value.items:
            if isinstance(pair, Several) and len(pair.items) == 2 and isinstance(pair.items[0], Const):
                many = pair.items[1]
                if isinstance(many, Const) and isinstance(many.value, list | tuple) and _is_yaml(many.value):
                    found[str(pair.items[0].value)] = _listed(many.value)
        return found
    return {}


def _of_others(model: Model, maker: Maker) -> None:
    """Boosters of other packages have a near relative here; the others are told."""
    top, name = maker.path.partition(".")[0], maker.name
    if top in _BOOSTERS and name.endswith(("Classifier", "Regressor")):
        task = "Classifier" if name.endswith("Classifier") else "Regressor"
        model.path, model.task = (
            f"sklearn.ensemble.HistGradientBoosting{task}",
            "classification" if task == "Classifier" else "regression",
        )
        model.params = {
            _LIKE[key]: value.value for key, value in maker.keywords.items() if key in _LIKE and isinstance(value, Const)
        }  # fmt: skip
        model.params = _accepted(model, maker, _found(model.path), model.params)
        said = ", ".join(f"{key} {value}" for key, value in model.params.items())
        model.tell("left", maker, f"{name} is {top}'s, and models here are scikit-learn's: HistGradientBoosting{task} "
                   f"stands for it"
                   + (f", with {said}" if said else ""))  # fmt: skip
        return
    model.tell(
        "left", maker, f"{name} is {_whose(top)}, and models here are scikit-learn's: the one that suits the table stands instead"
    )


def _whose(top: str) -> str:
    known = {
        "keras": "Keras'",
        "tensorflow": "Keras'",
        "torch": "PyTorch's",
        "statsmodels": "statsmodels'",
        "prophet": "Prophet's",
    }
    return known.get(top, f"{top}'s" if top and top[0].islower() else "a class of the notebook's own")
