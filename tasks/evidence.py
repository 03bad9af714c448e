"""What a card shows beside its figures: how sure they are, where they differ, what the model leans on, and curves."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from domain.promotion import HIGHER_IS_BETTER
from domain.words import Task
from tasks.metrics import told_apart
from tasks.predictions import Said, rank_auc, spread, truth

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Array = np.ndarray[Any, Any]

RESAMPLES, RESAMPLED_ROWS = 200, 20_000
SHUFFLES, SHUFFLED_ROWS = 3, 3_000
SLICES, SLICE_ROWS, POINTS = 5, 30, 20


def interval(said: Said, metric: str, *, other: Said | None = None) -> tuple[float, float] | None:
    """The middle 95% of a metric over bootstrap samples of the rows (Efron's percentile interval); with `other`, of the
    difference on the same samples, positive when `said` is better. None when most samples cannot give the metric."""
    import numpy as np

    chance = np.random.default_rng(0)
    size = min(len(said), RESAMPLED_ROWS)
    measure, measure_other = _of_samples(said, metric), _of_samples(other, metric) if other is not None else None
    found: list[float] = []
    for _ in range(RESAMPLES):
        rows = chance.integers(0, len(said), size)
        value = measure(rows)
        against = measure_other(rows) if measure_other is not None else 0.0
        if value is not None and against is not None:
            sign = 1.0 if other is None or HIGHER_IS_BETTER[metric] else -1.0
            found.append(sign * (value - against))
    if len(found) < RESAMPLES / 2:
        return None
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)


def _of_samples(said: Said, metric: str) -> "Callable[[Array], float | None]":
    """Gives a metric of any sample of the rows, by their places; what all samples share is prepared once. To measure each anew
    took a quarter of a training."""
    if metric == "roc_auc" and said.is_yes_no:
        return _area_of_samples(said)
    each = _contributions(said)
    if metric in _from_sums(each.mean(axis=0), said.task):
        return lambda rows: _from_sums(each.take(rows, axis=0).mean(axis=0), said.task).get(metric)
    return lambda rows: said.only(rows).figure(metric)


def _area_of_samples(said: Said) -> "Callable[[Array], float | None]":
    """As `rank_auc`, to the last digit, from counts of each probability, which spares sorting; from the ranks where there are too
    many probabilities for that to be quicker."""
    import numpy as np

    values, place = np.unique(said.values, return_inverse=True)
    place = place + len(values) * said.answers  # of a probability that came true as many places further on

    def area(rows: "Array") -> float | None:
        no, yes = np.bincount(place[rows], minlength=2 * len(values)).reshape(2, -1)
        pairs = int(yes.sum()) * int(no.sum())
        return told_apart(yes, no) / (2 * pairs) if pairs else None

    return area if len(values) <= RESAMPLED_ROWS else lambda rows: rank_auc(said.answers[rows], said.values[rows])


def intervals(said: Said) -> dict[str, tuple[float, float]]:
    """As `interval`, of every metric that is a function of sums over rows, at a fraction of its cost: all but the area under
    the ROC curve."""
    import numpy as np

    if not len(said):
        return {}
    chance, each = np.random.default_rng(0), _contributions(said)
    size = min(len(said), RESAMPLED_ROWS)
    found: dict[str, list[float]] = {}
    for _ in range(RESAMPLES):
        rows = chance.integers(0, len(said), size)
        for name, value in _from_sums(each.take(rows, axis=0).mean(axis=0), said.task).items():
            found.setdefault(name, []).append(value)
    spans = {name: np.percentile(values, [2.5, 97.5]) for name, values in found.items() if len(values) >= RESAMPLES / 2}
    return {name: (round(float(low), 6), round(float(high), 6)) for name, (low, high) in spans.items()}


def _contributions(said: Said) -> "Array":
    """What each row brings to the sums that metrics are made of, one column for each."""
    import numpy as np

    if said.task is Task.REGRESSION:
        error = said.values - said.answers
        moved = said.answers - said.answers.mean()  # so that squares stay small and differ exactly
        return np.column_stack([error**2, np.abs(error), moved, moved**2])
    if said.is_yes_no:
        true, chance, named = said.answers, said.values, said.values > 0.5
        given = np.where(true, chance, 1 - chance)
        columns = [-np.log(np.clip(given, 1e-15, 1)), named == true, (chance - true) ** 2, named & true, named, true]
        return np.column_stack(columns).astype(float)
    places = {name: place for place, name in enumerate(said.classes)}
    place = np.array([places.get(answer, -1) for answer in said.answers])
    given = np.where(place >= 0, said.values[np.arange(len(place)), place], 0.0)
    return np.column_stack([-np.log(np.clip(given, 1e-15, 1)), said.values.argmax(axis=1) == place])


def _from_sums(mean: "Array", task: Task) -> dict[str, float]:
    import numpy as np

    if task is Task.REGRESSION:
        square, absolute, first, second = (float(value) for value in mean)
        varied = second - first**2
        return {"rmse": float(np.sqrt(square)), "mae": absolute, **({"r2": 1 - square / varied} if varied > 0 else {})}
    found = {"log_loss": float(mean[0]), "accuracy": float(mean[1])}
    if len(mean) == 2:
        return found
    both, apart = float(mean[3]), float(mean[4] + mean[5])
    return {**found, "brier": float(mean[2]), "f1": 2 * both / apart if apart else 0.0}


def importance(model: Any, frame: "pd.DataFrame", said: Said, metric: str) -> list[dict[str, Any]]:
    """How much worse the metric gets when one feature's values are shuffled among the rows (Breiman's permutation importance,
    as sklearn.inspection measures it), the most important first."""
    import numpy as np

    from tasks.leaves import by_tables

    chance = np.random.default_rng(0)
    rows = chance.permutation(len(said))[:SHUFFLED_ROWS]
    frame, base, answers = frame.iloc[rows], said.only(rows).figure(metric), said.answers[rows]
    if base is None:
        return []
    sign, lines = 1.0 if HIGHER_IS_BETTER[metric] else -1.0, []
    encoder, rest = model[0], by_tables(model[1:], rows=SHUFFLES * len(frame) * len(frame.columns))
    matrix = encoder.transform(frame)  # once: to prepare all columns again for each one makes the work grow with their square
    copies, all_answers = np.concatenate([matrix] * SHUFFLES), np.tile(answers, SHUFFLES)  # each shuffled, all asked at once
    for name in map(str, frame.columns):
        places, losses = encoder.places_of(name), []
        orders = [chance.permutation(len(frame)) for _ in range(SHUFFLES)]
        kept = copies[:, places]
        copies[:, places] = matrix[:, places][np.concatenate(orders)]
        heard = _asked(rest, copies, said, all_answers)
        copies[:, places] = kept
        for turn in range(SHUFFLES):
            value = heard.only(slice(turn * len(frame), (turn + 1) * len(frame))).figure(metric)
            losses.append(sign * (base - value) if value is not None else 0.0)
        lines.append({"feature": name, "loss": round(float(np.mean(losses)), 6), "spread": round(float(np.std(losses)), 6)})
    return sorted(lines, key=lambda line: -float(line["loss"]))


def _asked(model: Any, rows: "Array", like: Said, answers: "Array") -> Said:
    if like.task is Task.REGRESSION:
        return Said(answers, model.predict(rows), like.task)
    matrix = model.predict_proba(rows)
    if like.is_yes_no:
        return Said(answers, truth(model, matrix), like.task)
    return Said(answers, spread(matrix, [str(name) for name in model.classes_], like.classes), like.task, like.classes)


def slices(frame: "pd.DataFrame", said: Said, metric: str) -> list[dict[str, Any]]:
    """The metric for the largest values of each category; small groups and those that cannot give it are left out."""
    import pandas as pd

    lines = []
    for name in frame.columns:
        column = frame[name]
        if not isinstance(column.dtype, pd.CategoricalDtype):
            continue
        for value, rows in column.value_counts().head(SLICES).items():
            if rows < SLICE_ROWS:
                continue
            figure = said.only((column == value).to_numpy()).figure(metric)
            if figure is not None:
                lines.append({"feature": str(name), "value": str(value), "rows": int(rows), metric: round(figure, 6)})
    return lines


def curves(said: Said) -> dict[str, Any]:
    """What the page draws: ROC, precision-recall and calibration for yes or no; a confusion matrix for many classes;
    residuals, and predicted against actual, for numbers."""
    if not len(said):
        return {}
    if said.task is Task.REGRESSION:
        return _number_curves(said)
    if said.is_yes_no:
        return _yes_no_curves(said)
    return {"confusion": _confusion(said)}


def _yes_no_curves(said: Said) -> dict[str, Any]:
    import numpy as np
    from sklearn import metrics

    found: dict[str, Any] = {"calibration": _calibration(said)}
    if 0 < said.answers.sum() < len(said):
        false_positive, true_positive, _ = metrics.roc_curve(said.answers, said.values)
        grid = np.linspace(0, 1, POINTS + 1)
        found["roc"] = _points(grid, np.interp(grid, false_positive, true_positive))
        precision, recall, _ = metrics.precision_recall_curve(said.answers, said.values)  # its last point, (0, 1), is made up
        found["precision_recall"] = _points(grid, np.interp(grid, recall[-2::-1], precision[-2::-1]))
    return found


def _points(across: "Array", up: "Array") -> list[list[float]]:
    return [[round(float(x), 4), round(float(y), 4)] for x, y in zip(across, up, strict=True)]


def _calibration(said: Said) -> list[dict[str, Any]]:
    """Ten groups of equal size by predicted probability: what was said on average, and how often it came true."""
    import numpy as np

    groups = np.array_split(np.argsort(said.values, kind="stable"), min(10, len(said)))
    return [
        {
            "predicted": round(float(said.values[rows].mean()), 4), "actual": round(float(said.answers[rows].mean()), 4),
            "rows": len(rows),
        }
        for rows in groups
    ]  # fmt: skip


def _number_curves(said: Said) -> dict[str, Any]:
    """Residuals are actual less predicted; the first and the last bin also hold the one row in two hundred that lies beyond
    them, so that a strange row does not squeeze all others into one bin. `actual_spread`: the middle 80% of each group's."""
    import numpy as np

    residuals = said.answers - said.values
    low, high = np.percentile(residuals, [0.5, 99.5])
    counts, edges = np.histogram(np.clip(residuals, low, high), bins=POINTS)
    groups = np.array_split(np.argsort(said.values, kind="stable"), min(10, len(said)))
    return {
        "residuals": {
            "edges": [round(float(edge), 6) for edge in edges], "rows": counts.tolist(),
            "least": round(float(residuals.min()), 6), "most": round(float(residuals.max()), 6),
            "beyond": [int((residuals < low).sum()), int((residuals > high).sum())],
        },
        "predicted_actual": [
            [round(float(said.values[rows].mean()), 6), round(float(said.answers[rows].mean()), 6)] for rows in groups
        ],
        "actual_spread": [[round(float(end), 6) for end in np.percentile(said.answers[rows], [10, 90])] for rows in groups],
    }  # fmt: skip


def _confusion(said: Said, *, largest: int = 10) -> dict[str, Any]:
    """Rows are the actual classes, columns the predicted ones; beyond the ten most frequent all are `(others)`."""
    import numpy as np

    guesses = np.asarray(said.classes, dtype=object)[said.values.argmax(axis=1)]
    names, counts = np.unique(said.answers.astype(str), return_counts=True)
    kept = [str(name) for name in names[np.argsort(-counts, kind="stable")][:largest]]
    shown = [*kept, "(others)"]
    places = {name: place for place, name in enumerate(kept)}
    matrix = np.zeros((len(shown), len(shown)), dtype=int)
    actual = [places.get(str(name), len(kept)) for name in said.answers]
    predicted = [places.get(str(name), len(kept)) for name in guesses]
    np.add.at(matrix, (actual, predicted), 1)
    return {"classes": shown, "rows": matrix.tolist()}


def alone(
    matrix: "Array", names: Sequence[str], categories: Sequence[int], said: Said, fit: "Array", answers: "Array"
) -> dict[str, float]:
    """What each encoded feature is worth by itself on the rows of `said`: the area under the ROC curve for a yes/no question,
    the rank correlation for a number, of many classes the share of the dummy's mistakes that a small tree on it alone does not
    make; each from 0 (nothing) to 1 (the answer itself). A category counts by the mean
    answer of its `fit` rows. `matrix` holds all rows, `fit` says which are learned from; the others are those of `said`."""
    import numpy as np
    from scipy.stats import spearmanr

    found: dict[str, float] = {}
    for place, name in enumerate(names):
        column = matrix[:, place]
        if said.classes:
            found[name] = _worth_of_many(column, answers, fit)
            continue
        values = _mean_answers(column, answers, fit) if place in categories else column[~fit]
        known = np.isfinite(values)
        if known.sum() < SLICE_ROWS or np.ptp(values[known]) == 0:
            continue
        if said.is_yes_no:
            score = rank_auc(said.answers[known], values[known])
            worth = abs(score - 0.5) * 2 if score is not None and _both(said.answers[known]) else 0.0
        else:
            worth = abs(float(spearmanr(values[known], said.answers[known]).statistic))
        found[name] = worth * float(known.mean())
    return {name: round(worth, 6) for name, worth in found.items() if np.isfinite(worth)}


def _worth_of_many(column: "Array", answers: "Array", fit: "Array") -> float:
    import numpy as np
    from sklearn.tree import DecisionTreeClassifier

    values, names = np.nan_to_num(column, nan=-1.0).reshape(-1, 1), answers.astype(str)
    if (~fit).sum() < SLICE_ROWS or len(set(names[fit])) < 2:
        return 0.0
    tree = DecisionTreeClassifier(max_leaf_nodes=64, min_samples_leaf=5, random_state=0).fit(values[fit], names[fit])
    largest = max(set(names[fit]), key=lambda name: (int((names[fit] == name).sum()), name))
    base = float((names[~fit] == largest).mean())
    right = float((tree.predict(values[~fit]) == names[~fit]).mean())
    return max(0.0, (right - base) / (1 - base)) if base < 1 else 0.0


def _both(answers: "Array") -> bool:
    return min(int(answers.sum()), len(answers) - int(answers.sum())) >= 10


def _mean_answers(column: "Array", answers: "Array", fit: "Array") -> "Array":
    import numpy as np
    import pandas as pd

    means: Mapping[Any, float] = pd.Series(answers[fit].astype(float)).groupby(column[fit]).mean().to_dict()
    return np.array([means.get(value, np.nan) for value in column[~fit]])
