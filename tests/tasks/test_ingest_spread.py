"""A night's files that workers bring one by one: what lands, and in which order, is what one process gives."""

import gzip
import random
import re
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given
from hypothesis import settings as given_settings
from hypothesis import strategies as some

from domain.errors import SourceError, StageFailed
from store.engine import transaction
from store.parts import open_part
from store.runs import claim
from tasks.context import Night, writer_engine
from tasks.ingest import load, spread
from tasks.ingest.files import SourceFile, look_at
from tasks.ingest.load import Brought
from tasks.maintain import sweep
from tests.tasks.ingesting import DAY, Shops, night

__all__ = ["night"]
HEADER = "shop,opened,region,stock,price,left_over"
MANY = 'source: {kind: csv, path: "{data}/shops/{start:%Y-%m-%d}-*"}'
days = (str(date(2024, 1, 3) + timedelta(days=count)) for count in range(10_000))  # one for each night that is taken


def row(shop: str, *, stock: Any = 5, region: str = "north") -> str:
    return f"{shop},2024-01-02 07:00:00,{region},{stock},1.5,3"


def write(folder: Path, day: str, files: Sequence[Sequence[str]]) -> None:
    """Each file's rows under a header of its own; of every second one the bytes are packed."""
    for old in folder.glob("*"):
        old.unlink()
    for number, lines in enumerate(files):
        text = "\n".join([HEADER, *lines]).encode() + b"\n"
        (folder / f"{day}-{number}").write_bytes(gzip.compress(text) if number % 2 else text)


@pytest.fixture
def many(night: Shops) -> Shops:
    """Nights of several files, of which any share may be bad."""
    night.source(MANY.removeprefix("source: "))
    night.contract(lambda text: text.replace("at_most: 10%", "at_most: 100%") + "runner: dask\n")
    return night


@pytest.fixture
def workers(many: Shops, monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Turns on and off that files are brought as by workers, one after the other, in this process."""

    def bring(night: Night, files: Sequence[SourceFile]) -> Generator[Brought | None]:
        for number, file in enumerate(files):
            yield spread.bring_there(night.run.id, number, file, spread._reading_of(night))

    def turn(on: bool) -> None:
        monkeypatch.setattr(spread, "_is_worth_it", lambda _: on)

    monkeypatch.setattr(spread, "load_settings", lambda: many.settings)
    monkeypatch.setattr(spread, "_bring", bring)
    turn(True)
    return turn


def what_landed(shops: Shops, day: str) -> tuple[Any, ...]:
    """Rows as they lie, rejects, figures."""
    report = shops.ingest(day)
    batch = report.detail["batch"]
    rows = shops.rows(f"SELECT shop, opened, region, stock, price, left_over FROM overnight_shops.landed_{batch}")
    query = "SELECT replace(source, '{day}', ''), line, column_name, value, rule, replace(reason, '{day}', ''), row_text"
    rejects = shops.rows(f"{query.format(day=day)} FROM overnight_shops.rejected_{batch} ORDER BY 1, 2, 3, 5")
    return rows, rejects, (report.rows_in, report.rows_out, report.rows_rejected, report.detail["rejects"])


lines = some.one_of(
    some.builds(row, some.sampled_from([f"s{n}" for n in range(12)]), stock=some.sampled_from([1, 2, "x", ""])),
    some.builds(row, some.integers(100, 10**6).map(str), region=some.sampled_from(["north", '"a\nb"', '""', "o\\e"])),
    some.just("torn,row"),
)


@given(files=some.lists(some.lists(lines, max_size=12), min_size=2, max_size=5, unique_by=tuple))
@given_settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_workers_bring_is_what_one_process_reads(
    many: Shops, workers: Callable[[bool], None], files: list[list[str]]
) -> None:
    files = [*files, [row("last")]]
    found = []
    for on in (False, True):
        workers(on)
        day = next(days)
        write(many.folder, day, files)
        found.append(what_landed(many, day))
    assert found[0] == found[1]
    assert not [name for name in many.leftovers() if name.startswith("part_")]


def test_a_repeated_key_names_the_row_of_the_file_before(many: Shops, workers: Callable[[bool], None]) -> None:
    write(many.folder, DAY, [[row("a"), row("b")], [row("c"), row("a", stock=9)]])
    report = many.ingest()
    assert (report.rows_out, report.detail["brought"]) == (3, 2)
    (reject,) = many.rejects(report)
    assert reject[:2] == (f"shops/{DAY}-1", 3)
    assert reject[-1].endswith(f"stands already in line 2 of shops/{DAY}-0")


def test_a_file_that_a_worker_does_not_see_is_read_here(
    many: Shops, workers: Callable[[bool], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(many.folder, DAY, [[row("a")], [row("b")], [row("c")]])
    found = spread._found_here
    monkeypatch.setattr(spread, "_found_here", lambda file: None if file.name.endswith("-1") else found(file))
    report = many.ingest()
    assert report.detail["brought"] == 2
    batch = report.detail["batch"]
    assert many.rows(f"SELECT shop FROM overnight_shops.landed_{batch}") == [("a",), ("b",), ("c",)]


def test_a_file_is_told_from_another_one_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("shop\na\n")
    file = look_at(path, "rows.csv")
    assert spread._found_here(file) == file
    path.write_text("shop\nb\n")
    assert spread._found_here(file) is None
    path.unlink()
    assert spread._found_here(file) is None


def test_a_file_that_cannot_be_taken_leaves_nothing_of_the_others(many: Shops, workers: Callable[[bool], None]) -> None:
    write(many.folder, DAY, [[row("a")], [row("b")]])
    (many.folder / f"{DAY}-2").write_text("shop;opened\n")
    with pytest.raises(SourceError, match="the delimiter is ';', not ','"):
        many.ingest()
    assert many.leftovers() == []
    assert many.rows("SELECT count(*) FROM overnight.batch") == [(0,)]


def test_rows_that_are_lost_on_the_way_end_the_stage(
    many: Shops, workers: Callable[[bool], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(many.folder, DAY, [[row("a"), row("b")], [row("c")]])
    bring = load.load_part

    def losing(connection: sa.Connection, part: Any, *others: Any) -> Brought:
        brought = bring(connection, part, *others)
        connection.execute(sa.text(f"DELETE FROM {part.schema}.{part.table} WHERE shop = 'b'"))
        return brought

    monkeypatch.setattr(spread, "load_part", losing)
    with pytest.raises(StageFailed, match=r"a worker brought \(2, 0\) rows and rejects, and \(1, 0\) were found"):
        many.ingest()
    assert many.leftovers() == []


def test_what_a_killed_run_left_is_swept_and_what_a_living_one_brings_is_not(many: Shops) -> None:
    engine = writer_engine(many.settings)
    interval = many.definition.pipeline.calendar.named(DAY)

    def swept(*, act: bool) -> list[str]:
        found = sweep(many.settings, ["shops"], at=datetime.now(UTC), act=act)
        return [name for one in found if one.what == "tables of no batch" for name in one.found]

    with claim(engine, "shops", interval, trigger="test", holder={}) as run:
        with transaction(engine) as connection:
            part = open_part(connection, run, 0, columns={"shop": "text"}, of_rejects={"line": "bigint"})
        assert swept(act=True) == []
        assert many.leftovers() == [part.table, part.rejected]
        many.end(run)
    assert swept(act=False) == [f"shops.{part.table}", f"shops.{part.rejected}"]
    swept(act=True)
    assert many.leftovers() == []


def test_a_worker_brings_nothing_for_a_night_that_is_over_or_that_it_would_read_in_another_way(
    many: Shops, workers: Callable[[bool], None]
) -> None:
    write(many.folder, DAY, [[row("a")]])
    file, interval = look_at(many.folder / f"{DAY}-0", "a file"), many.definition.pipeline.calendar.named(DAY)
    engine = writer_engine(many.settings)
    with claim(engine, "shops", interval, trigger="test", holder={}) as run:
        reading = spread._reading_of(Night(run, many.definition, engine, many.settings))
        assert spread.bring_there(run.id, 0, file, reading) is not None
        many.contract(lambda text: text.replace("stock: {type: int}", "stock: {type: float}"))
        assert spread.bring_there(run.id, 0, file, reading) is None
        many.contract(lambda text: text.replace("stock: {type: float}", "stock: {type: int}"))
        assert spread.bring_there(run.id, 0, file, reading) is not None
        many.end(run)
        assert spread.bring_there(run.id, 0, file, reading) is None


def test_rows_of_every_length_lie_in_the_order_of_the_files(many: Shops, workers: Callable[[bool], None]) -> None:
    chance = random.Random(1)
    first, second = ([f"f{file}n{n}" + "x" * chance.randrange(200) for n in range(3000)] for file in range(2))
    second[::15] = [first[(n * 7) % 3000] for n in range(0, 3000, 15)]
    found = []
    for on in (False, True):
        workers(on)
        day = next(days)
        write(many.folder, day, [[row(shop, stock=file) for shop in shops] for file, shops in enumerate((first, second))])
        found.append(what_landed(many, day))
    assert len(found[0][1]) == 200
    assert found[0] == found[1]


def test_without_a_scheduler_or_with_too_few_workers_the_files_are_read_here(
    many: Shops, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(spread, "WORTH_SPREADING", 1)
    monkeypatch.setattr("infra.cluster.ANSWERS_WITHIN", 1)
    monkeypatch.delenv("OVERNIGHT_DASK_ADDRESS", raising=False)
    for runner in ("dask", "{kind: dask, address: 'tcp://127.0.0.1:1'}"):
        many.contract(lambda text, runner=runner: re.sub("runner: .*", f"runner: {runner}", text))
        day = next(days)
        write(many.folder, day, [[row("a")], [row("b")]])
        report = many.ingest(day)
        assert (report.rows_out, report.detail.get("brought")) == (2, None)
        assert "its files are read here" in caplog.text
        caplog.clear()


def test_which_files_are_worth_a_way(monkeypatch: pytest.MonkeyPatch) -> None:
    file = SourceFile(Path("a.csv"), "a.csv", "hash", 20 << 20)
    assert spread._is_worth_it([file, file])
    for few in (
        [file],
        [replace(file, bytes=1)] * 9,
        [file, replace(file, bytes=200 << 20)],
        [replace(file, member="b.csv")] * 3,
    ):
        assert not spread._is_worth_it(few)
