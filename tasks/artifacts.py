"""The one door for skops: fitted models as bytes that are the same for the same model, and back again after four checks."""

import hashlib
import io
import json
import platform
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from threading import Lock
from typing import Any

from domain.errors import EnvironmentRefused
from infra.settings import Settings

ENCODER_FORM = "2"  # of tasks.encoding: raised whenever an encoder stored before could no longer be asked the same
GUARDED = ("python", "scikit-learn", "encoder")  # what must be equal to load; the others are recorded
_RECORDED = ("scikit-learn", "skops", "numpy", "scipy", "pandas")
_OWN_TYPES = frozenset({"tasks.encoding.ContractEncoder", "functools.partial"})
_LIBRARIES = ("sklearn", "numpy", "scipy")
_EPOCH = (1980, 1, 1, 0, 0, 0)
_found: dict[str, tuple[str, ...]] = {}  # by the sha256 of a model's bytes
_KEPT, _SMALL = 2, 16 << 20  # models: a champion and its challenger; and bytes of each, so that memory stays flat
_kept: dict[str, Any] = {}  # by the sha256 too, the one asked for last at the end
_keeping = Lock()
_MEMBER = re.compile(r"^(\d+)(\.\w+)$")


@dataclass(frozen=True, slots=True)
class Artifact:
    """A fitted model as it is stored, with what has to be true of it when it is loaded."""

    data: bytes
    sha256: str
    trusted_types: tuple[str, ...]


def libraries_here() -> dict[str, str]:
    """The versions that a model is fitted under; of Python, the two numbers that decide what runs."""
    python = ".".join(platform.python_version_tuple()[:2])
    return {"python": python, "encoder": ENCODER_FORM, **{name: _version(name) for name in _RECORDED}}


_version = cache(metadata.version)  # which reads and parses a file each time


def pack(model: Any) -> Artifact:
    """The model's bytes, their sha256, and the types beyond skops' own list that loading it will need."""
    from skops import io as skops

    data = _canonical(skops.dumps(model))
    sha256 = hashlib.sha256(data).hexdigest()
    return Artifact(data, sha256, _foreign_types(data, sha256))


def _foreign_types(data: bytes, sha256: str) -> tuple[str, ...]:
    """The types beyond skops' own list that these bytes name. Found once for the same bytes: it takes half as long as to load
    them, and the nights of a backfill are scored by the same model."""
    from skops import io as skops

    if sha256 not in _found:
        _found[sha256] = tuple(sorted(skops.get_untrusted_types(data=data)))
    return _found[sha256]


def unpack(
    data: bytes,
    *,
    sha256: str,
    trusted_types: Sequence[str],
    libraries: Mapping[str, str],
    settings: Settings,
    label: str,
    retrain: str,
) -> Any:
    """The model again. Raises EnvironmentRefused unless the bytes, the types and the library versions are the recorded
    ones, and the types are from packages that may be here at all; `label` names the model, `retrain` is what helps."""
    if hashlib.sha256(data).hexdigest() != sha256:
        raise EnvironmentRefused(f"the bytes of {label} are not those that were recorded (sha256 differs)", hint=retrain)
    _refuse_other_versions(libraries, label=label, retrain=retrain)
    try:
        needed = _foreign_types(data, sha256)
    except Exception as error:
        raise EnvironmentRefused(
            f"{label} is no skops artifact, and nothing else is loaded ({type(error).__name__})", hint=retrain
        ) from None
    foreign = [name for name in needed if name not in trusted_types or not _is_allowed(name, settings)]
    if foreign:
        raise EnvironmentRefused(f"{label} holds the type {foreign[0]}, which is not trusted", hint=retrain)
    return _load(data, sha256, needed)


def _load(data: bytes, sha256: str, trusted: Sequence[str]) -> Any:
    """Equal bytes are equal models, so the one that this process loaded last night serves tonight's scoring and training; whoever
    is given it asks it and changes nothing."""
    from skops import io as skops

    with _keeping:
        model = _kept.pop(sha256, None)
    if model is None:
        model = skops.loads(data, trusted=list(trusted))
    if len(data) <= _SMALL:
        with _keeping:
            _kept[sha256] = model
            for oldest in list(_kept)[:-_KEPT]:
                del _kept[oldest]
    return model


def _refuse_other_versions(libraries: Mapping[str, str], *, label: str, retrain: str) -> None:
    if other := other_versions(libraries):
        name = other[0]
        away = "" if name == "encoder" else f"; install {name} {libraries.get(name, 'as recorded')} again, or train anew"
        raise EnvironmentRefused(f"{label} {other[1]}{away}", hint=retrain)


def other_versions(libraries: Mapping[str, str]) -> tuple[str, str] | None:
    """The first guarded version that is another one here than was recorded, and that as the end of a sentence about the model;
    None when a model of these versions may be loaded."""
    here = libraries_here()
    for name in GUARDED:
        if name == "encoder" and libraries.get(name) != here[name]:
            return name, "was stored by another release of Overnight, so it has to be trained anew"
        if libraries.get(name) != here[name]:
            return name, f"was fitted under {name} {libraries.get(name, 'unknown')}, and this is {name} {here[name]}"
    return None


def _is_allowed(name: str, settings: Settings) -> bool:
    packages = {*_LIBRARIES, *(package.strip() for package in settings.estimators.split(","))}
    return name in _OWN_TYPES or name.partition(".")[0] in packages


def _canonical(data: bytes) -> bytes:
    """The same archive with what differs from process to process taken out: skops names objects by their memory address
    and members carry the time. Numbers are given anew in the order in which the schema mentions them."""
    with zipfile.ZipFile(io.BytesIO(data)) as given:
        members = {name: given.read(name) for name in given.namelist()}
    numbers: dict[int, int] = {}
    schema = _renumber(json.loads(members.pop("schema.json")), numbers)
    named = {_rename(name, numbers): content for name, content in members.items()}
    named["schema.json"] = json.dumps(schema, separators=(",", ":")).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as written:
        for name in sorted(named):
            written.writestr(zipfile.ZipInfo(name, _EPOCH), named[name])
    return buffer.getvalue()


def _renumber(node: Any, numbers: dict[int, int]) -> Any:
    if isinstance(node, list):
        return [_renumber(item, numbers) for item in node]
    if not isinstance(node, dict):
        return node
    renewed: dict[str, Any] = {}
    for key, value in node.items():
        if key == "__id__" and isinstance(value, int):
            renewed[key] = numbers.setdefault(value, len(numbers))
        elif key == "file" and isinstance(value, str):
            renewed[key] = _rename(value, numbers)
        else:
            renewed[key] = _renumber(value, numbers)
    return renewed


def _rename(member: str, numbers: dict[int, int]) -> str:
    match = _MEMBER.match(member)
    return f"{numbers.setdefault(int(match[1]), len(numbers))}{match[2]}" if match else member
