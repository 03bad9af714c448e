"""The script that a data scientist would write for the flights: pandas, scikit-learn, to_sql, and a cron line.

It checks a little, trains every seventh night on the last sixty, predicts, and replaces the night's rows in one table.
"""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OrdinalEncoder

NUMERIC, CATEGORICAL = ["distance", "sched_arr_time", "month", "weekday", "hour"], ["carrier", "origin", "dest"]


class Glue:
    """What the script would keep from night to night in a pickle; here it stays in memory, which costs less."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.engine = folder, sa.create_engine(url)
        self.model: Pipeline | None = None
        self.trained: date | None = None

    def take(self, day: date) -> int:
        """One night. Returns how many predictions it wrote."""
        frame = self._read(day)
        assert frame["flight_id"].is_unique
        assert frame["carrier"].notna().all()
        assert frame["origin"].isin(["EWR", "JFK", "LGA"]).all()
        if self.trained is None or day - self.trained >= timedelta(days=7):
            self._train(day)
        if self.model is None:
            return 0
        found = self.model.predict_proba(self._features(frame))[:, 1]
        out = pd.DataFrame({"flight_id": frame["flight_id"], "probability": found, "prediction": found > 0.5, "day": day})
        with self.engine.begin() as connection:
            if sa.inspect(connection).has_table("glue"):
                connection.execute(sa.text("DELETE FROM glue WHERE day = :day"), {"day": day})
            out.to_sql("glue", connection, index=False, if_exists="append", method="multi", chunksize=1000)
        return len(out)

    def _train(self, day: date) -> None:
        days = [day - timedelta(days=back) for back in range(60, 0, -1)]
        frames = [self._read(one) for one in days if self._path(one).exists()]
        if len(frames) < 3:
            return
        known = pd.concat(frames).dropna(subset=["arr_delay"])
        self.model = make_pipeline(
            ColumnTransformer(
                [("names", OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), CATEGORICAL)],
                remainder="passthrough",
            ),
            HistGradientBoostingClassifier(
                max_iter=60, learning_rate=0.1, max_leaf_nodes=15, min_samples_leaf=40, l2_regularization=1.0
            ),
        )
        self.model.fit(self._features(known), known["arr_delay"] > 15)
        self.trained = day

    def _path(self, day: date) -> Path:
        return self.folder / f"{day}.csv"

    def _read(self, day: date) -> Any:
        return pd.read_csv(self._path(day), parse_dates=["sched_dep"])

    def _features(self, frame: Any) -> Any:
        moment = pd.to_datetime(frame["sched_dep"], utc=True).dt
        parts = {"month": moment.month, "weekday": moment.weekday, "hour": moment.hour}
        return frame.assign(**parts)[NUMERIC + CATEGORICAL]
