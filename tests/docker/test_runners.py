"""The inline and the docker runner keep one contract: the same call, the same answers, the same bytes in the database."""

import json
import random
import re
import shutil
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from deployments.catalogue import Definition, load_definition
from domain.errors import SourceError
from domain.report import NightReport, StageReport
from domain.spec.running import Limits
from domain.words import RunState, Stage, StageState
from infra.airline import drop_flights
from infra.containers import Work, run_container
from infra.settings import Settings
from store.engine import transaction
from store.pipelines import register
from tasks.night import StageCall, take_night
from tasks.perform import perform
from tasks.routes import reach_database
from tasks.runners import perform_in_container, runner_for
from tests.docker.containers import containers
from tests.docker.names import fresh_name
from tests.patience import wait_for
from tests.tasks.test_artifacts import TRAIN, learn

pytestmark = [pytest.mark.docker, pytest.mark.slow]  # the image takes minutes to build the first time
DAYS = ["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04"]


@pytest.fixture(params=["inline", "docker"])
def shop(request: pytest.FixtureRequest, shops: Definition, settings: Settings) -> tuple[Definition, Settings]:
    """The pipeline `shops` as one runner takes it, and the settings for it."""
    image = request.getfixturevalue("image") if request.param == "docker" else settings.image
    return with_runner(shops, request.param), settings.model_copy(update={"image": image})


def with_runner(definition: Definition, runner: str) -> Definition:
    path = definition.folder / "pipeline.yaml"
    path.write_text(path.read_text() + f"runner: {runner}\n")
    return load_definition(definition.folder.parent, definition.pipeline.name)


def take(definition: Definition, settings: Settings, day: str, *, call: StageCall | None = None) -> NightReport:
    night = definition.pipeline.calendar.named(day)
    return take_night(definition, night, settings, trigger="test", call=call or runner_for(definition.pipeline, settings))


def content_hashes(engine: sa.Engine, pipeline: str) -> list[str]:
    query = "SELECT interval_start, kind, content_hash FROM reading.published WHERE pipeline = :name ORDER BY 1, 2"
    with transaction(engine) as connection:
        found = connection.execute(sa.text(query), {"name": pipeline})
        return [f"{line.interval_start:%Y-%m-%d} {line.kind} {line.content_hash}" for line in found]


def test_a_runner_takes_a_night_from_file_to_publication_and_then_says_that_nothing_is_new(
    shop: tuple[Definition, Settings], write_day: Callable[..., Path], writer: sa.Engine
) -> None:
    write_day(DAYS[0])
    report = take(*shop, DAYS[0])
    assert (report.state, report.rows_landed) == (RunState.PUBLISHED, 60)
    assert [stage.stage for stage in report.stages] == list(Stage)
    assert len(content_hashes(writer, "shops")) == 1
    again = take(*shop, DAYS[0])
    assert again.state is RunState.SKIPPED
    assert again.stages[0].state is StageState.REUSED


def test_a_runner_reports_a_missing_source_in_the_same_words(shop: tuple[Definition, Settings]) -> None:
    report = take(*shop, DAYS[0])
    assert (report.state, report.exit_code) == (RunState.FAILED, SourceError.exit_code)
    assert "ingest: there is no file" in report.reason


def test_a_runner_holds_a_night_with_too_many_rejects(shop: tuple[Definition, Settings], write_day: Callable[..., Path]) -> None:
    write_day(DAYS[0], change=lambda lines: [lines[0], *(line.replace(",", ",x", 1) for line in lines[1:])])
    report = take(*shop, DAYS[0])
    assert report.state is RunState.HELD
    assert report.rows_rejected == 60


def model_hashes(engine: sa.Engine, pipeline: str) -> list[str]:
    query = "SELECT sha256 FROM reading.model WHERE pipeline = :name ORDER BY version"
    with transaction(engine) as connection:
        return list(connection.scalars(sa.text(query), {"name": pipeline}))


@pytest.fixture
def flights(settings: Settings, owner: sa.Engine) -> Definition:
    """The demo's pipeline, on the flights that there were."""
    shutil.copytree(Path(__file__).parents[2] / "deployments" / "flights", settings.deployments / "flights")
    drop_flights(settings.data_folder / "flights")
    definition = load_definition(settings.deployments, "flights")
    register(owner, definition.pipeline, expectations=list(definition.expectations))
    return definition


def test_nights_of_flights_in_containers_give_the_same_models_and_the_same_bytes(
    flights: Definition, settings: Settings, image: str, owner: sa.Engine, writer: sa.Engine
) -> None:
    boxed = in_containers(flights, owner)
    *earlier, learns, scores = (f"2013-01-{day:02d}" for day in range(1, 6))
    for night in (*earlier, learns, scores):
        take(flights, settings, night)
        assert len(model_hashes(writer, "flights")) == (night in (learns, scores)), "it learns in the night before the last"
        call = perform if night in earlier else None  # in this process, which is quicker
        take(boxed, settings.model_copy(update={"image": image}), night, call=call)
    assert f"{scores} prediction" in content_hashes(writer, "flights")[-1]
    assert content_hashes(writer, "boxed") == content_hashes(writer, "flights")
    assert model_hashes(writer, "boxed") == model_hashes(writer, "flights")


def test_the_same_rows_give_the_same_model_hash_here_and_in_a_container(image: str, docker_engine: Any) -> None:
    estimator = "sklearn.linear_model.LogisticRegression"
    command = ["-c", TRAIN, estimator, "1"]
    said = docker_engine.containers.run(image, command, entrypoint="python3", remove=True, network_mode="none")
    assert said.decode().strip() == learn(estimator, threads=2, hash_seed=3)


def test_a_batch_and_its_stage_name_the_image_that_made_them(
    shops: Definition, settings: Settings, image: str, write_day: Callable[..., Path], owner: sa.Engine, writer: sa.Engine
) -> None:
    write_day(DAYS[0])
    report = take(in_containers(shops, owner), settings.model_copy(update={"image": "overnight:test"}), DAYS[0])
    with transaction(writer) as connection:
        assert connection.scalar(sa.text("SELECT image FROM reading.batch")) == image
    assert {stage.detail.get("image") for stage in report.stages} == {image}


AS_OTHERS = """
import json, psycopg2, sys
url = json.loads(sys.stdin.readline())["database_url"]
own = psycopg2.connect(url)
for other in ("postgres", "overnight_writer", "overnight_publish"):
    try:
        psycopg2.connect(url.replace("overnight_score", other))
        sys.exit(other)
    except psycopg2.OperationalError:
        pass
for forbidden in (
    "SET ROLE overnight_writer",
    "SELECT overnight.publish(1, 'me', 'because')",
    "UPDATE overnight.pointer SET batch = batch",
    "INSERT INTO overnight_shops.landed SELECT * FROM overnight_shops.landed",
    "INSERT INTO overnight.stage_run (run, stage) VALUES (1, 'publish')",
):
    try:
        own.cursor().execute(forbidden)
        sys.exit(forbidden)
    except psycopg2.errors.InsufficientPrivilege:
        own.rollback()
sys.exit(42)
"""


def test_a_stage_has_its_own_role_and_no_other_s_though_the_embedded_server_trusts_everybody(
    shops: Definition, settings: Settings, image: str, write_day: Callable[..., Path]
) -> None:
    write_day(DAYS[0])
    take(shops, settings, DAYS[0])
    with reach_database(settings, Stage.SCORE) as route:
        asked = Work(
            image=image, command=["python3", "-c", AS_OTHERS], name=fresh_name(), labels={},
            environment={}, secret=json.dumps({"database_url": route.url}).encode(), network=route.network, limits=Limits(),
            visible=route.visible,
        )  # fmt: skip
        assert route.network == "none"
        assert run_container(asked).exit_code == 42


def test_a_stage_that_needs_more_memory_than_its_limit_fails_with_the_limit_to_raise(
    shops: Definition, settings: Settings, image: str, write_day: Callable[..., Path], writer: sa.Engine
) -> None:
    write_day(DAYS[0])
    tight = with_runner(shops, "{kind: docker, limits: {memory: 40m}}")
    report = take(tight, settings.model_copy(update={"image": image}), DAYS[0])
    assert (report.state, report.exit_code) == (RunState.FAILED, 1)
    assert "ran out of memory at its limit of 40 MiB. Try: raise runner.limits.memory" in report.reason
    assert content_hashes(writer, "shops") == []


def test_a_night_whose_containers_are_killed_stage_by_stage_ends_like_any_other(
    shops: Definition, settings: Settings, image: str, write_day: Callable[..., Path], owner: sa.Engine, writer: sa.Engine,
    docker_engine: Any,
) -> None:  # fmt: skip
    boxed, boxed_settings = in_containers(shops, owner), settings.model_copy(update={"image": image})
    for day in DAYS:
        write_day(day)
        take(shops, settings, day)
    for day in DAYS[:-1]:
        take(boxed, boxed_settings, day, call=perform)  # in this process, which is quicker; what follows is in containers
    for victim in Stage:
        killed = take(boxed, boxed_settings, DAYS[-1], call=killing(victim, docker_engine))
        assert killed.state in (RunState.FAILED, RunState.PUBLISHED, RunState.SKIPPED), killed.reason
        assert content_hashes(writer, "boxed") in (content_hashes(writer, "shops")[:-2], content_hashes(writer, "shops"))
    take(boxed, boxed_settings, DAYS[-1])
    assert content_hashes(writer, "boxed") == content_hashes(writer, "shops")
    assert not containers(docker_engine, boxed_settings)


def killing(victim: Stage, engine: Any) -> StageCall:
    """Calls stages in containers, and kills the container of one of them at some instant."""

    def kill(run_id: int, settings: Settings, ended: threading.Event) -> None:
        wait_for(lambda: ended.is_set() or containers(engine, settings, run=run_id, stage=victim))
        ended.wait(random.random())
        for container in containers(engine, settings, run=run_id, stage=victim):
            with suppress(Exception):  # it may have ended by itself
                container.kill()

    def call(stage: Stage, run_id: int, settings: Settings) -> StageReport:
        if stage is not victim:
            return perform_in_container(stage, run_id, settings)
        ended = threading.Event()
        killer = threading.Thread(target=kill, args=(run_id, settings, ended))
        killer.start()
        try:
            return perform_in_container(stage, run_id, settings)
        finally:
            ended.set()
            killer.join()

    return call


def in_containers(definition: Definition, owner: sa.Engine) -> Definition:
    """The same pipeline under another name, on the same files, each stage in a container."""
    folder = definition.folder.with_name("boxed")
    folder.mkdir()
    for file in definition.folder.iterdir():
        text = re.sub(r"^name: \w+$", "name: boxed\nrunner: docker", file.read_text(), flags=re.MULTILINE)
        (folder / file.name).write_text(text)
    boxed = load_definition(folder.parent, "boxed")
    register(owner, boxed.pipeline, expectations=list(boxed.expectations))
    return boxed
