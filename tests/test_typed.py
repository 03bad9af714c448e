"""Every line of `overnight` in the README, the tutorial and the guides is typed, in order, in a home of its own."""

import json
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from infra.airline import drop_flights
from infra.postgres import stop_server
from infra.settings import Settings
from tests.adoption.scripts import houses
from tests.patience import PATIENCE, wait_for
from tests.ports import free_port
from tests.typed import Typist, lines_of

ROOT = Path(__file__).parents[1]
GUIDES = [Path("README.md"), *sorted(Path("docs/how-to").glob("*.md"))]
DAYS = ["2013-01-20", *(f"2013-01-{day}" for day in range(27, 32)), "2013-02-01", "2013-02-05", "2013-02-06"]

# Lines that stay, need Prefect or Docker, or take minutes: why, and which test types them.
ELSEWHERE = {
    "overnight up": ("stays", "tests/infra/test_services.py"),
    "overnight web": ("stays; the tutorial's is typed below", "tests/test_typed.py"),
    "overnight web --host 0.0.0.0": ("stays", "tests/web/test_access.py"),
    "overnight web --host 10.0.0.7": ("stays", "tests/web/test_access.py"),
    "overnight worker": ("stays, and needs Prefect", "tests/flows/test_scale.py"),
    "overnight mcp": ("stays", "tests/web/test_mcp.py"),
    "overnight trigger flights --interval 2013-02-05": ("needs Prefect's worker", "tests/infra/test_services.py"),
    "overnight drill flights": ("takes minutes", "tests/tasks/test_drill.py"),
    "overnight drill flights --short": ("takes a minute", "tests/tasks/test_drill.py"),
}
# A line as it is typed here, where the page leaves a word open or takes more nights than a test has time for.
TYPED = {
    "overnight run NAME --interval …": "overnight run flights --interval 2013-02-06",
    "overnight run NAME": "overnight run flights",
    "overnight check NAME": "overnight check flights",
    "flights --from 2013-02-05 --to 2013-02-28": "flights --from 2013-02-05 --to 2013-02-06",
    "--from 2013-01-01 --to 2013-03-31": "--from 2013-02-05 --to 2013-02-06",
    "flights-changed-2013-01-01-2013-03-31.json": "flights-changed-2013-02-05-2013-02-06.json",
    "pin 17": "pin 8",
    "reproduce 17": "reproduce 8",
    "overnight waive flights 2013-02-05": "overnight waive flights 2013-02-07",  # a night that never came
    "--from … --to …": "--from 2013-02-05 --to 2013-02-06",
    "--why …": "--why 'as the page says'",
    "select …": "select * from houses",
    "--from WHERE": "--from houses.csv",
    "NAME": "flights",
}
# What must be so before a line can do what the page says.
_NO_HOUSES = ["deployments/houses"]
BEFORE = {
    'overnight adopt houses.ipynb --from sqlite:///shop.db --query "select …"': _NO_HOUSES,
    "overnight adopt houses.ipynb --from WHERE": _NO_HOUSES,
    "overnight adopt houses.ipynb --target Price": _NO_HOUSES,
    "overnight plan flights --from 2013-01-01 --to 2013-03-31 --mode changed": [".overnight/data/flights/2013-02-06.csv"],
    'overnight promote flights 3 --from 2013-02-01 --why "version 4 ignores holidays" --rescore': [
        "overnight promote flights 2 --from 2013-02-01 --why 'so that there is another one'"
    ],
    "overnight promote flights 3 --why …": ["overnight promote flights 2 --why 'so that there is another one'"],
    'overnight release flights 2013-02-05 --why "a blizzard"': ["overnight hold flights 2013-02-05 --why 'to be released'"],
    'overnight rollback flights --why "bad nights since Friday" --rescore': [
        "overnight promote flights 2 --why 'to be taken back'"
    ],
}
# Lines that are refused as their page says they would be here, with the exit code.
REFUSED = {
    "overnight new churn --from customers.csv": 2,  # asks, and here nobody can answer
    "overnight db restore overnight.dump --yes": 4,  # into an empty database, which this one is not
    "overnight run NAME --tell": 5,  # tonight's file has not come
    "overnight check NAME": 5,
}


def _settings(folder: Path) -> Settings:
    return Settings(home=folder / ".overnight", deployments=folder / "deployments")


def _environment(folder: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("OVERNIGHT_")}
    return {
        **kept,
        "OVERNIGHT_PREFECT_PORT": str(free_port()),
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "80",
        "OVERNIGHT_HOME": str(folder / ".overnight"),
    }


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder as a user has it, not under pytest's own, where its Postgres would be shut out."""
    made = Path(tempfile.mkdtemp(prefix="overnight-typed-"))
    yield made
    stop_server(_settings(made).postgres_folder)
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def typist(folder: Path) -> Iterator[Typist]:
    """With some nights of the demo, three versions of its model, a table of customers, and a notebook whose table is a file and
    in a database."""
    shutil.copytree(ROOT / "deployments" / "flights", folder / "deployments" / "flights")
    drop_flights(folder / "all")
    (folder / ".overnight" / "data" / "flights").mkdir(parents=True)
    for day in DAYS:
        shutil.copy(folder / "all" / f"{day}.csv", folder / ".overnight" / "data" / "flights")
    houses(folder).rename(folder / "houses.ipynb")
    with sqlite3.connect(folder / "shop.db") as connection:
        pd.read_csv(folder / "houses.csv", sep=";").to_sql("houses", connection, index=False)
    connection.close()
    exec(_block(Path("docs/tutorial.md")).replace("customers.csv", str(folder / "customers.csv")), {})  # the page's own
    typist = Typist(folder, _environment(folder))
    for line in (
        "overnight backfill flights --from 2013-01-27 --to 2013-01-30",
        "overnight run flights --interval 2013-01-31 --retrain",
        "overnight run flights --interval 2013-02-01 --retrain",
        "overnight backfill flights --from 2013-02-05 --to 2013-02-06",
    ):
        code, said = typist.type(line)
        assert code == 0, said
    yield typist
    typist.close()


def _block(page: Path) -> str:
    found = re.search(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


def _typed(line: str) -> str:
    for said, here in TYPED.items():
        line = line.replace(said, here)
    return line


def _prepare(typist: Typist, what: str) -> None:
    """Types a line; takes a folder away; or takes the last line out of a night's file, so that it is another one."""
    path = typist.folder / what
    if what.startswith("overnight "):
        code, said = typist.type(what)
        assert code == 0 or "already" in said, said
    elif path.suffix == ".csv":
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    else:
        shutil.rmtree(path, ignore_errors=True)


@pytest.mark.slow(30)  # sixty lines, a dozen nights among them: a minute
def test_every_line_of_the_guides_does_what_it_says(typist: Typist) -> None:
    wrong = []
    for page in GUIDES:
        for line in lines_of(page):
            if line in ELSEWHERE:
                continue
            for first in BEFORE.get(line, []):
                _prepare(typist, first)
            code, said = typist.type(_typed(line))
            print(f"{page}: {line} ended with {code}: {said.strip()[-200:] if code else ''}", flush=True)
            if code != REFUSED.get(line, 0) or "Traceback" in said:
                wrong.append(f"{page}: {line} ended with {code}: {said.strip()[-400:]}")
    assert wrong == [], "\n".join(wrong)


def test_what_is_typed_elsewhere_stands_in_a_page_and_the_other_test_is_there() -> None:
    typed = {line for page in (*GUIDES, Path("docs/tutorial.md")) for line in lines_of(page)}
    assert set(ELSEWHERE) <= typed, "a line is no longer in any page"
    assert [test for _, test in ELSEWHERE.values() if not Path(test).is_file()] == []
    assert {*BEFORE, *REFUSED} <= typed
    assert [said for said in TYPED if not any(said in line for line in typed)] == []
    assert len(typed) > 50


@pytest.mark.slow  # a first night with a server that is made for it: twenty seconds
def test_the_tutorial_word_for_word_ends_on_the_morning_page_within_five_minutes(folder: Path) -> None:
    """As typed, in processes of their own: what is printed is what the page shows, and the page is there."""
    began, page = time.monotonic(), Path("docs/tutorial.md")
    environment, overnight = _environment(folder), Path(sys.executable).with_name("overnight")
    subprocess.run([sys.executable, "-c", _block(page)], cwd=folder, check=True, env=environment)
    said = ""
    for line in lines_of(page)[:3]:
        done = subprocess.run(
            [overnight, *shlex.split(line)[1:]], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        said += done.stdout + done.stderr
    assert [sentence for sentence in _shown(page) if sentence not in _plain(said)] == []
    environment["OVERNIGHT_WEB_PORT"] = str(free_port())
    web = subprocess.Popen([overnight, "web"], cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        address = f"http://localhost:{environment['OVERNIGHT_WEB_PORT']}"
        text, trust = _asked(f"{address}/p/churn"), json.loads(_asked(f"{address}/api/v1/p/churn"))["trust"]
    finally:
        web.terminate()
        web.wait(PATIENCE)
    took = time.monotonic() - began
    print(f"from the CSV to the morning page in {took:.0f} s")
    assert "churn" in text
    assert (trust["batch"], trust["model_version"], trust["verdict"], trust["fresh"]) == (2, 1, "passed", True)
    assert took < 300


def _shown(page: Path) -> list[str]:
    """What the page shows that the first two commands print, without nights and seconds."""
    found = re.findall(
        r"^(?:predicts|key|features|leak|look at|model|rules) .*\n(?: {8,}.*\n)*", page.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert len(found) >= 7
    return [_plain(each) for each in found]


def _plain(text: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", text).split())


def _asked(address: str) -> str:
    """What our own web answers, once it does."""

    def answer() -> str:
        try:
            with urllib.request.urlopen(address, timeout=60) as said:
                return str(said.read().decode())
        except OSError:
            return ""

    return wait_for(answer)
