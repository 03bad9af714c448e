"""Downloads hold exactly what readers see, say whether it may be trusted, and leave nothing running behind them."""

import csv
import http.client
import io
import json
import socket
from collections.abc import Callable

import psycopg2
import pytest
from bookkeeping import Ledger
from fastapi.testclient import TestClient
from pyarrow import parquet

from tests.patience import wait_for


def test_a_csv_holds_every_row_of_the_batch_and_every_column(published: Ledger, client: TestClient, ask: Callable) -> None:
    answer = client.get("/p/shops/rows.csv")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert "batch" in answer.headers["overnight-trust"]
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == int(answer.headers["overnight-batch-rows"]) == ask("/p/shops/rows")["total"] == 66
    assert rows[0] | {"shop": "s000001", "region": "south"} == rows[0]
    assert set(published.definition.pipeline.columns) < set(rows[0])


def test_filters_columns_and_order_of_the_address_hold_in_the_file_too(published: Ledger, client: TestClient) -> None:
    text = client.get("/api/v1/p/shops/rows.csv?region=north&columns=shop,stock&sort=-stock&trust=yes").text
    comment, header, *lines = text.splitlines()
    assert comment.startswith("# shops 2024-01-04; batch ")
    assert header == "shop,stock"
    stocks = [int(line.split(",")[1]) for line in lines]
    assert stocks == sorted(stocks, reverse=True)
    assert len(stocks) == 22


def test_ndjson_is_one_object_a_line_whatever_the_texts_hold(published: Ledger, client: TestClient) -> None:
    lines = client.get("/p/shops/2024-01-04.ndjson").text.splitlines()
    assert len(lines) == 66
    assert json.loads(lines[0])["shop"] == "s000001"
    assert json.loads(lines[6])["price"] is None


def test_a_parquet_file_holds_typed_columns_and_the_trust_line(published: Ledger, client: TestClient, ask: Callable) -> None:
    answer = client.get("/p/shops/rows.parquet?region=north&columns=shop,stock,price&sort=-stock")
    assert answer.headers["content-type"] == "application/vnd.apache.parquet"
    table = parquet.read_table(io.BytesIO(answer.content))
    assert [str(kind) for kind in table.schema.types] == ["string", "int64", "double"]
    assert table["stock"].to_pylist() == sorted(table["stock"].to_pylist(), reverse=True)
    assert table.num_rows == 22
    trust = json.loads(table.schema.metadata[b"overnight"])
    assert (trust["pipeline"], trust["batch"]) == ("shops", ask("/p/shops/rows")["trust"]["batch"])
    whole = client.get("/p/shops/2024-01-04.parquet")
    assert parquet.read_table(io.BytesIO(whole.content)).num_rows == int(whole.headers["overnight-batch-rows"]) == 66


@pytest.mark.parametrize("column", ["price", "region"])
def test_a_parquet_file_of_one_column_holds_its_empty_cells_too(published: Ledger, client: TestClient, column: str) -> None:
    answer = client.get(f"/p/shops/rows.parquet?columns={column}")
    table = parquet.read_table(io.BytesIO(answer.content))
    lines = [json.loads(line)[column] for line in client.get(f"/p/shops/rows.ndjson?columns={column}").text.splitlines()]
    assert table[column].to_pylist() == lines
    assert (len(lines), lines.count(None)) == (66, 9 if column == "price" else 0)


def test_a_hostile_filter_is_a_parameter_in_an_export_too(published: Ledger, client: TestClient) -> None:
    for value in ("'; DROP TABLE x; --", "\\", "%s", "%(a)s", "{}"):
        answer = client.get("/p/shops/rows.csv", params={"region": value})
        assert answer.status_code == 200
        assert answer.text.count("\n") == 1


@pytest.mark.parametrize("path", ["/p/shops/2024-01-01.csv", "/p/shops/rows.csv?night=2024-01-02"])
def test_a_night_without_predictions_has_nothing_to_export(published: Ledger, client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_an_export_begun_before_a_publication_is_whole_and_of_one_batch(published: Ledger, client: TestClient) -> None:
    with client.stream("GET", "/p/shops/rows.csv") as answer:
        published.publish("2024-01-04", model=1, salt="corrected", shift=0.25, rows=5)
        rows = list(csv.DictReader(answer.iter_lines()))
    assert len(rows) == 66


def test_an_export_that_fails_midway_is_cut_off_and_never_silently_short(ledger: Ledger, served: int, database: str) -> None:
    ledger.publish("2024-01-04", model=ledger.train("2024-01-03"), rows=150_000)
    line = http.client.HTTPConnection("127.0.0.1", served)
    line.request("GET", "/p/shops/rows.ndjson")
    answer = line.getresponse()
    assert (answer.status, answer.read(8)) == (200, b'{"shop":')
    watch = psycopg2.connect(database)
    watch.autocommit = True
    with watch.cursor() as cursor:  # it waits for its reader, who has not read on
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE query LIKE 'COPY (%' AND state = 'active' AND datname = current_database()"
        )
        assert cursor.fetchone() == (1,)
    watch.close()
    with pytest.raises(http.client.IncompleteRead):
        answer.read()


def test_a_reader_who_goes_away_frees_the_backend(ledger: Ledger, served: int, database: str) -> None:
    model = ledger.train("2024-01-03")
    ledger.publish("2024-01-04", model=model, rows=300_000)
    watch = psycopg2.connect(database)
    watch.autocommit = True

    def copying() -> int:
        with watch.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY (%%' AND state = 'active'")
            return int((cursor.fetchone() or (0,))[0])

    with socket.create_connection(("127.0.0.1", served)) as reader:
        reader.sendall(b"GET /p/shops/rows.csv HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert b"200 OK" in reader.recv(4096)
        wait_for(copying, every=0)
    wait_for(lambda: not copying())  # two seconds on a quiet machine
    watch.close()
