"""Which model scores a night can be asked for by name; a plan says which nights another model or other code would change."""

from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from deployments.catalogue import Definition, load_definition
from domain.planning import ModelMode
from domain.report import NightReport, StageReport
from domain.words import RunState, Stage, StageState
from infra.settings import Settings
from tasks import score
from tasks.night import take_night
from tasks.planning import check_plan, make_plan, plan_range

Write = Callable[..., Path]
DAYS = [f"2024-01-0{day}" for day in range(1, 6)]


@pytest.fixture
def taken(settings: Settings, shops: Definition, write_day: Write) -> Definition:
    """Five nights; the third trains, and the last three have predictions."""
    for day in DAYS:
        write_day(day)
        assert take(shops, settings, day).state is RunState.PUBLISHED
    return shops


def take(definition: Definition, settings: Settings, day: str, model: ModelMode = "as-due") -> NightReport:
    return take_night(definition, definition.pipeline.calendar.named(day), settings, trigger="test", model=model)


def stage_of(report: NightReport, stage: Stage) -> StageReport:
    return next(one for one in report.stages if one.stage is stage)


def reasons(definition: Definition, settings: Settings, model: ModelMode = "as-due") -> list[str]:
    nights = [definition.pipeline.calendar.named(day) for day in DAYS]
    return [one.why for one in plan_range(definition, nights, settings, mode="changed", model=model)]


def test_as_was_trains_nothing_as_if_trains_for_the_night_and_hindsight_marks_every_row(
    settings: Settings, taken: Definition, reader: sa.Engine
) -> None:
    assert stage_of(take(taken, settings, "2024-01-05", "as-was"), Stage.TRAIN).reason.startswith("as-was: nothing is trained")
    as_if = take(taken, settings, "2024-01-05", "as-if")
    trained = stage_of(as_if, Stage.TRAIN)
    assert (trained.state, as_if.model) == (StageState.DONE, trained.detail["version"])
    assert take(taken, settings, "2024-01-05", "as-if").state is RunState.SKIPPED
    assert take(taken, settings, "2024-01-01", "as-if").batch == 1
    judged = sa.text("SELECT count(*) FROM reading.quality WHERE interval_start < '2024-01-02'")
    assert take(taken, settings, "2024-01-01", "hindsight").model == as_if.model
    with reader.connect() as connection:
        marked = connection.execute(sa.text("SELECT DISTINCT hindsight FROM shops.published WHERE interval_start < '2024-01-02'"))
        assert marked.scalars().all() == [True]
        assert connection.scalar(judged) == 0


def test_a_plan_names_what_changed_on_the_models_side(
    settings: Settings, taken: Definition, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert reasons(taken, settings) == []
    assert reasons(taken, settings, "as-if") == ["model asked for: as-if"] * 5
    monkeypatch.setattr(score, "CODE", (*score.CODE, "night"))
    assert reasons(taken, settings) == ["scoring code changed"] * 3
    monkeypatch.undo()
    path = taken.folder / "pipeline.yaml"
    path.write_text(path.read_text().replace("max_iter: 20", "max_iter: 21"))
    assert reasons(load_definition(settings.deployments, "shops"), settings) == [
        "model and training changed", "model changed", "model changed"
    ]  # fmt: skip
    (taken.folder / "features.py").write_text("def build(rows):\n    return rows\n")
    assert all(why.startswith("hook") for why in reasons(load_definition(settings.deployments, "shops"), settings))


def test_a_plan_for_a_model_is_applied_as_it_was_shown(settings: Settings, taken: Definition) -> None:
    first, last = (taken.pipeline.calendar.named(day) for day in (DAYS[3], DAYS[4]))
    plan = make_plan(taken, first, last, settings, mode="changed", model="as-if")
    assert (plan.model, list(plan.nights)) == ("as-if", DAYS[3:])
    assert check_plan(type(plan).from_json(plan.to_json()), taken, settings) == [first, last]
