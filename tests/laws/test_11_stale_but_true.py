"""Law 11 and the promise: what readers keep is whole and true, whatever tonight's run came to."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from deployments.catalogue import Definition, load_definition
from domain.errors import DefinitionError
from domain.report import NightReport, StageReport
from domain.words import RunState, Stage
from infra.settings import Settings
from store.engine import transaction
from store.pipelines import register
from tasks.context import writer_engine
from tasks.export import export
from tasks.holding import release
from tasks.night import take_night, whoami
from tasks.perform import perform
from tests.conftest import SHOPS, SHOPS_EXPECTATIONS

DAYS = ["2024-01-01", "2024-01-02", "2024-01-03"]
NOW = datetime(2024, 1, 4, 6, tzinfo=UTC)
Take = Callable[..., NightReport]


@pytest.fixture
def take(settings: Settings, shops: Definition, write_day: Callable[..., Path]) -> Iterator[Take]:
    """Takes a night of shops; three are published."""

    def one(day: str, call: object = perform) -> NightReport:
        definition = load_definition(settings.deployments, "shops")
        return take_night(definition, definition.pipeline.calendar.named(day), settings, trigger="test", call=call)  # type: ignore[arg-type]

    for day in DAYS:
        write_day(day)
        assert one(day).state is RunState.PUBLISHED
    yield one
    writer_engine(settings).dispose()


def _seen(reader: sa.Engine, query: str) -> list[tuple[object, ...]]:
    with transaction(reader) as connection:
        return [tuple(line) for line in connection.execute(sa.text(query))]


def test_predictions_are_never_reused_under_the_verdict_of_another_suite(
    take: Take, settings: Settings, reader: sa.Engine
) -> None:
    path = settings.deployments / "shops" / "expectations.yaml"
    path.write_text(SHOPS_EXPECTATIONS + "- {expect: column_values_to_not_be_null, column: stock}\n")
    report = take(DAYS[-1])
    ((newest, parent),) = _seen(reader, "SELECT batch, input_batch FROM reading.published WHERE kind = 'prediction'")
    ((landed,),) = _seen(reader, "SELECT batch FROM reading.published WHERE kind = 'input' ORDER BY interval_start DESC LIMIT 1")
    assert (newest, parent) == (report.batch, landed)


def test_a_key_an_answer_or_a_calendar_that_changed_cannot_change_what_old_nights_show(
    take: Take, settings: Settings, owner: sa.Engine
) -> None:
    path = settings.deployments / "shops" / "pipeline.yaml"
    for old, new, sentence in (
        ("region: {type: text}", "region: {type: text, key: true}", "the key cannot become"),
        ('as: "left_over < 1", task: classification', "task: regression", "cannot become double precision"),
        ("timezone: Europe/Berlin", "timezone: America/New_York", "cut otherwise"),
        ("every: day", "every: week", "cut otherwise"),
        ("every: day", "every: hour", "cut otherwise"),
    ):
        text = SHOPS.replace(old, new)
        path.write_text(text.replace("model: {", "model: {metric: rmse, ") if "regression" in new else text)
        changed = load_definition(settings.deployments, "shops")
        with pytest.raises(DefinitionError, match=sentence):
            register(owner, changed.pipeline, expectations=[])


def test_predictions_say_which_question_they_answer_once_another_one_is_asked(
    take: Take, settings: Settings, owner: sa.Engine, tmp_path: Path
) -> None:
    def words() -> str:
        said = export(settings, "shops", tmp_path / "rows.csv", night=DAYS[-1], as_of=None, now=NOW, comment=True)
        return said.words.rpartition("; ")[2]

    assert words() == "passed"
    path = settings.deployments / "shops" / "pipeline.yaml"
    path.write_text(SHOPS.replace("left_over < 1", "left_over < 20"))
    register(owner, load_definition(settings.deployments, "shops").pipeline, expectations=[])
    assert words() == "answers another question than is asked now: left_over < 1"
    assert take(DAYS[-1]).state is RunState.PUBLISHED
    assert words() == "passed"


def test_a_released_night_is_still_judged_by_the_suite_that_never_saw_it(
    take: Take, settings: Settings, write_day: Callable[..., Path]
) -> None:
    def spoil(lines: list[str]) -> list[str]:
        """A third of the rows are unreadable, and the others have a stock that the suite forbids."""
        head, *rows = lines
        cells = [row.split(",") for row in rows]
        return [head, *(",".join([*c[:3], "many" if i % 3 == 0 else "5000", *c[4:]]) for i, c in enumerate(cells))]

    write_day(DAYS[-1], change=spoil)
    assert take(DAYS[-1]).state is RunState.HELD
    definition = load_definition(settings.deployments, "shops")
    night = definition.pipeline.calendar.named(DAYS[-1])
    release(definition, night, settings, who="test", why="accepted", holder=whoami())
    held = take(DAYS[-1])
    assert held.state is RunState.HELD
    assert "stock" in held.reason


def test_new_rows_are_not_shown_beside_predictions_for_the_old_ones(
    take: Take, reader: sa.Engine, owner: sa.Engine, write_day: Callable[..., Path]
) -> None:
    before = _seen(reader, "SELECT kind, interval_start, batch FROM reading.published ORDER BY 1, 2")
    with transaction(owner) as connection:
        connection.execute(sa.text("ALTER TABLE overnight.alias_move DISABLE TRIGGER append_only"))
        connection.execute(sa.text("DELETE FROM overnight.alias_move"))
        connection.execute(sa.text("ALTER TABLE overnight.alias_move ENABLE TRIGGER append_only"))
    write_day(DAYS[-1], rows=50)

    def without_training(stage: Stage, run: int, settings: Settings) -> StageReport:
        return perform(Stage.OBSERVE if stage is Stage.TRAIN else stage, run, settings)

    report = take(DAYS[-1], without_training)
    assert report.state is RunState.HELD
    assert "no model may score the new rows" in report.reason
    assert _seen(reader, "SELECT kind, interval_start, batch FROM reading.published ORDER BY 1, 2") == before


def test_a_failure_after_the_pointer_moved_is_no_failed_night(take: Take, write_day: Callable[..., Path]) -> None:
    from domain.errors import StageFailed

    def failing(stage: Stage, run: int, settings: Settings) -> StageReport:
        if stage is Stage.OBSERVE:
            raise StageFailed("the answers could not be read")
        return perform(stage, run, settings)

    write_day(DAYS[-1], rows=55)
    report = take(DAYS[-1], failing)
    assert report.state is RunState.PUBLISHED
    assert report.reason.endswith("the answers could not be read")


def test_an_error_that_nobody_foresaw_is_a_failed_night_with_a_sentence(take: Take) -> None:
    def broken(stage: Stage, run: int, settings: Settings) -> StageReport:
        raise RuntimeError("a bug")

    report = take(DAYS[-1], broken)
    assert (report.state, report.exit_code) == (RunState.FAILED, 1)
    assert report.reason == "unexpected RuntimeError: a bug"


def test_a_run_that_was_declared_dead_after_it_published_does_not_end_as_a_success(take: Take, owner: sa.Engine) -> None:
    def declared_dead(stage: Stage, run: int, settings: Settings) -> StageReport:
        report = perform(stage, run, settings)
        if stage is Stage.OBSERVE:
            with transaction(owner) as connection:
                connection.execute(
                    sa.text("UPDATE overnight.run SET state = 'crashed', ended_at = now() WHERE id = :id"), {"id": run}
                )
        return report

    report = take(DAYS[-1], declared_dead)
    assert (report.state, report.exit_code) == (RunState.CRASHED, 1)
