"""Tables that nobody here has chosen the shape of: scikit-learn's own and made ones, with the baseline that anybody would try."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn import datasets
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_score
from sklearn.preprocessing import OrdinalEncoder

from tasks.estimators import FEW_ROWS


@dataclass(frozen=True)
class Table:
    """`frame` holds the features and `answer`; `text` and `dates` name columns that are not what their type alone says."""

    frame: pd.DataFrame
    task: str
    metric: str
    text: tuple[str, ...] = ()
    dates: tuple[str, ...] = ()
    answer_type: str = "text"
    rule: str = ""

    @property
    def features(self) -> dict[str, list[str]]:
        others = [str(name) for name in self.frame.columns if name not in ("answer", *self.text, *self.dates)]
        numeric = [name for name in others if pd.api.types.is_numeric_dtype(self.frame[name].dtype)]
        return {
            "numeric": numeric, "categorical": [name for name in others if name not in numeric],
            "datetime": list(self.dates), "text": list(self.text),
        }  # fmt: skip

    def to_yaml(self, name: str) -> str:
        """The definition as it would be written for this table, with nothing about the model."""
        kinds = {"numeric": "float", "categorical": "text", "datetime": "date", "text": "text"}
        every = [(column, kinds[kind]) for kind, names in self.features.items() for column in names]
        columns = [f"  {column}: {{type: {kind}, null: true}}" for column, kind in every]
        lists = ", ".join(f"{kind}: [{', '.join(names)}]" for kind, names in self.features.items() if names)
        rule = f', as: "{self.rule}"' if self.rule else ""
        return "\n".join(
            [
                f"name: {name}", "title: What is the answer?", "interval: {every: day, timezone: UTC, from: 2024-01-01}",
                f'source: {{kind: csv, path: "{{data}}/{name}.csv", mode: snapshot}}', "columns:",
                "  row: {type: int, key: true}", *columns, f"  answer: {{type: {self.answer_type}, null: true}}",
                f"target: {{column: answer{rule}, task: {self.task}}}", f"features: {{{lists}}}", "",
            ]
        )  # fmt: skip

    def baseline(self) -> tuple[float, float]:
        """Mean and deviation over five folds of histogram gradient boosting on ordinal codes, with nobody's tuning."""
        known = self.frame[self.frame.answer.notna()]
        matrix = known.drop(columns="answer").dropna(axis="columns", how="all")  # the baseline cannot take an empty column
        coded = [name for name in matrix if not pd.api.types.is_numeric_dtype(matrix[name].dtype)]
        encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=np.nan)
        if coded:
            matrix = matrix.assign(
                **dict(zip(map(str, coded), encoder.fit_transform(matrix[coded].astype(object)).T, strict=True))
            )
        if self.task == "regression":
            model, folds = HistGradientBoostingRegressor(random_state=0), KFold(5, shuffle=True, random_state=0)
            answers = known.answer
        else:
            model, folds = HistGradientBoostingClassifier(random_state=0), StratifiedKFold(5, shuffle=True, random_state=0)
            answers = known.answer.astype(str)
        scores = cross_val_score(model, matrix, answers, cv=folds, scoring=self.metric)
        return float(scores.mean()), float(scores.std())


def bundled(name: str) -> Table:
    found = getattr(datasets, f"load_{name}")(as_frame=True)
    frame = found.data.rename(columns=lambda column: "x_" + "".join(c if c.isalnum() else "_" for c in column))
    if name == "diabetes":
        return Table(frame.assign(answer=found.target), "regression", "r2", answer_type="float")
    answers = found.target_names[found.target].astype(str) if name != "digits" else found.target
    many = name != "breast_cancer"
    return Table(
        frame.assign(answer=answers), "classification", "accuracy" if many else "roc_auc",
        answer_type="int" if name == "digits" else "text",
    )  # fmt: skip


def made(name: str) -> Table:
    return {"rare": _rare, "sparse": _sparse, "words": _words, "dated": _dated, "large": _large}[name]()


def _numbers(rows: int, *, rare: float = 0.5, classes: int = 2, seed: int = 0) -> tuple[pd.DataFrame, Any]:
    matrix, answers = datasets.make_classification(
        rows, 12, n_informative=6, n_classes=classes, weights=[1 - rare] if classes == 2 else None, flip_y=0.03, random_state=seed
    )
    return pd.DataFrame(matrix.round(4), columns=[f"x{number}" for number in range(12)]), answers


def _rare() -> Table:
    """Three in a hundred, as true and false, with answers missing."""
    frame, answers = _numbers(4000, rare=0.03)
    known = np.random.default_rng(0).random(len(frame)) < 0.9
    said = np.where(answers == 1, "true", "false").astype(object)
    return Table(frame.assign(answer=pd.Series(said).where(known, None)), "classification", "roc_auc", answer_type="bool")


def _sparse() -> Table:
    """Holes everywhere, a column with nothing in it, one that never changes, one with a value of its own in nearly each row,
    and a class of one row among many."""
    frame, answers = _numbers(3000, classes=4)
    chance = np.random.default_rng(1)
    frame = frame.mask(chance.random(frame.shape) < 0.2)
    names = np.array(["red", "green", "blue", "grey"])
    shade = np.where(chance.random(3000) < 0.7, names[answers], names[chance.integers(0, 4, 3000)])
    said = np.array(["first one", "second", "third, with comma", 'the "last"'], dtype=object)[answers]
    said[17] = "only once"
    return Table(
        frame.assign(
            nothing=np.full(3000, np.nan), always=1.0, shade=shade, code=[f"id{number % 2500}" for number in range(3000)],
            answer=said,
        ), "classification", "accuracy",
    )  # fmt: skip


def _words() -> Table:
    chance = np.random.default_rng(2)
    said = {0: "slow late broken refund angry cold", 1: "quick kind warm thanks again lovely"}
    filler = ["the", "a", "of", "to", "it", "was", "for", "with", "this", "that", "order", "today"]
    answers = chance.integers(0, 2, 1500)
    texts = [
        " ".join(chance.choice(filler + said[int(answer)].split() if chance.random() < 0.7 else filler, 12)) for answer in answers
    ]  # fmt: skip
    stars = np.where(chance.random(1500) < 0.2, np.nan, chance.integers(1, 6, 1500))
    frame = pd.DataFrame({"review": texts, "stars": stars, "answer": answers})
    return Table(frame, "classification", "roc_auc", text=("review",), answer_type="int", rule="answer == 1")


def _dated() -> Table:
    """A number that goes with the season, the year and the kind."""
    chance = np.random.default_rng(3)
    days = pd.Timestamp("2015-01-01") + pd.to_timedelta(chance.integers(0, 3000, 5000), unit="D")
    kind = chance.choice(["flat", "house", "room"], 5000)
    size = chance.gamma(4, 20, 5000).round(1)
    price = size * 3 * np.select([kind == "flat", kind == "house"], [1.2, 1.5], 1.0) + (days.year - 2015) * 20
    price = price + 30 * np.sin(2 * np.pi * days.month / 12) + chance.normal(0, 15, 5000)
    frame = pd.DataFrame({"sold": days.strftime("%Y-%m-%d"), "kind": kind, "size": size})
    return Table(frame.assign(answer=price.to_numpy().round(2)), "regression", "r2", dates=("sold",), answer_type="float")


def _large() -> Table:
    """More rows than one thread learns from."""
    frame, answers = _numbers(FEW_ROWS + 2_000, rare=0.2)
    return Table(frame.assign(answer=answers), "classification", "roc_auc", answer_type="int", rule="answer == 1")
