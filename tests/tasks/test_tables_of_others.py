"""Whatever the table, the model that nobody chose is as good as the baseline that anybody would try, as good as it says."""

import pytest
import sqlalchemy as sa

from deployments.catalogue import load_definition
from domain.words import RunState
from infra.settings import Settings
from store.engine import transaction
from store.pipelines import register
from tasks.night import take_night
from tests.tasks.tables_of_others import Table, bundled, made

BUNDLED = ("iris", "wine", "breast_cancer", "diabetes")  # of digits and thirty others: python -m bench.strangers
MADE = ("rare", "sparse", "words", "dated", "large")


def take(table: Table, name: str, settings: Settings, owner: sa.Engine) -> tuple[dict[str, float], dict[str, float]]:
    """One night over the whole table; realised quality, and the card's figures."""
    folder = settings.deployments / name
    folder.mkdir(parents=True)
    (folder / "pipeline.yaml").write_text(table.to_yaml(name))
    (folder / "expectations.yaml").write_text("[]\n")
    settings.data_folder.mkdir(parents=True, exist_ok=True)
    table.frame.to_csv(settings.data_folder / f"{name}.csv", index_label="row")
    definition = load_definition(settings.deployments, name)
    register(owner, definition.pipeline, expectations=[])
    report = take_night(definition, definition.pipeline.calendar.named("2024-01-01"), settings, trigger="test")
    assert report.state is RunState.PUBLISHED, report
    assert report.rows_scored == len(table.frame), [stage.reason for stage in report.stages]
    with transaction(owner) as connection:
        found = connection.execute(sa.text("SELECT metric, value FROM reading.quality")).all()
        (card,) = connection.execute(sa.text("SELECT metrics->'held_out' FROM reading.model")).scalars().all()
    return {line.metric: line.value for line in found}, card


@pytest.mark.slow(25)  # it learns six models and a baseline of five for each table
@pytest.mark.parametrize("name", [*MADE[::-1], *BUNDLED])
def test_the_default_model_reaches_the_baseline_and_claims_what_it_shows(
    name: str, settings: Settings, owner: sa.Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    table = bundled(name) if name in BUNDLED else made(name)
    realised, claimed = take(table, f"t_{name}", settings, owner)
    mean, deviation = table.baseline()
    with capsys.disabled():
        print(f"\n{name}: {table.metric} {realised[table.metric]:.4f}, baseline {mean:.4f} ± {deviation:.4f}")
    assert realised[table.metric] >= mean - deviation
    assert {metric: claimed[metric] for metric in realised} == pytest.approx(realised, abs=1e-9)
