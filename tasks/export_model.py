"""`export-model`: a stored model as a folder that MLflow loads, without MLflow. Its bytes are written as they are kept; nothing
is loaded or executed here.

The folder follows MLflow's model format (mlflow.org/docs/latest/ml/model): MLmodel names a python_function whose loader is
`tasks.portable`, which travels in `code` with what it needs.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import yaml

from deployments.catalogue import Definition, load_definition
from domain.errors import EnvironmentRefused, Refused, UsageError
from domain.pipeline import Pipeline
from infra.settings import Settings
from store.engine import transaction
from store.models import ModelVersion, find_version, load_artifact, newest_champion
from store.schema import model as models
from tasks.context import writer_engine
from tasks.features import hook_hash
from tasks.portable import ARTIFACT, HOOK, RECIPE

TRAVELS = (
    "domain/__init__.py",
    "domain/errors.py",
    "tasks/__init__.py",
    "tasks/portable.py",
    "tasks/preparing.py",
    "tasks/encoding.py",
)
CHECKED = ("tasks.preparing", "tasks.encoding")  # what decides how rows become numbers
HERE = Path(__file__).parents[1]
_NEEDED = ("numpy", "pandas", "scikit-learn", "scipy", "skops")


@dataclass(frozen=True, slots=True)
class ExportedModel:
    """What was written: the folder, and each file's sha256 by its place in it."""

    path: Path
    version: int
    sha256: str
    files: Mapping[str, str]


def export_model(settings: Settings, name: str, folder: Path, *, number: int | None = None) -> ExportedModel:
    """Writes a version, the newest champion unless one is named, into a folder that must not hold anything yet.

    Raises UsageError for what does not exist, Refused for a folder in use, EnvironmentRefused when the stored bytes or the
    hook are not the recorded ones.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Refused(f"{folder} holds something already", hint="another folder after --to")
    definition = load_definition(settings.deployments, name)
    with transaction(writer_engine(settings)) as connection:
        which = _find(connection, name, number)
        data = load_artifact(connection, which.id)
        card, made = connection.execute(sa.select(models.c.card, models.c.created_at).where(models.c.id == which.id)).one()
    if hashlib.sha256(data).hexdigest() != which.sha256:
        raise EnvironmentRefused(f"the bytes of {_label(which)} are not those that were recorded (sha256 differs)")
    files = {
        **_code(definition, which), f"data/{ARTIFACT}": data, f"data/{RECIPE}": _json(_recipe(definition.pipeline, which)),
        "data/card.json": _json(card), **_environment(which),
    }  # fmt: skip
    files["MLmodel"] = _mlmodel(definition.pipeline, which, made=made, size=sum(map(len, files.values()))).encode()
    _write(folder, files)
    return ExportedModel(folder, which.version, which.sha256, {at: hashlib.sha256(files[at]).hexdigest() for at in sorted(files)})


def _find(connection: sa.Connection, name: str, number: int | None) -> ModelVersion:
    found = find_version(connection, name, number) if number is not None else newest_champion(connection, name)
    if found is None:
        what = f"there is no version {number} of it" if number is not None else "no version of it was ever champion"
        raise UsageError(what, where=name, hint=f"overnight models {name}")
    return found


def _label(which: ModelVersion) -> str:
    return f"version {which.version} of {which.pipeline}"


def _code(definition: Definition, which: ModelVersion) -> dict[str, bytes]:
    """The loader and what it needs; the user's hook too, when it is the one that the model was made with."""
    files = {f"code/{place}": (HERE / place).read_bytes() for place in TRAVELS}
    if which.params.get("hook"):
        named = definition.pipeline.features.hook
        if named is None or which.params["hook"] != hook_hash(definition):
            what = f"{_label(which)} was made with another {named or 'features.py'}"
            raise EnvironmentRefused(what, hint="check out the commit that it was made with")
        files[f"code/{HOOK}"] = (definition.folder / named.partition(":")[0]).read_bytes()
    return files


def _recipe(pipeline: Pipeline, which: ModelVersion) -> dict[str, Any]:
    """What the loader has to know of the rows, the question, and what it may load."""
    target, named = which.params["target"], pipeline.features.hook
    return {
        "label": _label(which), "sha256": which.sha256, "task": target["task"],
        "rule": target.get("as"), "columns": which.params["columns"], "types": _types(pipeline, which),
        "timezone": str(pipeline.interval.timezone), "trusted_types": list(which.trusted_types),
        "libraries": dict(which.libraries), "hook": named.partition(":")[2] if named and which.params.get("hook") else "",
        "hook_sha256": which.params.get("hook") or "",
        "code": {name: hashlib.sha256((HERE / f"{name.replace('.', '/')}.py").read_bytes()).hexdigest() for name in CHECKED},
    }  # fmt: skip


def _types(pipeline: Pipeline, which: ModelVersion) -> dict[str, str]:
    gone = [name for name in which.params["columns"] if name not in pipeline.columns]
    if gone:
        what = f"{_label(which)} needs the column {gone[0]!r}, which the contract no longer has"
        raise EnvironmentRefused(what, hint=f"overnight models {which.pipeline}")
    return {name: pipeline.columns[name].type for name in which.params["columns"]}


def _environment(which: ModelVersion) -> dict[str, bytes]:
    """The recorded versions, in the three forms that MLflow reads."""
    pins = [f"{name}=={which.libraries[name]}" for name in _NEEDED if name in which.libraries]
    python = which.libraries["python"]
    needed = [f"python={python}", "pip", {"pip": ["mlflow-skinny", *pins]}]
    conda = {"name": "mlflow-env", "channels": ["conda-forge"], "dependencies": needed}
    virtual = {"python": python, "build_dependencies": ["pip"], "dependencies": ["-r requirements.txt"]}
    return {
        "requirements.txt": "\n".join(["mlflow-skinny", *pins, ""]).encode(),
        "conda.yaml": yaml.safe_dump(conda, sort_keys=False).encode(),
        "python_env.yaml": yaml.safe_dump(virtual, sort_keys=False).encode(),
    }


def _mlmodel(pipeline: Pipeline, which: ModelVersion, *, made: Any, size: int) -> str:
    document = {
        "flavors": {"python_function": {
            "code": "code", "data": "data", "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
            "loader_module": "tasks.portable", "python_version": which.libraries["python"],
        }},
        "metadata": {"overnight": {
            "pipeline": which.pipeline, "version": which.version, "title": pipeline.title, "sha256": which.sha256,
            "trained_until": which.trained_until.isoformat(), "fingerprint": which.fingerprint,
        }},
        "model_size_bytes": size, "model_uuid": which.sha256[:32],
        "signature": _signature(which), "utc_time_created": f"{made:%Y-%m-%d %H:%M:%S.%f}",
    }  # fmt: skip
    return yaml.safe_dump(document, sort_keys=True)


def _signature(which: ModelVersion) -> dict[str, Any]:
    """Names are what is checked. Types are left open, for pandas has several for one column of a contract, and the loader reads
    them all; the outputs are what Overnight publishes."""
    task, rule = which.params["target"]["task"], which.params["target"].get("as")
    inputs = [{"type": "any", "name": name, "required": True} for name in which.params["columns"]]
    said = "double" if task == "regression" else "boolean" if rule else "string"
    outputs = [{"type": said, "name": "prediction", "required": True}]
    if task != "regression":
        outputs.append({"type": "double", "name": "probability", "required": True})
    return {"inputs": json.dumps(inputs), "outputs": json.dumps(outputs), "params": None}


def _json(content: Any) -> bytes:
    return (json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Beside its name first and moved there whole, so that nobody finds half a model."""
    half = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        for place, content in files.items():
            path = half / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        with suppress(FileNotFoundError):
            folder.rmdir()
        half.rename(folder)
    except OSError as error:
        raise Refused(f"{folder} cannot be written ({error.strerror or error})", hint="another folder after --to") from None
    finally:
        shutil.rmtree(half, ignore_errors=True)
