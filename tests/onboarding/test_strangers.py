"""Strangers' tables from file to page by the commands that they would type: nothing is edited, and nothing is worse than what
anyone gets in ten lines."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.strangers.baseline import measure_baseline
from bench.strangers.tables import bring
from bench.strangers.trial import try_table
from infra.postgres import stop_server
from infra.settings import Settings
from tests.onboarding.made import Made
from tests.onboarding.test_new import proposed

# Of those that `python -m bench.strangers` takes, the most different small ones: German, many dates, doubled names, SQL, wide.
SOME = ("survey", "attrition", "flats", "parcels", "football", "penguins", "orders", "wide")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    folder = tmp_path_factory.mktemp("s")
    settings = Settings(home=folder / "home", deployments=folder / "deployments")
    yield settings
    stop_server(settings.postgres_folder)


@pytest.mark.slow(35)  # a night by the command line takes about ten seconds
@pytest.mark.parametrize("name", SOME)
def test_a_stranger_has_nothing_to_complain_of(name: str, stranger: Settings, tmp_path: Path) -> None:
    brought = bring(name, tmp_path)
    trial, usual = try_table(name, brought, stranger), measure_baseline(brought)
    assert trial.wrong == []
    assert trial.ours >= usual.mean - usual.deviation


def test_a_leak_of_two_columns_is_named_and_left_out(tmp_path: Path) -> None:
    for name in ("stays", "taxis", "parcels", "football", "bikes"):
        brought = bring(name, tmp_path / name)
        found = proposed(Made(name, brought.source, brought.target, brought.task), tmp_path)
        assert {leak.column for leak in found.leaks if leak.out} >= set(brought.leaks)
        assert not {name for names in found.features.values() for name in names} & set(brought.leaks)
