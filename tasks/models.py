"""Stored models, ready to be asked: loaded through skops under all its checks, with the features they were made for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from domain.errors import EnvironmentRefused
from domain.pipeline import Pipeline
from store.models import ModelVersion
from tasks.artifacts import unpack
from tasks.context import Night
from tasks.features import hook_hash, load_hook
from tasks.folds import STRANGE, UNKNOWN, Folds
from tasks.frames import Kind
from tasks.preparing import Hook, prepare

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Loaded:
    """`columns` are what has to be read for it, by kind. `twins` holds one model for each fold, by its number, where the
    model keeps out of each row's prediction what it learned from the row; None where no model was free of that."""

    version: ModelVersion
    estimator: Any
    columns: Mapping[str, Kind]
    hook: Hook | None
    folds: Folds | None = None
    twins: Sequence[Any] = ()

    @property
    def by_place(self) -> Mapping[int, Any]:
        """Which model speaks of the rows of each place."""
        twins = {fold: self.estimator if twin is None else twin for fold, twin in enumerate(self.twins)}
        return {STRANGE: self.estimator, UNKNOWN: self.estimator, **twins}

    def counted(self, place: "Array") -> "Array":
        """True for the rows that a model spoke of which knows neither them nor what came after them."""
        import numpy as np

        assert self.folds is not None
        blind = [fold for fold, twin in enumerate(self.twins) if twin is None]
        return self.folds.counted(place) & ~np.isin(place, blind)

    def prepare(self, rows: "pd.DataFrame") -> "pd.DataFrame":
        return prepare(rows, self.columns, self.hook)


def same_question(version: ModelVersion, pipeline: Pipeline) -> bool:
    """Whether a version predicts what pipeline.yaml asks for today."""
    return bool(version.params.get("target") == pipeline.target.model_dump(mode="json", by_alias=True))


def read_model(night: Night, version: ModelVersion, artifact: bytes) -> Loaded:
    """Raises EnvironmentRefused when the bytes, types, versions, columns or features.py are not the recorded ones."""
    pipeline = night.pipeline
    label = f"version {version.version} of {pipeline.name}"
    retrain = f"overnight run {pipeline.name} --interval {pipeline.calendar.label(night.interval)} --retrain"
    columns: dict[str, Kind] = version.params["columns"]
    gone = [name for name in columns if name not in pipeline.columns]
    if gone:
        raise EnvironmentRefused(f"{label} needs the column {gone[0]!r}, which the contract no longer has", hint=retrain)
    if version.params["hook"] and version.params["hook"] != hook_hash(night.definition):
        raise EnvironmentRefused(f"{label} was made with another {pipeline.features.hook or 'features.py'}", hint=retrain)
    estimator = unpack(
        artifact, sha256=version.sha256, trusted_types=version.trusted_types, libraries=version.libraries,
        settings=night.settings, label=label, retrain=retrain,
    )  # fmt: skip
    hook, folds = load_hook(night.definition) if version.params["hook"] else None, Folds.from_json(version.params.get("folds"))
    if folds is None:
        return Loaded(version, estimator, columns, hook)
    return Loaded(version, estimator["all"], columns, hook, folds.of(version.batches), estimator["twins"])
