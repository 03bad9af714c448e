"""What stands beside each night of a pipeline's strip: rows against the usual, quality, drift, and who became champion."""

from collections.abc import Sequence
from datetime import datetime
from statistics import median

from domain.drift import is_shift
from domain.pipeline import Pipeline
from store.reads.connection import Connection
from store.reads.verdicts import drift_between
from web.answers import DriftFigure
from web.schemas import Figure, Move, Night

UNUSUAL = 0.3  # rows that differ from the usual by more are pointed at
FEATURES = 12


def read_drift(connection: Connection, pipeline: Pipeline, *, first: datetime, last: datetime) -> list[DriftFigure]:
    calendar = pipeline.calendar
    return [
        DriftFigure.model_validate({**line, "night": calendar.label(calendar.containing(line["interval_start"]))})
        for line in drift_between(connection, pipeline.name, first=first, last=last)
    ]


def mark_nights(
    nights: Sequence[Night], *, figures: Sequence[Figure], drift: Sequence[DriftFigure], moves: Sequence[Move], metric: str
) -> list[Night]:
    """The same nights with what is known of each beside its state."""
    usual = median([one.rows for one in nights if one.rows and is_seen(one)] or [0])
    quality = {one.night: one.value for one in figures if one.metric == metric}
    said = {one.night: one.psi for one in drift if one.kind == "prediction"}
    shifted: dict[str, list[str]] = {}
    for one in drift:
        if one.kind == "feature" and is_shift(one.psi, rows=one.rows):
            shifted.setdefault(one.night, []).append(one.feature)
    crowned = {one.night: one.version for one in reversed(moves) if one.alias == "champion"}
    return [
        one.model_copy(update={
            "rows_change": (one.rows - usual) / usual if one.rows is not None and usual else None,
            "quality": quality.get(one.night), "drift": said.get(one.night), "shifted": shifted.get(one.night, []),
            "champion": crowned.get(one.night),
        })
        for one in nights
    ]  # fmt: skip


def is_seen(night: Night) -> bool:
    """Whether readers see its rows, be it only to learn from."""
    return night.published_at is not None or night.state == "learning"


def most_drifted(drift: Sequence[DriftFigure]) -> list[tuple[str, list[DriftFigure]]]:
    """The predictions first, then the features by what they last were, the largest first, no more than fit a page."""
    by_name: dict[tuple[str, str], list[DriftFigure]] = {}
    for one in drift:
        by_name.setdefault((one.kind, one.feature), []).append(one)
    features = [(name, lines) for (kind, name), lines in by_name.items() if kind == "feature"]
    features.sort(key=lambda pair: -pair[1][-1].psi)
    said = [("what was predicted", lines) for (kind, _), lines in by_name.items() if kind == "prediction"]
    return said + features[:FEATURES]
