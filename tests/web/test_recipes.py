"""The recipes of the how-to work as they are printed, on a pipeline of the tests' own, and show the trust line."""

import csv
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psycopg2.extensions
import pytest
from bookkeeping import Ledger

from infra.postgres import program_folders
from infra.settings import Settings
from tasks.holding import hold
from tests.patience import wait_for

PAGE = (Path(__file__).parents[2] / "docs/how-to/read-predictions.md").read_text()
SECTIONS = dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE))
BLOCK = re.compile(r"```(?:sql|python|text)\n(.*?)```", re.DOTALL)
OTHERS = {"flight_id": "shop", "flights": "shops", '"carrier": "UA"': '"region": "north"', "carrier": "region"}


def recipe(section: str, number: int = 0) -> str:
    """A code block of a section, for shops instead of flights."""
    code = BLOCK.findall(SECTIONS[section])[number]
    for theirs, ours in OTHERS.items():
        code = code.replace(theirs, ours)
    return code


@pytest.fixture
def places(role_url: Callable[[str], str], served: int) -> dict[str, str]:
    return {"URL": role_url("reader"), "WEB": f"http://localhost:{served}"}


@pytest.fixture
def trust(places: dict[str, str]) -> Callable[[], str]:
    """What the pages say at this moment."""
    return lambda: httpx.get(f"{places['WEB']}/api/v1/p/shops").headers["Overnight-Trust"]


@pytest.mark.parametrize("code", BLOCK.findall(PAGE), ids=lambda code: code.split("\n")[0][:30])
def test_a_recipe_is_short(code: str) -> None:
    assert len([line for line in code.splitlines() if line.strip()]) <= 12


def test_psql(published: Ledger, role_url: Callable[[str], str]) -> None:
    program = program_folders()[-1] / "psql"
    done = subprocess.run(
        [program, role_url("reader"), "--csv", "-X", "-c", recipe("psql")], capture_output=True, text=True, check=True
    )
    rows = list(csv.DictReader(done.stdout.splitlines()))
    assert len(rows) == 10
    assert {row["verdict"] for row in rows} == {"passed with rejects"}


def test_pandas(published: Ledger, role_url: Callable[[str], str], capsys: pytest.CaptureFixture[str]) -> None:
    exec(recipe("pandas"), {"URL": role_url("reader")})
    said = capsys.readouterr().out
    assert "passed with rejects" in said
    assert len(said.splitlines()) == 2, "one night is one line"


def test_the_link_for_spreadsheets(published: Ledger, places: dict[str, str], trust: Callable[[], str]) -> None:
    link = recipe("Excel, and other spreadsheets").strip().replace("http://localhost:8500", places["WEB"])
    answer = httpx.get(link)
    first, *lines = answer.text.splitlines()
    assert first == f"# {trust()}"
    rows = list(csv.DictReader(lines))
    assert len(rows) == 66
    assert {"shop", "probability", "region"} <= rows[0].keys()
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert len(httpx.get(f"{link}&region=north&columns=shop,probability&sort=-probability").text.splitlines()) == 24


def test_any_language_stops_when_the_numbers_are_late_or_held(
    published: Ledger, places: dict[str, str], trust: Callable[[], str], settings: Settings, clock: Any
) -> None:
    code = recipe("Any language, over HTTP")
    exec(code, {**places})
    hold(published.definition, published.night("2024-01-04"), settings, who="ada", why="in cents", holder={})
    wait_for(lambda: "held" in trust())
    with pytest.raises(SystemExit, match="which is held: by ada: in cents"):
        exec(code, {**places})
    clock.now = clock.now.replace(month=2)
    with pytest.raises(SystemExit, match="Readers keep the night of 2024-01-04"):
        exec(code, {**places})


def test_flask(published: Ledger, places: dict[str, str], trust: Callable[[], str], clock: Any) -> None:
    application: dict[str, Any] = {**places, "__name__": "tonight"}
    exec(recipe("Flask"), application)
    asker = application["app"].test_client()
    answer = asker.get("/tonight").json
    assert answer["trust"] == trust()
    assert len(answer["rows"]) == 20
    assert {row["verdict"] for row in answer["rows"]} == {"passed with rejects"}
    clock.now = clock.now.replace(month=2)
    assert "late since" in asker.get("/tonight").json["trust"]


def test_django(
    published: Ledger, places: dict[str, str], trust: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A project with the two files of the page, and what Django's own admin needs."""
    import django
    from django.conf import settings

    folder = tmp_path / "predictions"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "models.py").write_text(recipe("Django"))
    (folder / "admin.py").write_text(f"WEB = {places['WEB']!r}\n{recipe('Django', 1)}")
    (tmp_path / "addresses.py").write_text(
        "from django.contrib import admin\nfrom django.urls import path\nurlpatterns = [path('admin/', admin.site.urls)]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    place = psycopg2.extensions.parse_dsn(places["URL"])
    own = ["admin", "auth", "contenttypes", "sessions", "messages"]
    settings.configure(
        SECRET_KEY="of a test", ROOT_URLCONF="addresses", USE_TZ=True, ALLOWED_HOSTS=["testserver"], LOGGING_CONFIG=None,
        INSTALLED_APPS=["predictions", *(f"django.contrib.{name}" for name in own)],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware", "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
        ],
        TEMPLATES=[{
            "BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True,
            "OPTIONS": {"context_processors": [
                "django.template.context_processors.request", "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]},
        }],
        DATABASES={
            "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"},
            "overnight": {"ENGINE": "django.db.backends.postgresql", "NAME": place["dbname"], "USER": place["user"],
                          "HOST": place["host"], "PORT": place["port"]},
        },
    )  # fmt: skip
    django.setup()
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.db import connections
    from django.test import Client
    from django.utils.html import escape

    call_command("migrate", verbosity=0)
    browser = Client()
    browser.force_login(User.objects.create_superuser("ada"))
    page = browser.get("/admin/predictions/prediction/").content.decode()
    assert escape(trust()) in page
    assert page.count("passed with rejects</td>") == 66
    assert "s000003" in page
    assert browser.get("/admin/predictions/prediction/add/").status_code == 403
    assert 'name="_save"' not in browser.get("/admin/predictions/prediction/s000003/change/").content.decode()
    connections.close_all()


def test_streamlit(published: Ledger, places: dict[str, str], trust: Callable[[], str], clock: Any) -> None:
    from streamlit.testing.v1 import AppTest

    addresses = "".join(f"{name} = {place!r}\n" for name, place in places.items())
    page = AppTest.from_string(addresses + recipe("Streamlit"), default_timeout=60).run()
    assert not page.exception
    assert page.caption[0].value == trust()
    assert set(page.dataframe[0].value["region"]) == {"east"}
    page.selectbox[0].select("north").run()
    assert set(page.dataframe[0].value["region"]) == {"north"}
    assert set(page.dataframe[0].value["verdict"]) == {"passed with rejects"}
    clock.now = clock.now.replace(month=2)
    assert "late since" in page.run().caption[0].value
