"""Scripts of rarer kinds: formulas, nets, questions about a number, databases, races of estimators, and nothing at all."""

import random
import sqlite3
from pathlib import Path

from tests.adoption.written import notebook, script, table


def formula(folder: Path) -> Path:
    """statsmodels, by a formula."""
    chance = random.Random(7)
    rows = [
        [a := chance.randint(1, 50), chance.choice(["n", "s"]), chance.random(), round(a * 3 + chance.gauss(0, 4), 2)]
        for _ in range(300)
    ]
    table(folder / "yields.csv", ["dose", "field", "noise", "crop_yield"], rows)
    return script(
        folder / "yields.py",
        """
        import pandas as pd
        import statsmodels.formula.api as smf
        df = pd.read_csv("yields.csv")
        fitted = smf.ols("crop_yield ~ dose + C(field)", data=df).fit()
        print(fitted.summary())
        """,
    )


def net(folder: Path) -> Path:
    """Keras."""
    chance = random.Random(8)
    rows = [[n, a := round(chance.gauss(0, 1), 3), b := round(chance.gauss(0, 1), 3), int(a > b)] for n in range(300)]
    table(folder / "signals.csv", ["id", "left", "right", "label"], rows)
    return notebook(
        folder / "net.ipynb",
        "import pandas as pd\nfrom keras.models import Sequential\nfrom keras.layers import Dense",
        """
        df = pd.read_csv('signals.csv')
        X, y = df[['left', 'right']].values, df.label.values
        model = Sequential()
        model.add(Dense(8, activation='relu'))
        model.add(Dense(1, activation='sigmoid'))
        model.compile(loss='binary_crossentropy')
        model.fit(X, y, epochs=5)
        """,
    )


def delays(folder: Path) -> Path:
    """A question about a number that stays among the features, and rows set apart by chance though they have dates."""
    chance, rows = random.Random(9), []
    for n in range(500):
        hour, miles = chance.randint(5, 23), chance.randint(100, 2500)
        late = chance.gauss(hour - 8, 15)
        rows.append(
            [f"F{n}", f"2024-0{1 + n // 100}-{1 + n % 28:02d}", hour, miles, chance.choice("ABC"), round(late), round(late + 5)]
        )
    table(folder / "flights.csv", ["flight", "day", "hour", "miles", "carrier", "arr_delay", "taxi_in_minus_plan"], rows)
    return notebook(
        folder / "delays.ipynb",
        """
        import pandas as pd
        from sklearn.model_selection import train_test_split
        from sklearn.linear_model import LogisticRegression
        flights = pd.read_csv('flights.csv', parse_dates=['day'])
        flights['late'] = (flights.arr_delay > 15).astype(int)
        flights['weekday'] = flights['day'].dt.dayofweek
        """,
        """
        X = flights[['hour', 'miles', 'carrier', 'weekday', 'arr_delay']]
        X_train, X_test, y_train, y_test = train_test_split(X, flights['late'])
        LogisticRegression(max_iter=1000, class_weight='balanced').fit(X_train, y_train)
        """,
    )


def database(folder: Path) -> Path:
    """SQL, a main function, a booster of another package."""
    chance = random.Random(10)
    with sqlite3.connect(folder / "shop.db") as connection:
        connection.execute("CREATE TABLE claims (claim_no INTEGER, age INTEGER, region TEXT, paid REAL)")
        rows = [
            (n, a := chance.randint(18, 90), chance.choice(["N", "S"]), round(a * 20 + chance.gauss(0, 90), 2))
            for n in range(400)
        ]
        connection.executemany("INSERT INTO claims VALUES (?, ?, ?, ?)", rows)
    connection.close()
    return script(
        folder / "claims.py",
        """
        import sqlite3
        import pandas as pd
        from sklearn.model_selection import train_test_split
        from xgboost import XGBRegressor

        TARGET = "paid"

        def load(path):
            con = sqlite3.connect(path)
            return pd.read_sql_query("select * from claims", con)

        def main():
            df = load("shop.db")
            X, y = df.drop(columns=[TARGET, "claim_no"]), df[TARGET]
            X_train, X_test, y_train, y_test = train_test_split(X, y)
            model = XGBRegressor(n_estimators=60, learning_rate=0.1, max_depth=4, tree_method="hist")
            model.fit(X_train, y_train)

        if __name__ == "__main__":
            main()
        """,
    )


def several(folder: Path) -> Path:
    """A race of estimators in a notebook of the third form; columns chosen by a rule."""
    chance, rows = random.Random(11), []
    for n in range(400):
        kind, x = chance.choice(["low", "mid", "high"]), chance.random()
        rows.append(
            [n, x + {"low": 0, "mid": 1, "high": 2}[kind], round(chance.gauss(5, 2), 2), chance.choice("pq"), "2024-01-05", kind]
        )
    table(folder / "wines.csv", ["id", "acid", "sugar", "lot", "bottled", "grade"], rows)
    return notebook(
        folder / "several.ipynb",
        """
        import pandas as pd
        from sklearn.linear_model import LogisticRegression
        from sklearn.tree import DecisionTreeClassifier
        from sklearn.ensemble import ExtraTreesClassifier, VotingClassifier
        wines = pd.read_csv('wines.csv')
        features = [c for c in wines.columns if c not in ('id', 'grade') and wines[c].dtype != 'object']
        X = wines[features]
        y = wines['grade']
        """,
        """
        models = {'tree': DecisionTreeClassifier(), 'extra': ExtraTreesClassifier(n_estimators=20)}
        for name, model in models.items():
            model.fit(X, y)
        both = [('a', LogisticRegression(max_iter=300)), ('b', ExtraTreesClassifier(n_estimators=25))]
        vote = VotingClassifier(both, voting='soft')
        vote.fit(X, y)
        """,
        third_form=True,
    )
