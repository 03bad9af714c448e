"""The first step of every stored model: a prepared frame into one matrix of numbers. Imports scikit-learn, so import it late."""

from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin

from domain.errors import EnvironmentRefused


class ContractEncoder(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """Numbers pass, infinities become missing; each category becomes its place in the list seen when fitting.

    Texts become at most `text_parts` numbers each: the strongest directions of their words' weights (latent semantic analysis).
    At most `max_categories` are kept for a column, the most frequent; the rest, unseen ones and nulls become missing,
    which every pipeline's estimator is built to take. Keeps plain lists only, so that the stored form names few types.
    """

    def __init__(self, max_categories: int = 10_000, text_parts: int = 24) -> None:
        self.max_categories = max_categories
        self.text_parts = text_parts

    def fit(self, frame: pd.DataFrame, answers: Any = None) -> Self:  # noqa: ARG002  # scikit-learn calls it so
        texts = [str(name) for name in frame.columns if _is_text(frame[name])]
        self.inputs_ = [str(name) for name in frame.columns]
        # What holds no value at all tells nothing, and some estimators cannot take it.
        self.columns_ = [name for name in self.inputs_ if name not in texts and has_value(frame[name])]
        self.categories_ = {
            str(name): self._kept(frame[name])
            for name in frame.columns
            if isinstance(frame[name].dtype, pd.CategoricalDtype) and str(name) in self.columns_
        }  # fmt: skip
        self.words_ = {name: self._words(frame[name]) for name in texts}
        self.parts_ = {name: words[-1].n_components for name, words in self.words_.items() if words is not None}
        self.n_features_in_ = len(self.inputs_)
        return self

    def _words(self, column: pd.Series) -> Any:
        """None when the column holds too few different words to tell anything."""
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer
        from threadpoolctl import threadpool_limits

        weights = TfidfVectorizer(max_features=5000, min_df=2, sublinear_tf=True, strip_accents="unicode")
        try:
            matrix = weights.fit_transform(column.fillna(""))
        except ValueError:  # nothing but stop signs and single uses
            return None
        parts = min(self.text_parts, matrix.shape[1] - 1)
        if parts < 1:
            return None
        with threadpool_limits(1):  # so that the sums have one order, and the model one hash
            return [weights, TruncatedSVD(parts, random_state=0).fit(matrix)]

    def _kept(self, column: pd.Series) -> list[str]:
        counts = column.value_counts()
        seen = [(-rows, str(value)) for value, rows in zip(counts.index, counts.tolist(), strict=True) if rows]
        return sorted(value for _, value in sorted(seen)[: self.max_categories])

    @property
    def category_places(self) -> list[int]:
        """Which columns of the matrix hold categories."""
        return [place for place, name in enumerate(self.columns_) if name in self.categories_]

    def places_of(self, name: str) -> list[int]:
        """Which columns of the matrix one feature becomes; none where it held nothing to learn from."""
        if name in self.columns_:
            return [self.columns_.index(name)]
        before = len(self.columns_)
        for other, parts in self.parts_.items():
            if other == name:
                return list(range(before, before + parts))
            before += parts
        return []

    def transform(self, frame: pd.DataFrame) -> "np.ndarray[Any, np.dtype[np.float64]]":
        missing = [name for name in self.inputs_ if name not in frame.columns]
        if missing:
            raise EnvironmentRefused(f"the model needs the feature {missing[0]!r}, which these rows do not have")
        matrix = np.empty((len(frame), len(self.columns_) + sum(self.parts_.values())), dtype=np.float64)
        for place, name in enumerate(self.columns_):
            matrix[:, place] = self._codes(frame[name], name) if name in self.categories_ else _finite(frame[name])
        place = len(self.columns_)
        for name, parts in self.parts_.items():
            weights, directions = self.words_[name]
            matrix[:, place : place + parts] = directions.transform(weights.transform(frame[name].fillna("")))
            place += parts
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
        parts = [f"{name} {number + 1}" for name, count in self.parts_.items() for number in range(count)]
        return np.array([*self.columns_, *parts], dtype=object)


def has_value(column: pd.Series) -> bool:
    """Whether a column holds anything to learn from."""
    if pd.api.types.is_numeric_dtype(column.dtype):
        return bool(np.isfinite(column.to_numpy(dtype=np.float64, na_value=np.nan)).any())
    return bool(column.notna().any())


def _is_text(column: pd.Series) -> bool:
    return pd.api.types.is_string_dtype(column.dtype) and not isinstance(column.dtype, pd.CategoricalDtype)


def _finite(column: pd.Series) -> "np.ndarray[Any, np.dtype[np.float64]]":
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    return values if np.isfinite(values.sum()) else np.where(np.isinf(values), np.nan, values)
