"""The short form of what a model learned from, and the count of a night's rows into the same bins.

Numbers fall into tenths of the window, categories into their twenty most frequent values; missing values are counted apart.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from domain.drift import jensen_shannon, stability_index
from domain.words import Task
from store.drift import Drift
from tasks.predictions import Said

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Array = np.ndarray[Any, Any]

LOOKED_AT = 100_000  # rows of a night, evenly spread, that are counted
TENTHS, VALUES = 10, 20
PREDICTION = "prediction"
PROBABILITIES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)  # tenths of 0 to 1: a sharper model is no drift
CALENDAR = (" weekday", " month", " day")  # parts of a moment that differ from night to night by nature, so nobody watches them


def write_profile(frame: "pd.DataFrame", said: Said) -> dict[str, Any]:
    """Bins and shares of each prepared feature over the window, and of what was said of the held-out rows."""
    watched = [str(name) for name in frame.columns if not str(name).endswith(CALENDAR)]
    features = {name: _profile_of(frame[name]) for name in watched}
    return {
        "rows": len(frame),
        "features": features,
        PREDICTION: _profile_of(_spoken(said), edges=PROBABILITIES if said.is_yes_no else None),
    }


def _spoken(said: Said) -> "pd.Series[Any]":
    """What is watched of predictions: the probability of true, the number, or the class."""
    import numpy as np
    import pandas as pd

    if said.task is Task.CLASSIFICATION and not said.is_yes_no:
        return pd.Series(np.asarray(said.classes, dtype=object)[said.values.argmax(axis=1)]).astype("category")
    return pd.Series(said.values)


def _watched(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """A text is watched by its length."""
    import pandas as pd

    if pd.api.types.is_string_dtype(column.dtype) and not isinstance(column.dtype, pd.CategoricalDtype):
        return column.str.len().astype("float64")
    return column


def _profile_of(column: "pd.Series[Any]", *, edges: Sequence[float] | None = None) -> dict[str, Any]:
    import numpy as np
    import pandas as pd

    column = _watched(column)

    if isinstance(column.dtype, pd.CategoricalDtype):
        values = sorted(str(value) for value in column.value_counts().head(VALUES).index)
        bins: dict[str, Any] = {"values": values}
    elif edges is not None:
        bins = {"edges": list(edges)}
    else:
        known = column.to_numpy(dtype=np.float64)
        known = known[np.isfinite(known)]
        cuts = np.unique(np.quantile(known, np.linspace(0, 1, TENTHS + 1)[1:-1])) if len(known) else np.array([])
        bins = {"edges": cuts.tolist()}
    counts = _count(column, bins)
    total = max(1, int(counts.sum()))
    missing = 1 - total / max(1, len(column)) if counts.sum() else 1.0
    return {**bins, "shares": (counts / total).tolist(), "missing": missing}


def _count(column: "pd.Series[Any]", bins: Mapping[str, Any]) -> "Array":
    """Rows in each bin; the last one of a category's holds all other values."""
    import numpy as np
    import pandas as pd

    if "edges" in bins:
        column = _watched(column)
        numbers = column.to_numpy(dtype=np.float64)
        numbers = numbers[np.isfinite(numbers)]
        places = np.searchsorted(np.asarray(bins["edges"], dtype=np.float64), numbers, side="left")
        return np.bincount(places, minlength=len(bins["edges"]) + 1)
    given = column if isinstance(column.dtype, pd.CategoricalDtype) else column.astype("str").astype("category")
    known = {value: place for place, value in enumerate(bins["values"])}
    place_of = np.array([known.get(str(value), len(known)) for value in given.cat.categories], dtype=np.int64)
    codes = given.cat.codes.to_numpy()
    return np.bincount(place_of[codes[codes >= 0]], minlength=len(known) + 1)


@dataclass(slots=True)
class Watch:
    """Counts a night, chunk by chunk, into the bins of a profile; looks at every `step`-th row."""

    profile: Mapping[str, Any]
    step: int = 1
    rows: int = 0
    counts: dict[str, "Array"] = field(default_factory=dict)

    def see(self, frame: "pd.DataFrame", predicted: "Array") -> None:
        """`predicted` is what readers are shown: the probability of true, the number, or the class."""
        import pandas as pd

        seen = frame.iloc[:: self.step]
        self.rows += len(seen)
        for name, bins in self.profile["features"].items():
            self._add(name, _count(seen[name], bins))
        self._add("", _count(pd.Series(predicted[:: self.step]), self.profile[PREDICTION]))

    def join(self, other: "Watch") -> None:
        """Takes over what another one has counted."""
        self.rows += other.rows
        for name, counts in other.counts.items():
            self._add(name, counts)

    def _add(self, name: str, counts: "Array") -> None:
        self.counts[name] = self.counts[name] + counts if name in self.counts else counts

    def drifts(self) -> Sequence[Drift]:
        """One line for each feature and one for the predictions; none when no row was seen."""
        if not self.rows:
            return []
        features = self.profile["features"].items()
        return [
            self._line("prediction", PREDICTION, self.profile[PREDICTION], self.counts[""]),
            *(self._line("feature", name, bins, self.counts[name]) for name, bins in features),
        ]

    def _line(self, kind: Any, name: str, bins: Mapping[str, Any], counts: "Array") -> Drift:
        seen = int(counts.sum())
        now = (counts / max(1, seen)).tolist()
        psi, distance = (stability_index(bins["shares"], now), jensen_shannon(bins["shares"], now)) if seen else (0.0, 0.0)
        return Drift(
            kind, name, round(psi, 6), round(distance, 6), round(1 - seen / self.rows, 6), round(bins["missing"], 6), self.rows
        )
