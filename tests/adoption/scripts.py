"""Notebooks and scripts as people write them, with the tables that they read: what `overnight adopt` is tried on."""

import random
from collections.abc import Callable
from pathlib import Path

from tests.adoption.rarer import database, delays, formula, net, several
from tests.adoption.written import notebook, script, table


def churn(folder: Path) -> Path:
    """Yes or no; Pipeline and ColumnTransformer; a search; lines for the shell."""
    chance, rows = random.Random(1), []
    for n in range(600):
        months, calls, plan = chance.randint(1, 60), chance.randint(0, 8), chance.choice(["basic", "plus", "pro"])
        gone = chance.random() < min(0.95, 0.05 + 0.1 * calls + 0.25 * (months < 12))
        rows.append(
            [
                f"C{n:05d}",
                plan,
                months,
                calls if n % 40 else None,
                round(months * 9.9 + chance.random(), 2),
                "Yes" if gone else "No",
            ]
        )
    table(folder / "customers.csv", ["customerID", "Plan", "Months", "Calls", "Total", "Churn"], rows)
    return notebook(
        folder / "churn.ipynb",
        """
        !pip install scikit-learn
        %matplotlib inline
        import pandas as pd
        from sklearn.model_selection import train_test_split, GridSearchCV
        from sklearn.pipeline import Pipeline
        from sklearn.compose import ColumnTransformer
        from sklearn.preprocessing import StandardScaler, OneHotEncoder
        from sklearn.impute import SimpleImputer
        from sklearn.ensemble import RandomForestClassifier
        """,
        "df = pd.read_csv('customers.csv')\ndf.head()",
        """
        df['PerMonth'] = df['Total'] / df['Months']
        df['Churn'] = df['Churn'].map({'Yes': 1, 'No': 0})
        X = df.drop(columns=['customerID', 'Churn'])
        y = df['Churn']
        X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=42)
        """,
        """
        num = ['Months', 'Calls', 'PerMonth']
        cat = ['Plan']
        prep = ColumnTransformer([
            ('num', Pipeline([('imp', SimpleImputer()), ('sc', StandardScaler())]), num),
            ('cat', OneHotEncoder(handle_unknown='ignore'), cat),
        ])
        pipe = Pipeline([('prep', prep), ('clf', RandomForestClassifier(n_estimators=40, random_state=7, n_jobs=-1))])
        search = GridSearchCV(pipe, {'clf__max_depth': [3, 8], 'clf__min_samples_leaf': [1, 5]}, scoring='roc_auc', cv=3)
        search.fit(X_train, y_train)
        """,
    )


def houses(folder: Path) -> Path:
    """A number; the median and the scaler of everything; codes by get_dummies; a wish to know the day."""
    chance, rows = random.Random(2), []
    for n in range(500):
        area, built, town = chance.randint(40, 220), chance.randint(1900, 2020), chance.choice(["Ulm", "Bonn", "Kiel"])
        price = area * 3000 + (built - 1900) * 800 + 40000 * (town == "Bonn") + chance.gauss(0, 30000)
        rows.append([n, area, built, town, area if n % 17 else None, round(price)])
    table(folder / "houses.csv", ["Id", "Area", "Built", "Town", "Garden", "Price"], rows, delimiter=";")
    return notebook(
        folder / "House Prices.ipynb",
        """
        import numpy as np, pandas as pd
        from datetime import datetime
        from sklearn.linear_model import Ridge
        from sklearn.preprocessing import StandardScaler
        from sklearn.metrics import mean_absolute_error
        from sklearn.model_selection import train_test_split
        data = pd.read_csv("houses.csv", sep=";", index_col="Id")
        """,
        """
        data["Garden"] = data["Garden"].fillna(data["Garden"].median())
        data["Age"] = datetime.now().year - data["Built"]
        data["LogArea"] = np.log1p(data.Area)
        data["PerTown"] = data.groupby("Town")["Price"].transform("mean")
        data["PriceM2"] = data["Price"] / data["Area"]
        data["Old"] = (data["Built"] < 1950).astype(int)
        data = data[data["Area"] < 200]
        """,
        """
        X = pd.get_dummies(data.drop("Price", axis=1))
        y = data["Price"]
        scaler = StandardScaler()
        X = scaler.fit_transform(X)
        X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.2)
        model = Ridge(alpha=2.0, normalize=True)
        model.fit(X_train, y_train)
        print(mean_absolute_error(y_test, model.predict(X_test)))
        """,
    )


def flowers(folder: Path) -> Path:
    """Classes; a script of plain places; an estimator without probabilities."""
    chance, rows = random.Random(3), []
    for _ in range(330):
        kind = chance.randint(0, 2)
        rows.append(
            [round(chance.gauss(4 + kind, 0.5), 1), round(chance.gauss(3 - kind / 2, 0.4), 1), ["rose", "lily", "daisy"][kind]]
        )
    table(folder / "flowers.csv", ["petal length", "petal width", "kind"], rows)
    return script(
        folder / "flowers.py",
        """
        import pandas as pd
        from sklearn.preprocessing import LabelEncoder
        from sklearn.svm import LinearSVC
        from sklearn.model_selection import cross_val_score

        dataset = pd.read_csv('flowers.csv')
        X = dataset.iloc[:, :-1].values
        y = dataset.iloc[:, -1].values
        y = LabelEncoder().fit_transform(y)
        clf = LinearSVC(C=0.5, max_iter=5000)
        print(cross_val_score(clf, X, y, cv=5, scoring='accuracy').mean())
        """,
    )


def arrays(folder: Path) -> Path:
    """No header; numpy from end to end."""
    chance, rows = random.Random(4), []
    for _ in range(400):
        cells = [round(chance.gauss(0, 1), 3) for _ in range(4)]
        rows.append([*cells, int(cells[0] + cells[1] * cells[2] + chance.gauss(0, 0.5) > 0)])
    table(folder / "measured.csv", None, rows)
    return script(
        folder / "arrays.py",
        """
        from numpy import loadtxt
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import PolynomialFeatures, StandardScaler

        dataset = loadtxt('measured.csv', delimiter=',')
        X = dataset[:, 0:4]
        Y = dataset[:, 4]
        model = make_pipeline(StandardScaler(), PolynomialFeatures(degree=2), LogisticRegression(C=0.3, max_iter=500))
        model.fit(X, Y)
        """,
    )


def titanic(folder: Path) -> Path:
    """Functions over the whole table; words out of names; two files of one kind."""
    chance, rows = random.Random(5), []
    for n in range(500):
        title, sex = chance.choice([("Mr", "male"), ("Mrs", "female"), ("Miss", "female"), ("Dr", "male")])
        age = chance.randint(1, 80) if n % 7 else None
        lives = chance.random() < (0.75 if sex == "female" else 0.2)
        rows.append([n + 1, int(lives), chance.randint(1, 3), f"{chance.choice('ABCDEFGH')}{n}, {title}. "
                    f"{chance.choice(['Ann', 'Bob'])}", sex,
                     age, chance.randint(0, 4), chance.randint(0, 3), round(chance.expovariate(0.03), 2)])  # fmt: skip
    header = ["PassengerId", "Survived", "Pclass", "Name", "Sex", "Age", "SibSp", "Parch", "Fare"]
    table(folder / "train.csv", header, rows)
    table(folder / "test.csv", [one for one in header if one != "Survived"], [[row[0], *row[2:]] for row in rows[:50]])
    return notebook(
        folder / "titanic.ipynb",
        "import re\nimport numpy as np\nimport pandas as pd\nfrom sklearn.ensemble import GradientBoostingClassifier",
        """
        PATH = './'
        train = pd.read_csv(PATH + 'train.csv')
        test = pd.read_csv(PATH + 'test.csv')
        RARE = {'Dr': 'Rare', 'Rev': 'Rare'}
        """,
        """
        def title_of(name):
            found = re.search(r', (\\w+)\\.', name)
            return RARE.get(found.group(1), found.group(1)) if found else 'none'

        def prepare(frame):
            frame = frame.copy()
            frame['Title'] = frame['Name'].apply(title_of)
            frame['Family'] = frame['SibSp'] + frame['Parch'] + 1
            frame['Alone'] = 0
            frame.loc[frame['Family'] == 1, 'Alone'] = 1
            frame['AgeBand'] = pd.cut(frame['Age'], bins=[0, 12, 18, 60, 120], labels=['child', 'teen', 'grown', 'old'])
            frame['FareRank'] = frame['Fare'].rank()
            for column in ['SibSp', 'Parch']:
                frame[column + '_any'] = (frame[column] > 0).astype(int)
            frame['Sex'] = frame['Sex'].map({'male': 0, 'female': 1}).astype(int)
            return frame.drop(['Name', 'PassengerId'], axis=1)

        train = prepare(train)
        test = prepare(test)
        """,
        """
        X = train.drop('Survived', axis=1)
        y = train['Survived']
        gb = GradientBoostingClassifier(n_estimators=50, max_depth=3)
        gb.fit(X, y)
        pd.DataFrame({'Survived': gb.predict(test)}).to_csv('submission.csv')
        """,
    )


def merged(folder: Path) -> Path:
    """Two tables that are joined: half of the features are not in the source."""
    chance, rows = random.Random(6), []
    for n in range(400):
        size = chance.randint(1, 9)
        rows.append([n, chance.randint(1, 20), size, chance.choice(["web", "shop"]), round(size * 12 + chance.gauss(0, 5), 2)])
    table(folder / "orders.csv", ["order_id", "shop_id", "items", "channel", "amount"], rows)
    table(
        folder / "shops.csv",
        ["shop_id", "city", "m2"],
        [[n, chance.choice(["A", "B"]), chance.randint(50, 900)] for n in range(1, 21)],
    )
    return notebook(
        folder / "orders.ipynb",
        "import pandas as pd\nfrom sklearn.ensemble import RandomForestRegressor",
        """
        orders = pd.read_csv('orders.csv')
        shops = pd.read_csv('shops.csv')
        df = orders.merge(shops, on='shop_id', how='left')
        df['per_m2'] = df['items'] / df['m2']
        features = ['items', 'channel', 'city', 'm2', 'per_m2']
        model = RandomForestRegressor(n_estimators=30, max_features='auto')
        model.fit(pd.get_dummies(df[features]), df['amount'])
        """,
    )


def explored(folder: Path) -> Path:
    """Nothing is predicted."""
    table(folder / "looked.csv", ["a", "b"], [[n, n % 3] for n in range(50)])
    return notebook(folder / "explored.ipynb", "import pandas as pd\ndf = pd.read_csv('looked.csv')", "df.describe()\ndf.plot()")


SCRIPTS: dict[str, Callable[[Path], Path]] = {
    made.__name__: made
    for made in (churn, houses, flowers, arrays, titanic, merged, formula, net, delays, database, several, explored)
}
