"""The demo's suite against the real flights of 2013: no real day is held, and what is not a day of flights is."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from deployments.catalogue import Definition, load_definition
from domain.words import Outcome, StageState
from infra.airline import drop_flights
from infra.settings import Settings
from store.batches import newest_verdict
from store.engine import transaction
from store.pipelines import register
from store.runs import claim, load_run
from tasks.context import Night
from tasks.ingest import ingest
from tasks.validate import validate

HARD_DAYS = [
    "2013-01-01", "2013-02-08", "2013-02-09", "2013-03-10", "2013-07-11", "2013-07-27", "2013-09-12", "2013-11-03",
    "2013-11-28", "2013-12-31",
]  # fmt: skip


@pytest.fixture(scope="session")
def drops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("airline") / "flights"
    drop_flights(folder)
    return folder


@pytest.fixture
def flights(settings: Settings, owner: sa.Engine, drops: Path) -> Definition:
    here = Path(__file__).parents[2] / "deployments" / "flights"
    shutil.copytree(here, settings.deployments / "flights")
    (settings.data_folder).mkdir(parents=True)
    shutil.copytree(drops, settings.data_folder / "flights", copy_function=lambda source, to: Path(to).symlink_to(source))
    definition = load_definition(settings.deployments, "flights")
    register(owner, definition.pipeline, expectations=list(definition.expectations))
    return definition


@pytest.fixture
def take(flights: Definition, settings: Settings, writer: sa.Engine) -> Callable[[str], tuple[Outcome, str]]:
    """Ingests and validates one day; answers with the verdict."""

    def take(day: str) -> tuple[Outcome, str]:
        interval = flights.pipeline.calendar.named(day)
        with claim(writer, "flights", interval, trigger="test", holder={}) as run:
            assert ingest(Night(run, flights, writer, settings)).state is not StageState.HELD
            with transaction(writer) as connection:
                run = load_run(connection, run.id)
            validate(Night(run, flights, writer, settings))
            with transaction(writer) as connection:
                verdict = newest_verdict(connection, run.input_batch or 0)
        assert verdict is not None
        return verdict[0], verdict[1]

    return take


def test_the_hardest_days_of_2013_are_not_held(take: Callable[[str], tuple[Outcome, str]]) -> None:
    held = {day: reason for day in HARD_DAYS for outcome, reason in [take(day)] if outcome is Outcome.HELD}
    assert held == {}


@pytest.mark.slow(35)
def test_no_real_day_is_held(take: Callable[[str], tuple[Outcome, str]], drops: Path) -> None:
    """Every third day, which meets each weekday of each month; all 365 pass too, and take three times as long."""
    verdicts = {path.stem: take(path.stem) for path in sorted(drops.glob("2013-*.csv"))[::3]}
    assert len(verdicts) == 122
    assert {day: reason for day, (outcome, reason) in verdicts.items() if outcome is Outcome.HELD} == {}


def test_a_drop_that_was_cut_off_is_held(take: Callable[[str], tuple[Outcome, str]], settings: Settings) -> None:
    edit(settings, "2013-01-20", lambda lines: lines[:400])
    assert take("2013-01-20") == (Outcome.HELD, "held: the night has 399 rows, limit 500 to 1,300")


def test_yesterdays_file_under_todays_name_is_held(take: Callable[[str], tuple[Outcome, str]], settings: Settings) -> None:
    yesterday = (settings.data_folder / "flights" / "2013-01-19.csv").read_text().splitlines()
    edit(settings, "2013-01-20", lambda lines: yesterday)
    outcome, reason = take("2013-01-20")
    assert outcome is Outcome.HELD
    assert reason.startswith("held: none of 674 rows is left")


def edit(settings: Settings, day: str, change: Callable[[list[str]], list[str]]) -> None:
    path = settings.data_folder / "flights" / f"{day}.csv"
    lines = change(path.read_text().splitlines())
    path.unlink()
    path.write_text("\n".join(lines) + "\n")
