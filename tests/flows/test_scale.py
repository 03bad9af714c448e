"""Nights and ranges of rows on real Dask workers, with a real Prefect server: the same content, whoever dies on the way."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from distributed import Client, Event

from deployments.catalogue import Definition, load_definition
from domain.errors import OrchestratorUnavailable
from domain.report import NightReport
from domain.words import RunState
from infra.cluster import work_in_turn
from infra.prefect_home import settings_environment
from infra.settings import Settings, load_settings
from store.engine import transaction
from store.pipelines import register
from tasks import spread
from tasks.night import take_night
from tests.flows.conftest import Inbox
from tests.patience import wait_for

pytestmark = pytest.mark.slow(25)  # a scheduler, two workers and Prefect's server are started
DAYS = [f"2024-01-{day:02d}" for day in range(1, 13)]
WITHOUT_FILE = "2024-01-13"


@dataclass
class Cluster:
    """A scheduler and two workers, processes like on two machines."""

    folder: Path
    environment: dict[str, str]
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def address(self) -> str:
        import json

        return str(json.loads((self.folder / "scheduler.json").read_text())["address"])

    def start(self, *words: str) -> None:
        command = [
            sys.executable,
            "-m",
            "dask",
            *words,
            "--scheduler-file",
            str(self.folder / "scheduler.json"),
            "--no-dashboard",
        ]
        log = (self.folder / f"{words[0]}.log").open("ab")
        self.processes.append(subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=log, stderr=log))


@pytest.fixture
def cluster(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    environment = {**os.environ, **settings_environment(settings), "PYTHONPATH": str(Path.cwd())}
    environment["DASK_CONFIG"] = str(Path("infra/dask.yaml").absolute())
    environment["DASK_DISTRIBUTED__SCHEDULER__WORK_STEALING"] = "False"  # what stands behind a busy worker, stays there
    cluster = Cluster(tmp_path, environment)
    cluster.start("scheduler", "--host", "127.0.0.1", "--port", "0")
    wait_for(lambda: (tmp_path / "scheduler.json").exists())
    for _ in range(2):
        cluster.start("worker", "--no-nanny", "--nthreads", "1", "--host", "127.0.0.1")
    wait_for(lambda: (tmp_path / "worker.log").read_text().count("Registered to") == 2)
    for name, value in settings_environment(settings).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OVERNIGHT_DASK_ADDRESS", cluster.address)
    load_settings.cache_clear()
    yield cluster
    for process in cluster.processes:
        process.kill()
        process.wait()
    load_settings.cache_clear()


def on_dask(definition: Definition, owner: sa.Engine) -> Definition:
    """The same pipeline under another name, on the same files, spread over Dask's workers."""
    folder = definition.folder.with_name("spread")
    folder.mkdir()
    for file in definition.folder.iterdir():
        (folder / file.name).write_text(file.read_text().replace("name: shops", "name: spread\nrunner: {kind: dask}"))
    spread = load_definition(folder.parent, "spread")
    register(owner, spread.pipeline, expectations=list(spread.expectations))
    return spread


def published(engine: sa.Engine, pipeline: str) -> list[tuple[Any, ...]]:
    query = "SELECT interval_start, kind, content_hash, model_version FROM reading.published WHERE pipeline = :name ORDER BY 1, 2"
    with transaction(engine) as connection:
        return [tuple(line) for line in connection.execute(sa.text(query), {"name": pipeline})]


def nights_of(definition: Definition, settings: Settings) -> list[NightReport]:
    calendar = definition.pipeline.calendar
    return [take_night(definition, calendar.named(day), settings, trigger="test") for day in DAYS]


def test_a_backfill_on_workers_of_which_one_is_killed_gives_what_one_process_gives(
    cluster: Cluster, prefect: str, shops: Definition, settings: Settings, owner: sa.Engine, writer: sa.Engine,
    write_day: Callable[..., Path], inbox: Inbox, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from threading import Thread

    from flows.backfill import backfill
    from flows.outcome import outcome_of

    calendar = shops.pipeline.calendar
    ends = calendar.named(DAYS[0]), calendar.named(WITHOUT_FILE)
    for day in DAYS:
        write_day(day)
    nights_of(shops, settings)
    on_dask(shops, owner)

    def kill() -> None:
        wait_for(lambda: len([line for line in published(writer, "spread") if line[1] == "prediction"]) >= 2)
        cluster.processes[-1].kill()

    killer = Thread(target=kill, daemon=True)
    killer.start()
    monkeypatch.setenv("OVERNIGHT_NOTIFY", inbox.url)
    load_settings.cache_clear()
    reports = outcome_of(backfill("spread", DAYS[0], WITHOUT_FILE, tell=True, return_state=True))
    killer.join()
    assert [one["title"] for one in inbox] == [f"spread {WITHOUT_FILE}: failed"]
    # What a worker had just published when it was killed, the next one finds done.
    states = [report.state for report in reports]
    assert (set(states[:-1]) <= {RunState.PUBLISHED, RunState.SKIPPED}, states[-1]) == (True, RunState.FAILED), reports
    assert [report.interval.start for report in reports] == [night.start for night in calendar.between(*ends)]
    assert published(writer, "spread") == published(writer, "shops")
    with transaction(writer) as connection:
        holders = connection.execute(sa.text("SELECT DISTINCT holder ->> 'pid' FROM overnight.run WHERE pipeline = 'spread'"))
        assert len(holders.all()) == 2, "both workers took nights"
        assert not connection.scalar(sa.text("SELECT count(*) FROM overnight.run WHERE state = 'running'"))
        silent = "SELECT count(*) FROM overnight.run WHERE pipeline = 'spread' AND NOT coalesce((holder ->> 'tell')::bool, false)"
        assert not connection.scalar(sa.text(silent)), "who listens is woken, as was asked for"
    assert end_of_a_night_whose_backfill_is_gone(cluster, writer) == ("failed", "whoever asked for this night is gone")


def end_of_a_night_whose_backfill_is_gone(cluster: Cluster, writer: sa.Engine) -> tuple[str, str]:
    """Of one that waits for its turn behind a night that nobody takes."""

    def newest() -> tuple[str, str]:
        with transaction(writer) as connection:
            line = connection.execute(sa.text("SELECT state, reason FROM overnight.run ORDER BY id DESC LIMIT 1")).one()
            return line.state, line.reason

    with Client(cluster.address) as client:
        asked = client.submit(spread.take_there, "spread", DAYS[-1], "as-if", "gone", {}, 1)
        wait_for(lambda: newest()[0] == "running")
        del asked
    wait_for(lambda: newest()[0] != "running")
    return newest()


def test_no_piece_stands_behind_a_busy_worker_while_another_is_idle(cluster: Cluster) -> None:
    from threading import Thread

    places = list(range(6))

    def take(place: int) -> int:
        """The first keeps its worker's only thread until each of the others has been taken."""
        if place == 0:
            assert Event("go").wait(60)
        else:
            Event(f"taken {place}").set()
        return place

    with Client(cluster.address) as client:

        def release() -> None:
            assert all(Event(f"taken {place}", client=client).wait(60) for place in places[1:])
            Event("go", client=client).set()

        releasing = Thread(target=release, daemon=True)
        releasing.start()
        submit = partial(client.submit, take, pure=False)
        pieces = [(place,) for place in places]
        assert [future.result() for _, future in work_in_turn(client, submit, pieces, ahead=3)] == places
        releasing.join()


def test_a_big_nights_ranges_on_workers_give_the_same_predictions(
    cluster: Cluster, shops: Definition, settings: Settings, owner: sa.Engine, writer: sa.Engine,
    write_day: Callable[..., Path], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(spread, "RANGE", 100)
    monkeypatch.setattr("tasks.scoring.WORTH_SPREADING", 1)
    for day in DAYS[:3]:
        write_day(day, rows=3000)
    spreading = on_dask(shops, owner)
    for definition in (shops, spreading):
        for day in DAYS[:3]:
            take_night(definition, definition.pipeline.calendar.named(day), load_settings(), trigger="test")
    assert [line[1] for line in published(writer, "shops")].count("prediction") >= 1
    assert published(writer, "spread") == published(writer, "shops")


def test_a_big_nights_files_on_workers_of_which_one_is_killed_land_as_one_process_reads_them(
    cluster: Cluster, shops: Definition, settings: Settings, owner: sa.Engine, writer: sa.Engine,
    write_day: Callable[..., Path], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from threading import Thread

    monkeypatch.setattr("tasks.ingest.spread.WORTH_SPREADING", 1)
    monkeypatch.setattr("tasks.ingest.spread.ENOUGH", 2)
    path = shops.folder / "pipeline.yaml"
    path.write_text(path.read_text().replace('{start:%Y-%m-%d}.csv"', '{start:%Y-%m-%d}*.csv"'))
    shops = load_definition(shops.folder.parent, "shops")
    for number in range(8):
        name = f"{DAYS[0]}-{number}"
        write_day(DAYS[0], rows=60_000, change=lambda lines, name=name: rows_of(lines, name)).rename(
            settings.data_folder / "shops" / f"{name}.csv"
        )
    for number in range(2):
        write_day(DAYS[1], change=lambda lines, name=f"n{number}": rows_of(lines, name)).rename(
            settings.data_folder / "shops" / f"{DAYS[1]}-{number}.csv"
        )
    spreading = on_dask(shops, owner)

    def bringing() -> set[int]:
        """The connections that have rows on their way into a part of a night."""
        query = """SELECT a.pid FROM pg_stat_progress_copy JOIN pg_stat_activity a USING (pid)
            WHERE a.query LIKE '%part\\_%' AND tuples_processed > 1000"""
        with transaction(writer) as connection:
            return {line.pid for line in connection.execute(sa.text(query))}

    def kill() -> None:
        wait_for(lambda: len(bringing()) == 2, every=0.005)
        cluster.processes[-1].kill()

    killer = Thread(target=kill, daemon=True)
    killer.start()
    night = spreading.pipeline.calendar.named(DAYS[0])
    report = take_night(spreading, night, load_settings(), trigger="test")
    killer.join(1)
    assert not killer.is_alive(), "both workers were at it when one was killed"
    assert (report.state, report.stages[0].detail["brought"]) == (RunState.PUBLISHED, 8), report.reason
    alone = take_night(shops, night, settings, trigger="test")
    assert (report.rows_landed, report.rows_rejected) == (alone.rows_landed, alone.rows_rejected) == (8 * 59_999 + 1, 7)
    assert published(writer, "spread") == published(writer, "shops")
    few = take_night(spreading, spreading.pipeline.calendar.named(DAYS[1]), load_settings(), trigger="test")
    assert (few.state, few.stages[0].detail.get("brought")) == (RunState.PUBLISHED, None), "one worker is too few"


SPREAD_ALL = "from tasks.ingest import spread; spread.WORTH_SPREADING, spread.ENOUGH = 1, 2"  # however few and small they are


def test_a_worker_that_takes_a_night_has_its_files_read_by_all_and_goes_on_with_one_thread(
    cluster: Cluster, shops: Definition, owner: sa.Engine, writer: sa.Engine, settings: Settings, write_day: Callable[..., Path]
) -> None:
    path = shops.folder / "pipeline.yaml"
    path.write_text(path.read_text().replace('{start:%Y-%m-%d}.csv"', '{start:%Y-%m-%d}*.csv"'))
    for day in DAYS[:2]:
        for number in range(6):
            write_day(day, rows=500, change=lambda lines, name=f"n{number}": rows_of(lines, name)).rename(
                settings.data_folder / "shops" / f"{day}-{number}.csv"
            )
    on_dask(load_definition(shops.folder.parent, "shops"), owner)
    with Client(cluster.address) as client:
        client.run(exec, SPREAD_ALL, {})
        asked = [
            client.submit(spread.take_there, "spread", day, "as-was", "both", {}, place) for place, day in enumerate(DAYS[:2])
        ]
        reports = client.gather(asked)
    assert [(report.state, report.rows_landed) for report in reports] == [(RunState.PUBLISHED, 6 * 499 + 1)] * 2, reports
    assert [report.stages[0].detail["brought"] for report in reports] == [6, 6]
    left = "SELECT count(*) FROM pg_class WHERE relname LIKE 'part\\_%'"
    with transaction(writer) as connection:
        assert not connection.scalar(sa.text(left))


def rows_of(lines: list[str], name: str) -> list[str]:
    """Keys of their own for each file, but for one that all have in their last row."""
    return [lines[0], *(f"{name}{line}" for line in lines[1:-1]), lines[-1]]


def test_without_a_scheduler_the_sentence_says_so(
    prefect: str, here: Settings, shops: Definition, owner: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.backfill import backfill

    monkeypatch.setattr("infra.cluster.ANSWERS_WITHIN", 1)
    monkeypatch.setattr("flows.beginning.RETRY_DELAYS", ())
    monkeypatch.setenv("OVERNIGHT_DASK_ADDRESS", "tcp://127.0.0.1:1")
    load_settings.cache_clear()
    state = backfill(on_dask(shops, owner).pipeline.name, DAYS[0], DAYS[-1], return_state=True)
    assert (state.is_failed(), state.message) == (
        True, "the Dask scheduler at tcp://127.0.0.1:1 does not answer. Try: overnight doctor"
    )  # fmt: skip
    nights = [shops.pipeline.calendar.named(DAYS[0])]
    with pytest.raises(OrchestratorUnavailable, match=r"Dask scheduler at tcp://127\.0\.0\.1:1 does not answer"):
        list(
            spread.take_nights_there(
                shops, nights, address="tcp://127.0.0.1:1", model="as-due"
            )
        )  # fmt: skip
