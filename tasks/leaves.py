"""Histogram gradient boosting asked a hundred thousand rows at a time: the same bits in a sixth of the processor's time.

A tree is walked for no row. For each tree and feature there is a table that says, for each stretch between two thresholds, which
leaves a value there can still reach, as the bits of one number; the leaf of a row is the one bit that all its features have in
common (after Lucchese et al., "QuickScorer", 2015). Trees are added in scikit-learn's order, so sums are equal to the last bit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray[Any, Any]
WORTH_TABLES = 10_000  # rows; below, trees have been walked before the tables are made
_GROUP = 4096  # stretches of features that share a table: it stays in the processor's nearest cache
_ASKED = ["feature_idx", "num_threshold", "left", "right", "missing_go_to_left"]  # of a node that is no leaf
_CELLS = 8 << 20  # of all tables: 64 MB
_BLOCK = 32_768  # rows whose places in the tables stay in the processor's second cache


@dataclass(frozen=True, slots=True)
class _Width:
    """Numbers with a bit for each leaf, and floats that hold each of these bits; `whole` are the same bytes as integers."""

    leaves: int
    bits: Any
    floats: Any
    whole: Any
    shift: int  # down to the exponent
    bias: int  # the exponent of 1


_WIDTHS = (_Width(32, np.uint32, np.float32, np.int32, 23, 127), _Width(64, np.uint64, np.float64, np.int64, 52, 1023))


@dataclass(frozen=True, slots=True)
class _Tree:
    """For each group of features that it asks about the leaves by stretch, and the leaves' values by exponent."""

    reach: Sequence[tuple[int, Array]]
    values: Array


class Tables:
    """Stands in for a stored model's steps: the encoder, if it is among them, and histogram gradient boosting by tables."""

    def __init__(self, steps: Any, cuts: Mapping[int, Array], groups: Sequence[Sequence[int]], width: _Width) -> None:
        self._steps, self._model, self._cuts, self._groups, self._width = steps, steps[-1], cuts, groups, width
        self._trees = [_tree_of(nodes, cuts, groups, width) for nodes in _nodes_of(self._model)]

    @property
    def classes_(self) -> Any:
        return self._model.classes_

    def predict(self, rows: "pd.DataFrame | Array") -> Array:
        """Of a regression."""
        found: Array = self._model._loss.link.inverse(self._raw(rows).ravel())
        return found

    def predict_proba(self, rows: "pd.DataFrame | Array") -> Array:
        found: Array = self._model._loss.predict_proba(self._raw(rows))
        return found

    def _raw(self, rows: "pd.DataFrame | Array") -> Array:
        matrix = np.asarray(self._steps[0].transform(rows) if len(self._steps) > 1 else rows)
        start = self._model._baseline_prediction
        raw = np.zeros((len(matrix), self._model.n_trees_per_iteration_), dtype=start.dtype, order="F")
        raw += start
        for at in range(0, len(matrix), _BLOCK):
            self._add(matrix[at : at + _BLOCK], raw[at : at + _BLOCK])
        return raw

    def _add(self, rows: Array, raw: Array) -> None:
        """Every tree's value for a block of rows, onto `raw`."""
        places = [self._place(rows, group) for group in self._groups]
        room, outcomes = _Room(len(rows), self._width), raw.shape[1]
        for number, tree in enumerate(self._trees):
            column = raw[:, number % outcomes]
            np.add(column, room.values_of(tree, places), out=column)

    def _place(self, rows: Array, group: Sequence[int]) -> Array:
        place = np.zeros(len(rows), dtype=np.intp)
        for feature in group:
            place *= len(self._cuts[feature]) + 2
            place += _stretches(rows[:, feature], self._cuts[feature])
        return place


class _Room:
    """The arrays that every tree of a block is worked out in."""

    def __init__(self, rows: int, width: _Width) -> None:
        self.bits, self.more, self.floats = np.empty(rows, width.bits), np.empty(rows, width.bits), np.empty(rows, width.floats)
        self.exponents, self.shift = self.floats.view(width.whole), width.shift
        self.places, self.values = np.empty(rows, np.intp), np.empty(rows)

    def values_of(self, tree: _Tree, places: Sequence[Array]) -> Array:
        if not tree.reach:
            return np.broadcast_to(tree.values[:1], self.values.shape)
        for turn, (group, table) in enumerate(tree.reach):
            np.take(table, places[group], out=self.more if turn else self.bits, mode="clip")
            if turn:
                np.bitwise_and(self.bits, self.more, out=self.bits)
        self.floats[:] = self.bits  # one bit is set, so a float holds it, and its exponent is the leaf
        np.right_shift(self.exponents, self.shift, out=self.exponents)
        self.places[:] = self.exponents
        return np.take(tree.values, self.places, out=self.values, mode="clip")


def by_tables(steps: Any, *, rows: int) -> Any:
    """The model in the form that answers so many rows soonest: itself, or its trees as tables. Without its encoder it is asked
    about the encoder's matrix."""
    if rows < WORTH_TABLES:
        return steps
    return _tables_of(steps) or steps


def _tables_of(steps: Any) -> Tables | None:
    """None where trees are not of the kind, have too many leaves, or ask about too much for small tables."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    if len(steps) > 2 or type(steps[-1]) not in (HistGradientBoostingClassifier, HistGradientBoostingRegressor):
        return None
    trees = _nodes_of(steps[-1])
    most = max((int(nodes["is_leaf"].sum()) for nodes in trees), default=0)
    width = next((one for one in _WIDTHS if most <= one.leaves), None)
    if not most or width is None or any(nodes["is_categorical"].any() for nodes in trees):
        return None
    cuts = _cuts_of(trees)
    groups = _groups_of(cuts)
    if len(trees) * sum(_stretches_of(group, cuts) for group in groups) > _CELLS:
        return None
    return Tables(steps, cuts, groups, width)


def _nodes_of(model: Any) -> list[Array]:
    """Each tree's nodes, in the order in which their values are added; of many classes one tree for each in turn."""
    return [predictor.nodes for step in model._predictors for predictor in step]


def _stretches_of(group: Sequence[int], cuts: Mapping[int, Array]) -> int:
    return prod(len(cuts[feature]) + 2 for feature in group)


def _cuts_of(trees: Sequence[Array]) -> dict[int, Array]:
    """Each asked feature's thresholds, sorted."""
    asked = np.concatenate([tree[tree["is_leaf"] == 0] for tree in trees])
    features = np.unique(asked["feature_idx"])
    return {int(one): np.unique(asked["num_threshold"][asked["feature_idx"] == one]) for one in features}


def _groups_of(cuts: Mapping[int, Array]) -> list[list[int]]:
    """Features with few stretches share a table."""
    groups: list[list[int]] = []
    size = _GROUP + 1
    for feature in sorted(cuts, key=lambda one: len(cuts[one])):
        stretches = len(cuts[feature]) + 2
        size = size * stretches
        if size > _GROUP:
            groups.append([])
            size = stretches
        groups[-1].append(feature)
    return groups


def _stretches(column: Array, cuts: Array) -> Array:
    """Which stretch each value lies in: 0 up to and with the first threshold; one more than the last for what is missing."""
    return np.where(np.isnan(column), len(cuts) + 1, np.searchsorted(cuts, column, side="left"))


def _tree_of(nodes: Array, cuts: Mapping[int, Array], groups: Sequence[Sequence[int]], width: _Width) -> _Tree:
    leaves = np.flatnonzero(nodes["is_leaf"])
    values = np.zeros(width.bias + len(leaves))
    values[width.bias :] = nodes["value"][leaves]
    if len(leaves) == 1:
        return _Tree((), values[width.bias :])
    inner = nodes[nodes["is_leaf"] == 0]
    below = _leaves_below(nodes, leaves)
    every = below[0]
    reach = {feature: np.full(len(cuts[feature]) + 2, every, width.bits) for feature in set(inner["feature_idx"].tolist())}
    for feature, threshold, left, right, missing_left in inner[_ASKED].tolist():
        without_left, without_right = every ^ below[left], every ^ below[right]
        stretches, end = reach[feature], int(cuts[feature].searchsorted(threshold)) + 1
        stretches[:end] &= without_right
        stretches[end:-1] &= without_left
        stretches[-1:] &= without_right if missing_left else without_left
    return _Tree(_grouped(reach, groups, cuts, every=width.bits(every)), values)


def _leaves_below(nodes: Array, leaves: Array) -> list[int]:
    """For each node the leaves that can be reached from it, as bits. Children come after their parents."""
    below, left, right = [0] * len(nodes), nodes["left"].tolist(), nodes["right"].tolist()
    for place, leaf in enumerate(leaves.tolist()):
        below[leaf] = 1 << place
    for node in reversed(range(len(nodes))):
        below[node] = below[node] or below[left[node]] | below[right[node]]
    return below


def _grouped(
    reach: Mapping[int, Array], groups: Sequence[Sequence[int]], cuts: Mapping[int, Array], *, every: Any
) -> list[tuple[int, Array]]:
    """One table for each group that the tree asks about, over all stretches of its features together."""
    found = []
    for place, group in enumerate(groups):
        if any(feature in reach for feature in group):
            each = [reach[feature] if feature in reach else np.full(len(cuts[feature]) + 2, every) for feature in group]
            found.append((place, reduce(lambda one, other: np.bitwise_and.outer(one, other).ravel(), each)))
    return found
