"""Reads, from what `publish` has left in the ledger, how a night's predictions differ from the last published night's."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from domain.pipeline import Pipeline
from web.answers import HoldLimit, Moved, NightDiff, Shape
from web.schemas import Stage

MOVES, COLUMNS = 10, 60


def read_diff(pipeline: Pipeline, stages: Sequence[Stage]) -> NightDiff | None:
    """The comparison that the run's publish stage has made (`domain.diff.Diff`); None when it compared nothing."""
    found = next((one.detail.get("diff") for one in stages if one.stage == "publish"), None)
    if not isinstance(found, Mapping) or "against" not in found:
        return None
    same = {name: found.get(name) for name in NightDiff.model_fields if name not in ("limits", "moves", "columns")}
    rest = {
        "moves": [_moved(pipeline, one) for one in found.get("moves") or []][:MOVES],
        "columns": [_shape(name, one) for name, one in (found.get("columns") or {}).items()][:COLUMNS],
        "limits": read_limits(pipeline, found),
    }  # fmt: skip
    try:
        return NightDiff.model_validate({**same, **rest})
    except ValidationError:  # as another release has written it; the stage's detail in the API has it whole
        return None


def read_limits(pipeline: Pipeline, found: Mapping[str, Any]) -> list[HoldLimit]:
    """The pipeline's limits as they are now, beside the figures of that night."""
    limits, before = pipeline.publish.hold_if, found.get("rows_before") or 0
    change = abs((found.get("rows") or 0) - before) / before if before else None
    pairs = [("rows_change", limits.rows_change, change), ("flips", limits.flips, found.get("flipped")),
             ("psi", limits.psi, found.get("psi"))]  # fmt: skip
    return [
        HoldLimit(name=name, limit=limit, found=value, passed=limit is None or value is None or value <= limit)
        for name, limit, value in pairs
    ]


def _moved(pipeline: Pipeline, line: Mapping[str, Any]) -> Moved:
    return Moved(key={name: line.get(name) for name in pipeline.key}, before=line.get("before"), after=line.get("after"))


def _shape(name: str, one: Mapping[str, Any]) -> Shape:
    then, now = one.get("before") or {}, one.get("after") or {}
    return Shape(
        column=name, empty_before=then.get("null_share"), empty=now.get("null_share"), mean_before=then.get("mean"),
        mean=now.get("mean"),
    )  # fmt: skip
