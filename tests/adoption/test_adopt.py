"""Notebooks become pipelines: what comes along, what is told instead, and that the folder runs."""

import ast
import runpy
from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa

from deployments.catalogue import Definition, load_definition
from domain.errors import SourceError, UsageError
from domain.interval import Interval
from domain.words import Outcome, RunState
from infra.settings import Settings
from store.pipelines import register
from tasks.adoption.adopt import Adopted, Wish, adopt
from tasks.adoption.report import lines, to_json
from tasks.check import check
from tasks.estimators import build_estimator
from tasks.night import take_night
from tasks.onboarding.write import write_pipeline
from tests.adoption.scripts import SCRIPTS
from tests.adoption.written import notebook, script

TODAY = date(2024, 6, 2)
NIGHT = Interval(datetime(2024, 6, 1, tzinfo=UTC), datetime(2024, 6, 2, tzinfo=UTC))

# The question, the columns that are handed in, what features.py makes of them, the estimator, and what is said.
EXPECTED: dict[str, tuple[str, set[str], set[str], str, list[str]]] = {
    "churn": (
        "Churn == true", {"Plan", "Months", "Calls", "Total"}, {"PerMonth"}, "sklearn.ensemble.RandomForestClassifier",
        ["carried: cell 5, line 8: GridSearchCV became model.search over max_depth, min_samples_leaf", "skipped: cell 2, "
        "line 1: '!pip"],
    ),
    "houses": (
        "Price", {"Area", "Built", "Garden", "Town"}, {"LogArea", "Old"}, "sklearn.linear_model.Ridge",
        ["leak: cell 4, line 4: StandardScaler was fitted on all rows before any were set apart for testing",
         "leak: cell 3, line 5: PriceM2 is made of the answer", "left: cell 3, line 2: 'Age' = datetime.now().year", "it "
         "asks what day it is",
         "left: cell 3, line 4: 'PerTown'", "data[data['Area'] < 200] takes some of the rows", "ours: cell 3, line 1: 'Garden'",
         "Ridge(normalize=…): there is no such argument here"],
    ),
    "flowers": ("kind", {"petal_length", "petal_width"}, set(), "features.py:make", ["LinearSVC gives no probabilities"]),
    "arrays": ("column_5 == 1", {f"column_{n}" for n in range(1, 5)}, set(), "features.py:make", ["ours: line 9: "
    "StandardScaler"]),
    "titanic": (
        "Survived == 1", {"Pclass", "Name", "Sex", "Age", "SibSp", "Parch", "Fare"},
        {"Title", "Family", "Alone", "AgeBand", "SibSp_any", "Parch_any", "Sex"}, "sklearn.ensemble.GradientBoostingClassifier",
        ["left: cell 4, line 12: 'FareRank'", "it needs ranks among all rows", "test.csv is read there too", "astype(int) "
        "in 'Sex'"],
    ),
    "merged": (
        "amount", {"items", "channel"}, set(), "sklearn.ensemble.RandomForestRegressor",
        ["left: cell 3, line 3: the merge with shops.csv: a pipeline has one source, so 'city', 'm2' cannot be had", "'per_m2'",
         "RandomForestRegressor(max_features='auto'): this scikit-learn refuses it"],
    ),
    "formula": ("crop_yield", {"dose", "field"}, set(), "HistGradientBoostingRegressor", ["left: line 4: ols is statsmodels'"]),
    "net": ("label == 1", {"left", "right"}, set(), "HistGradientBoostingClassifier", ["left: cell 3, line 3: Sequential is "
    "Keras'"]),
    "delays": (
        "arr_delay > 15", {"hour", "miles", "carrier", "day"}, {"weekday"}, "sklearn.linear_model.LogisticRegression",
        ["arr_delay is what the answer is made of; left out of the features",
         "leak: cell 3, line 2: rows were set apart by chance, though day says when each happened"],
    ),
    "database": (
        "paid", {"age", "region"}, set(), "HistGradientBoostingRegressor",
        ["left: line 16: XGBRegressor is xgboost's", "with max_iter 60, learning_rate 0.1, max_depth 4"],
    ),
    "several": ("grade", {"acid", "sugar"}, set(), "features.py:make", ["also tried there: DecisionTreeClassifier, "
    "ExtraTreesClassifier"]),
}  # fmt: skip


def adopted(name: str, folder: Path, *, source: str = "", target: str | None = None) -> Adopted:
    folder.mkdir(exist_ok=True)
    return adopt(Wish(SCRIPTS[name](folder), name, source, target=target), today=TODAY, night=NIGHT, data=folder / "data")


def read_text(
    folder: Path, text: str, *, rows: str = "a,b,y\n" + "".join(f"{n % 23},{n % 7},{n * 5 % 3 % 2}\n" for n in range(60))
) -> Adopted:
    """A script of these lines, beside a small table named t.csv."""
    (folder / "t.csv").write_text(rows)
    head = "import pandas as pd, numpy as np\nfrom sklearn.tree import DecisionTreeClassifier\n"
    path = script(folder / "s.py", head + text + "\nDecisionTreeClassifier().fit(X, y)\n")
    return adopt(Wish(path, "s"), today=TODAY, night=NIGHT, data=folder / "data")


def said(found: Adopted) -> str:
    return "\n".join(f"{one.kind}: {one.place}: {one.what}" for one in found.said)


def written(found: Adopted, settings: Settings, owner: sa.Engine) -> Definition:
    name = found.proposal.asked.name
    write_pipeline(found.proposal, settings.deployments, timezone="UTC", force=False, code=found.code)
    definition = load_definition(settings.deployments, name)
    register(owner, definition.pipeline, expectations=list(definition.expectations))
    return definition


@pytest.mark.parametrize("name", EXPECTED)
def test_what_a_notebook_does_is_found_and_what_cannot_come_along_is_told(name: str, tmp_path: Path) -> None:
    question, given, made, estimator, told = EXPECTED[name]
    found = adopted(name, tmp_path)
    proposal = found.proposal
    assert (proposal.goal.rule or proposal.goal.column.name) == question
    assert {one for names in proposal.features.values() for one in names} == given
    assert str(proposal.model["estimator"]).endswith(estimator)
    assigned = [line.split("'")[-2] if ".loc" in line else line.split("'")[1] for line in found.code.splitlines()
                if line.startswith("    rows[") or line.startswith("    rows.loc")]  # fmt: skip
    assert set(assigned) == made
    assert [sentence for sentence in told if sentence not in said(found)] == []
    assert all(sentence for _, sentence in lines(found))
    assert len(to_json(found, "here")["said"]) == len(found.said)
    ast.parse(found.code)


@pytest.mark.parametrize("name", EXPECTED)
def test_an_adopted_folder_passes_its_check(name: str, tmp_path: Path, settings: Settings, owner: sa.Engine) -> None:
    definition = written(adopted(name, tmp_path / "there"), settings, owner)
    found = check(definition, NIGHT, settings)
    assert (found.outcome, found.unreadable, found.caught) == (Outcome.PASSED, 0, 0), found.reason
    build_estimator(definition.pipeline, settings)


@pytest.mark.slow  # whole nights: about five seconds each
@pytest.mark.parametrize("name", ["churn", "houses", "titanic", "flowers", "delays"])
def test_an_adopted_pipeline_takes_a_whole_night(name: str, tmp_path: Path, settings: Settings, owner: sa.Engine) -> None:
    definition = written(adopted(name, tmp_path / "there"), settings, owner)
    report = take_night(definition, NIGHT, settings, trigger="test")
    assert report.state is RunState.PUBLISHED, report.reason
    with owner.connect() as connection:
        figures = connection.execute(sa.text("SELECT metric, value, dummy FROM overnight.quality")).all()
        columns = connection.execute(sa.text("SELECT card FROM overnight.model")).scalars().first()
    decisive = definition.pipeline.model.metric
    better = [one.value > one.dummy if decisive in ("roc_auc", "accuracy") else one.value < one.dummy
              for one in figures if one.metric == decisive]  # fmt: skip
    assert better == [True], figures
    assert columns


def test_a_hook_says_what_the_notebook_said(tmp_path: Path) -> None:
    """The very lines of the notebook, run by pandas, and the hook that was made of them, on the same rows."""
    found = adopted("titanic", tmp_path)
    (tmp_path / "features.py").write_text(found.code)
    build = runpy.run_path(str(tmp_path / "features.py"))["build"]
    train = pd.read_csv(tmp_path / "train.csv")
    given = train[[*(one for names in found.proposal.features.values() for one in names)]]
    ours = build(given.astype(dict.fromkeys(given.select_dtypes("number"), "float64")))
    theirs = train["Name"].str.extract(r", (\w+)\.")[0].replace("Dr", "Rare")
    assert (ours["Title"] == theirs).all()
    assert (ours["Family"] == train["SibSp"] + train["Parch"] + 1).all()
    assert (ours["Alone"] == (train["SibSp"] + train["Parch"] == 0)).all()
    assert set(ours["AgeBand"].dropna()) == {"child", "teen", "grown", "old"}


def test_nothing_of_a_script_is_run(tmp_path: Path) -> None:
    """Not when it is imported, nor by a name that looks like a constant."""
    trap = f"open({str(tmp_path / 'trap')!r}, 'w').write('run')"
    found = read_text(tmp_path, f"import os\n{trap}\nWHERE = 't' + str({trap}) if False else 't.csv'\ndf = pd.read_csv('t.csv')\n"
                      f"os.system('touch {tmp_path}/trap')\ndf['z'] = df['a'].apply(lambda v: os.system('touch "
                      f"{tmp_path}/trap'))\n"
                      "X, y = df[['a', 'z']], df['y']")  # fmt: skip
    assert not (tmp_path / "trap").exists()
    assert "os.system is not known here to look at one row" in said(found)
    assert "os" not in found.code


def test_no_table_no_answer_and_damage_are_sentences(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"explored\.ipynb fits nothing to an answer.*the table has a, b") as none:
        adopted("explored", tmp_path)
    assert "--target COLUMN" in none.value.hint
    whole = notebook(tmp_path / "whole.ipynb", "x = 1").read_text()
    for name, text, words in (
        ("broken", whole[:80], "no whole notebook"), ("list", "[1, 2]", "no notebook: it has no cells"),
        ("prose", '{"cells": [{"cell_type": "markdown", "source": "hello"}]}', "holds no code"),
    ):  # fmt: skip
        (tmp_path / f"{name}.ipynb").write_text(text)
        with pytest.raises(SourceError, match=words):
            adopt(Wish(tmp_path / f"{name}.ipynb", name), today=TODAY, night=NIGHT, data=tmp_path)
    with pytest.raises(UsageError, match="reads no table"):
        adopt(Wish(script(tmp_path / "nothing.py", "x = [1, 2]\n"), "nothing"), today=TODAY, night=NIGHT, data=tmp_path)
    with pytest.raises(UsageError, match="neither a notebook"):
        adopt(Wish(tmp_path / "a.R", "a"), today=TODAY, night=NIGHT, data=tmp_path)


def test_a_table_that_is_elsewhere_is_named_by_from(tmp_path: Path) -> None:
    path = script(tmp_path / "s.py", "import pandas as pd\nfrom sklearn.svm import SVR\ndf = pd.read_csv('/kaggle/input/t.csv')\n"
                  "SVR(C=3).fit(df[['a', 'b']], df['y'])\n")  # fmt: skip
    with pytest.raises(SourceError, match=r"s\.py, line 3: there is no file /kaggle/input/t\.csv") as gone:
        adopt(Wish(path, "s"), today=TODAY, night=NIGHT, data=tmp_path)
    assert "--from" in gone.value.hint
    (tmp_path / "here.csv").write_text("a,b,y\n" + "".join(f"{n},{n % 5},{n * 1.5}\n" for n in range(60)))
    found = adopt(Wish(path, "s", str(tmp_path / "here.csv")), today=TODAY, night=NIGHT, data=tmp_path)
    assert dict(found.proposal.model)["params"] == {"C": 3}
    toys = script(tmp_path / "toys.py", "from sklearn.datasets import load_iris\nX, y = load_iris(return_X_y=True)\n")
    with pytest.raises(UsageError, match="load_iris makes its table inside a library"):
        adopt(Wish(toys, "toys"), today=TODAY, night=NIGHT, data=tmp_path)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("df['z'] = df['a'] / df['a'].max()", "it needs the max of all rows"),
        ("df['z'] = df['a'].shift(1)", "it needs other rows"),
        ("df['z'] = df.groupby('b')['a'].transform('sum')", "it needs groups of rows"),
        ("df['z'] = pd.qcut(df['a'], 4)", "it needs the quantiles of all rows"),
        ("df['z'] = pd.cut(df['a'], 5)", "its bins are made from the least and the most of all rows"),
        ("df['z'] = np.random.rand(len(df))", "it"),
        ("m = df['a'].mean()\ndf['z'] = df['a'] - m", "m is the mean over all rows of 'a'"),
        ("df['z'] = [v * 2 for v in df['a']]", "it goes through the rows one by one"),
        ("df['z'] = helper(df['a'])", "helper"),
        ("df['z'] = df['nowhere'] * 2", "it reads 'nowhere', which is no column here"),
    ],
)
def test_what_needs_more_than_one_row_is_left_out_with_the_reason(line: str, why: str, tmp_path: Path) -> None:
    found = read_text(tmp_path, f"df = pd.read_csv('t.csv')\n{line}\nX, y = df.drop(columns='y'), df['y']")
    assert found.code == ""
    assert why in said(found)
    assert found.proposal.features == {"numeric": ["a", "b"]}


@pytest.mark.parametrize(
    ("lines_", "question"),
    [
        ("y = df['word'].map({'good': 0, 'bad': 1})", 'word == "bad"'),
        ("y = (df['word'] == 'bad').astype(int)", 'word == "bad"'),
        ("y = np.where(df.word != 'good', 1, 0)", 'word != "good"'),
        ("y = df['word'].apply(lambda w: 1 if w == 'good' else 0)", 'word == "good"'),
        ("df['t'] = df['n'] >= 30\ny = df['t']", "n >= 30"),
        ("df['t'] = df['n'].apply(lambda v: int(v > 30))\ny = df.pop('t')", "n > 30"),
        ("y = ~(df['n'] > 30)", "n <= 30"),
        ("df['word'] = df['word'].replace({'good': 1, 'bad': 0})\ny = df.word.values.ravel()", 'word == "good"'),
        ("from sklearn.preprocessing import LabelEncoder\ny = LabelEncoder().fit_transform(df['word'])", 'word == "bad"'),
    ],
)
def test_a_question_is_read_however_it_is_asked(lines_: str, question: str, tmp_path: Path) -> None:
    rows = "n,x,word\n" + "".join(f"{n},{n * 7 % 11},{'good' if n % 3 else 'bad'}\n" for n in range(60))
    found = read_text(tmp_path, f"df = pd.read_csv('t.csv')\n{lines_}\nX = df[['x']]", rows=rows)
    assert found.proposal.goal.rule == question


def test_what_pandas_reads_as_text_stays_text_for_the_hook(tmp_path: Path) -> None:
    """The contract would take 12 kg for a number and yes for a yes: the notebook's own lines expect the cells."""
    rows = "weight,fresh,when,y\n" + "".join(
        f"{n % 37} kg,{'yes' if n % 2 else 'no'},2024-01-{n % 28 + 1:02d},{n % 3 % 2}\n" for n in range(90)
    )
    found = read_text(tmp_path, "df = pd.read_csv('t.csv')\ndf['kg'] = df['weight'].str.replace(' kg', '').astype(int)\n"
                      "df['new'] = df['fresh'].map({'yes': 1, 'no': 0})\ndf['month'] = df['when'].str[5:7]\n"
                      "X, y = df[['kg', 'new', 'month']], df['y']", rows=rows)  # fmt: skip
    types = {column.name: column.type for column in found.proposal.table.columns}
    assert {name: types[name] for name in ("weight", "fresh", "when")} == dict.fromkeys(("weight", "fresh", "when"), "text")
    (tmp_path / "features.py").write_text(found.code)
    made = runpy.run_path(str(tmp_path / "features.py"))["build"](pd.read_csv(tmp_path / "t.csv")[["weight", "fresh", "when"]])
    assert (list(made["kg"][:3]), list(made["new"][:3]), list(made["month"][:1])) == ([0.0, 1.0, 2.0], [0, 1, 0], ["01"])
