"""The first step of every stored model: a prepared frame into one matrix of numbers. Imports scikit-learn, so import it late."""

from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin

from domain.errors import EnvironmentRefused


class ContractEncoder(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Numbers pass, infinities become missing; each category becomes its place in the list seen when fitting.

    At most `max_categories` are kept for a column, the most frequent; the rest, unseen ones and nulls become missing,
    which every pipeline's estimator is built to take. Keeps plain lists only, so that the stored form names few types.
    """

    def __init__(self, max_categories: int = 254) -> None:
        self.max_categories = max_categories

    def fit(self, frame: pd.DataFrame, answers: Any = None) -> Self:  # noqa: ARG002  # scikit-learn calls it so
        self.columns_ = [str(name) for name in frame.columns]
        self.categories_ = {
            str(name): self._kept(frame[name])
            for name in frame.columns
            if isinstance(frame[name].dtype, pd.CategoricalDtype)
        }  # fmt: skip
        self.n_features_in_ = len(self.columns_)
        return self

    def _kept(self, column: pd.Series) -> list[str]:
        counts = column.value_counts()
        counts = counts[counts > 0]
        order = sorted(counts.index, key=lambda value: (-int(counts[value]), str(value)))
        return sorted(str(value) for value in order[: self.max_categories])

    @property
    def category_places(self) -> list[int]:
        """Which columns of the matrix hold categories."""
        return [place for place, name in enumerate(self.columns_) if name in self.categories_]

    def transform(self, frame: pd.DataFrame) -> "np.ndarray[Any, np.dtype[np.float64]]":
        missing = [name for name in self.columns_ if name not in frame.columns]
        if missing:
            raise EnvironmentRefused(f"the model needs the feature {missing[0]!r}, which these rows do not have")
        matrix = np.empty((len(frame), len(self.columns_)), dtype=np.float64)
        for place, name in enumerate(self.columns_):
            matrix[:, place] = self._codes(frame[name], name) if name in self.categories_ else _finite(frame[name])
        return matrix

    def _codes(self, column: pd.Series, name: str) -> "np.ndarray[Any, np.dtype[np.float64]]":
        kind = column if isinstance(column.dtype, pd.CategoricalDtype) else column.astype("str").astype("category")
        places = {value: float(place) for place, value in enumerate(self.categories_[name])}
        of_code = np.array([*(places.get(str(value), np.nan) for value in kind.cat.categories), np.nan])
        return of_code[kind.cat.codes.to_numpy()]

    def count_unseen(self, frame: pd.DataFrame) -> dict[str, int]:
        """For each column of categories, the rows whose value is there and was not kept when fitting."""
        return {
            name: int((np.isnan(self._codes(frame[name], name)) & frame[name].notna().to_numpy()).sum())
            for name in self.categories_
        }  # fmt: skip

    def get_feature_names_out(self, names: Any = None) -> "np.ndarray[Any, Any]":  # noqa: ARG002  # scikit-learn calls it so
        return np.array(self.columns_, dtype=object)


def _finite(column: pd.Series) -> "np.ndarray[Any, np.dtype[np.float64]]":
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    return values if np.isfinite(values.sum()) else np.where(np.isinf(values), np.nan, values)
