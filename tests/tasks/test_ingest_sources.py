"""Sources of every kind give the same rows, and say in a sentence what keeps them from it."""

import gzip
import json
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer, SimpleHTTPRequestHandler
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import psycopg2
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from domain.errors import SourceError
from domain.words import StageState
from tests.tasks.ingesting import DAY, Shops, WriteDay, night

__all__ = ["night"]
COLUMNS = "shop, opened, region, stock, price, left_over"
PARQUET = '{kind: parquet, path: "{data}/shops/{start:%Y-%m-%d}.parquet"}'


@pytest.fixture
def wanted(night: Shops, write_day: WriteDay) -> list[tuple[Any, ...]]:
    """What the CSV of the day gives."""
    write_day(DAY)
    return night.landed(night.ingest(), COLUMNS)


def as_table(night: Shops) -> Any:
    return pyarrow.csv.read_csv(night.folder / f"{DAY}.csv")


def test_parquet_gives_the_same_rows(night: Shops, wanted: list[Any]) -> None:
    pq.write_table(as_table(night), night.folder / f"{DAY}.parquet")
    night.source(PARQUET)
    assert night.landed(night.ingest(), COLUMNS) == wanted


def test_parquet_floats_are_ints_only_when_they_are_whole(night: Shops, wanted: list[Any]) -> None:
    table = as_table(night)
    stock = pa.array([1.5, *map(float, table["stock"].to_pylist()[1:])])
    pq.write_table(table.set_column(3, "stock", stock), night.folder / f"{DAY}.parquet")
    night.source(PARQUET)
    report = night.ingest()
    assert night.landed(report, COLUMNS) == wanted[1:]
    assert night.rejects(report) == [(f"shops/{DAY}.parquet", 1, "stock", "1.5", "type", "stock: '1.5' is no whole number")]


def test_parquet_that_was_cut_off_is_a_sentence(night: Shops, wanted: list[Any]) -> None:
    path = night.folder / f"{DAY}.parquet"
    pq.write_table(as_table(night), path)
    path.write_bytes(path.read_bytes()[:-100])
    night.source(PARQUET)
    with pytest.raises(SourceError, match="is no whole Parquet file"):
        night.ingest()


def test_a_missing_parquet_column_is_named_with_its_likely_new_name(night: Shops, wanted: list[Any]) -> None:
    pq.write_table(as_table(night).rename_columns(["shop", "opened", "area", "stock", "price", "left_over"]),
                   night.folder / f"{DAY}.parquet")  # fmt: skip
    night.source(PARQUET)
    with pytest.raises(SourceError, match="'region' is missing; it may be called 'area' now"):
        night.ingest()


def test_lines_of_json_give_the_same_rows_and_bad_lines_keep_their_place(night: Shops, wanted: list[Any]) -> None:
    rows = [{**row, "opened": f"{row['opened']}"} for row in as_table(night).to_pylist()]
    lines = [json.dumps(row) for row in rows]
    lines[4:4] = ["{broken", "[1]", json.dumps({**rows[0], "shop": "new", "stock": 1.5})]
    (night.folder / f"{DAY}.jsonl.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    night.source('{kind: jsonl, path: "{data}/shops/{start:%Y-%m-%d}.jsonl.gz"}')
    report = night.ingest()
    assert night.landed(report, COLUMNS) == wanted
    assert [(line, rule) for _, line, _, _, rule, _ in night.rejects(report)] == [(5, "shape"), (6, "shape"), (7, "type")]


def test_a_glob_takes_several_files_and_leaves_out_the_same_one_sent_twice(night: Shops, write_day: WriteDay) -> None:
    whole = write_day(DAY)
    head, *lines = whole.read_text().splitlines()
    night.source('{kind: csv, path: "{data}/shops/part-*.csv"}')
    for name, part in {"part-1": lines[:20], "part-2": lines[20:], "part-3": lines[:20]}.items():
        (night.folder / f"{name}.csv").write_text("\n".join([head, *part]) + "\n")
    report = night.ingest()
    assert (report.rows_in, report.rows_out) == (60, 60)
    assert report.reason == "shops/part-3.csv holds the very bytes of shops/part-1.csv and was left out"


def test_a_key_repeated_in_another_file_is_told_with_both_places(night: Shops, write_day: WriteDay) -> None:
    head, *lines = write_day(DAY).read_text().splitlines()
    night.source('{kind: csv, path: "{data}/shops/part-*.csv"}')
    (night.folder / "part-1.csv").write_text("\n".join([head, *lines[:20]]) + "\n")
    (night.folder / "part-2.csv").write_text("\n".join([head, *lines[19:]]) + "\n")
    [(source, line, *_, reason)] = night.rejects(night.ingest())
    assert (source, line) == ("shops/part-2.csv", 2)
    assert reason == "the key s019 stands already in line 21 of shops/part-1.csv"


def test_any_fsspec_address_is_a_path(night: Shops, wanted: list[Any]) -> None:
    night.source(f'{{kind: csv, path: "file://{night.folder}/{{start:%Y-%m-%d}}.csv"}}')
    assert night.landed(night.ingest(), COLUMNS) == wanted


def test_an_address_without_its_driver_says_what_to_install(night: Shops, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    night.source('{kind: csv, path: "s3://bucket/{start:%Y-%m-%d}.csv"}')
    with pytest.raises(SourceError, match=r"overnight\[s3\]"):
        night.ingest()


SQL = """{kind: sql, url: "%s", query: "SELECT shop, opened, region, stock, price, left_over FROM shop_days WHERE opened >= :start
  AND opened < :end"}"""


def test_a_query_on_postgres_takes_the_interval_and_nothing_else(night: Shops, wanted: list[Any]) -> None:
    batch = night.rows("SELECT max(id) FROM overnight.batch")[0][0]
    with psycopg2.connect(night.database) as connection:
        connection.cursor().execute(
            f"CREATE TABLE public.shop_days AS SELECT {COLUMNS} FROM overnight_shops.landed_{batch};"
            "INSERT INTO public.shop_days SELECT shop || 'x', opened - interval '1 day', region, stock, price, left_over"
            " FROM public.shop_days"
        )
    night.source(SQL % night.database)
    report = night.ingest()
    assert night.landed(report, COLUMNS) == wanted
    with psycopg2.connect(night.database) as connection:
        connection.cursor().execute("CREATE TABLE public.other AS SELECT * FROM public.shop_days ORDER BY stock, shop;"
                                    "DROP TABLE public.shop_days; ALTER TABLE public.other RENAME TO shop_days")  # fmt: skip
    assert night.ingest().state is StageState.REUSED  # the same rows in another order


def test_a_query_on_any_other_database_gives_the_same_rows(night: Shops, wanted: list[Any]) -> None:
    path = night.settings.data_folder / "shop.db"
    with sqlite3.connect(path) as connection:
        connection.execute(f"CREATE TABLE shop_days ({COLUMNS})")
        rows = [[*map(str, row.values())] for row in as_table(night).to_pylist()]
        connection.executemany("INSERT INTO shop_days VALUES (?, ?, ?, ?, ?, ?)", rows)
        connection.execute("INSERT INTO shop_days VALUES ('bad', '2024-01-02 09:00:00', NULL, 1, 2, 3)")
    night.source(SQL % f"sqlite:///{path}")
    report = night.ingest()
    assert night.landed(report, COLUMNS) == wanted
    assert night.rejects(report)[0][:5] == ("query", None, "region", None, "null")


def test_a_database_that_is_away_is_a_sentence_without_the_password(night: Shops, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", "geheim")
    night.source(SQL % "postgresql://me:${SHOP_PASSWORD}@127.0.0.1:1/none")
    with pytest.raises(SourceError, match=r"the query on .* failed") as refused:
        night.ingest()
    assert "geheim" not in str(refused.value)


def test_a_secret_that_is_not_set_is_named(night: Shops) -> None:
    night.source(SQL % "postgresql://me:${NOT_SET_ANYWHERE}@127.0.0.1:1/none")
    with pytest.raises(SourceError, match="the environment has no NOT_SET_ANYWHERE"):
        night.ingest()


TERMINATE = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query LIKE 'COPY (SELECT shop%'"


def test_a_source_database_that_restarts_leaves_nothing_and_the_next_run_completes(night: Shops, wanted: list[Any]) -> None:
    batch = night.rows("SELECT max(id) FROM overnight.batch")[0][0]
    slow = f"SELECT {COLUMNS}, pg_sleep(1) FROM overnight_shops.landed_{batch}"
    night.source(f'{{kind: sql, url: "{night.database}", query: "{slow}"}}')

    def restart() -> None:
        while night.rows(TERMINATE) != [(1,)]:
            time.sleep(0.01)

    killer = threading.Thread(target=restart, daemon=True)
    killer.start()
    with pytest.raises(SourceError, match=r"the query on .* failed") as refused:
        night.ingest()
    killer.join()
    assert "connection" in str(refused.value)
    assert night.rows("SELECT count(*) FROM overnight.batch WHERE state = 'loaded'") == [(1,)]
    assert night.landed(night.ingest(), COLUMNS) == wanted


class Pages(BaseHTTPRequestHandler):
    """Answers with the rows it was given, twenty a page; the first request of all fails."""

    rows: ClassVar[list[dict[str, Any]]] = []
    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        query = parse_qs(urlsplit(self.path).query)
        page = int(query.get("page", ["1"])[0])
        if self.headers["Token"] != "sesame" or type(self).asked == 1:
            self.send_response(503 if type(self).asked == 1 else 401)
            self.end_headers()
            return
        part = self.rows[20 * (page - 1) : 20 * page]
        following = f"/shops?page={page + 1}" if self.rows[20 * page :] else None
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"data": {"items": part}, "links": {"next": following}}).encode())

    def log_message(self, *arguments: object) -> None:
        return


@pytest.fixture
def pages(night: Shops, wanted: list[Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    Pages.rows, Pages.asked = [{**row, "opened": str(row["opened"])} for row in as_table(night).to_pylist()], 0
    monkeypatch.setenv("SHOP_TOKEN", "sesame")
    server = HTTPServer(("127.0.0.1", 0), Pages)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/shops"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("paging", ["{next: links.next}", "{parameter: page}"])
def test_pages_of_json_are_followed_to_the_end(night: Shops, wanted: list[Any], pages: str, paging: str) -> None:
    night.source(f'{{kind: http, url: "{pages}", rows: data.items, headers: {{Token: "${{SHOP_TOKEN}}"}}, paging: {paging}}}')
    assert night.landed(night.ingest(), COLUMNS) == wanted


def test_an_answer_without_the_rows_says_what_it_holds(night: Shops, pages: str) -> None:
    night.source(f'{{kind: http, url: "{pages}", rows: items, headers: {{Token: "${{SHOP_TOKEN}}"}}}}')
    with pytest.raises(SourceError, match="no list of rows at 'items': the answer holds data, links"):
        night.ingest()


def test_a_door_that_stays_shut_is_a_sentence(night: Shops, pages: str) -> None:
    night.source(f'{{kind: http, url: "{pages}", rows: data.items}}')
    with pytest.raises(SourceError, match="HTTP 401"):
        night.ingest()


def test_a_csv_behind_an_address_is_downloaded_once_and_a_missing_one_is_a_sentence(
    night: Shops, wanted: list[Any], write_day: WriteDay, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = night.folder
    monkeypatch.setenv("SHOP_TOKEN", "geheim")

    class Files(SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(folder))

        def log_message(self, *arguments: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Files)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    night.source(f'{{kind: csv, path: "http://127.0.0.1:{server.server_port}/{{start:%Y-%m-%d}}.csv?token=${{SHOP_TOKEN}}"}}')
    assert night.landed(night.ingest(), COLUMNS) == wanted
    (folder / f"{DAY}.csv").unlink()
    with pytest.raises(SourceError, match="answers with HTTP 404") as refused:
        night.ingest()
    server.shutdown()
    server.server_close()
    assert "geheim" not in str(refused.value)
