"""The catalogue: finds the pipelines' folders, reads them strictly, and says what is wrong in one sentence."""

import difflib
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from deployments.yaml import line_of, read_yaml
from domain.errors import DefinitionError
from domain.fingerprint import fingerprint
from domain.pipeline import Pipeline


@dataclass(frozen=True)
class Definition:
    """One pipeline's folder, read. `expectations` are the lines of expectations.yaml as written; the validation
    stage alone knows what they mean."""

    pipeline: Pipeline
    folder: Path
    expectations: tuple[dict[str, Any], ...]

    @cached_property
    def suite_hash(self) -> str:
        return fingerprint(self.expectations)

    @cached_property
    def code_hash(self) -> str:
        """Of the pipeline's own Python files."""
        return fingerprint_files(self.folder.glob("*.py"))


def fingerprint_files(paths: Iterable[Path]) -> str:
    """A fingerprint of the names and bytes of small files."""
    return fingerprint([(path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in sorted(paths)])


def pipeline_names(folder: Path) -> list[str]:
    """The pipelines that a deployments folder holds."""
    return sorted(path.parent.name for path in folder.glob("*/pipeline.yaml"))


def load_definition(folder: Path, name: str) -> Definition:
    """Reads `folder/name`; raises DefinitionError that names the file, the line and the nearest known word."""
    here = folder / name
    if not (here / "pipeline.yaml").is_file():
        known = pipeline_names(folder)
        near = difflib.get_close_matches(name, known, n=1)
        instead = f"; did you mean {near[0]}?" if near else f", only {', '.join(known)}" if known else ", and no other"
        raise DefinitionError(
            f"there is no pipeline {name!r} in {folder}{instead}",
            hint="overnight status" if known else f"overnight new {name} --from FILE",
        )
    path = here / "pipeline.yaml"
    pipeline = _parse(path, read_yaml(path))
    if pipeline.name != name:
        raise DefinitionError(f"the folder is called {name} and the pipeline {pipeline.name}; make them agree", where=str(path))
    return Definition(pipeline, here, _read_expectations(here / "expectations.yaml"))


def fault_of(folder: Path, name: str) -> DefinitionError | None:
    """What is wrong with the files of a pipeline, None for nothing."""
    try:
        load_definition(folder, name)
    except DefinitionError as error:
        return error
    return None


def _read_expectations(path: Path) -> tuple[dict[str, Any], ...]:
    document = read_yaml(path) if path.exists() else []
    if not isinstance(document, list) or not all(isinstance(line, dict) and "expect" in line for line in document):
        raise DefinitionError("this is not a list of {expect: …} lines", where=str(path))
    return tuple(document)


def _parse(path: Path, document: Any) -> Pipeline:
    if not isinstance(document, dict):
        raise DefinitionError("this is not a list of key: value pairs", where=str(path))
    try:
        return Pipeline.model_validate(document)
    except ValidationError as error:
        first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
        location = tuple(step for step in first["loc"] if not isinstance(step, str) or not step.startswith("function-"))
        where = f"{path}:{line_of(path, location)}"
        raise DefinitionError(
            _sentence(first["type"], first["msg"], location), where=where, hint=f"overnight check {path.parent.name}"
        ) from None


def _sentence(kind: str, message: str, location: Sequence[str | int]) -> str:
    place = ".".join(map(str, location))
    if kind == "extra_forbidden":
        known = _known_keys(location[:-1])
        near = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.4)
        return f"unknown key {place!r}; " + (f"did you mean {near[0]!r}?" if near else f"known here are {', '.join(known)}")
    if kind == "missing":
        return f"the key {place!r} is missing"
    text = message.removeprefix("Value error, ")
    return f"{place}: {text[0].lower()}{text[1:]}" if place else text


def _known_keys(location: Sequence[str | int]) -> list[str]:
    """The keys that may stand at a place of pipeline.yaml."""
    model: Any = Pipeline
    for step in location:
        if get_origin(model) is Mapping:
            model = get_args(model)[1]
        else:
            fields = model.model_fields if _is_model(model) else {}
            model = next((field.annotation for name, field in fields.items() if step in (name, field.alias)), None)
        model = next((one for one in get_args(model) if _is_model(one)), model) if get_origin(model) is not Mapping else model
    return [field.alias or name for name, field in model.model_fields.items()] if _is_model(model) else []


def _is_model(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
