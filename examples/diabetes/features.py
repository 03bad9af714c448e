"""What the columns of a contract cannot say by themselves. It is read when a night trains or scores, and by nothing else."""

import numpy as np
import pandas as pd
from sklearn.base import RegressorMixin
from sklearn.ensemble import ExtraTreesRegressor, VotingRegressor
from sklearn.linear_model import RidgeCV


def build(rows: pd.DataFrame) -> pd.DataFrame:
    """`features.hook`: a row in, a row out, with columns made from several. It sees no answers."""
    made = rows.copy()
    made["bmi by bp"] = rows["bmi"] * rows["bp"] / 100
    made["bad by good"] = rows["s2"] / rows["s3"].clip(lower=1)
    made["sugar"] = np.log(rows["s6"].clip(lower=1))
    made["old and heavy"] = ((rows["age"] > 50) & (rows["bmi"] > 30)).astype("float64")
    return made


def make(folds: int) -> RegressorMixin:
    """`model.estimator`: called with `model.params`. Of scikit-learn's own parts: nothing else is loaded."""
    line = RidgeCV(alphas=np.logspace(-1, 3, 9), cv=folds)
    trees = ExtraTreesRegressor(n_estimators=100, min_samples_leaf=5, random_state=0)
    return VotingRegressor([("line", line), ("trees", trees)])
