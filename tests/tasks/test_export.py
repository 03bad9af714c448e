"""Exports: the same rows in every form, with their trust line, whole or not at all."""

import csv
import io
import json
import resource
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
import sqlalchemy as sa
from pyarrow import parquet

sys.path.insert(0, str(Path(__file__).parents[1] / "web"))
from bookkeeping import Ledger

from deployments.catalogue import Definition
from domain.errors import DatabaseUnavailable, StageFailed, UsageError
from infra.settings import Settings
from store.engine import parse_url
from store.reads.parquet import parquet_blocks
from tasks.export import Exported, export

NOW = datetime(2024, 1, 5, 12, tzinfo=UTC)


@pytest.fixture
def published(shops: Definition, writer: sa.Engine) -> dict[str, int]:
    """Two nights with predictions, the second of which was corrected."""
    ledger = Ledger(shops, writer)
    ledger.publish("2024-01-01")
    model = ledger.train("2024-01-03")
    first = ledger.publish("2024-01-03", model=model, rows=40)
    old = ledger.publish("2024-01-04", model=model, rows=66)
    return {"first": first, "old": old, "new": ledger.publish("2024-01-04", model=model, rows=50, salt="corrected")}


@pytest.fixture
def write(settings: Settings, tmp_path: Path) -> Callable[..., Exported]:
    def to_file(name: str, night: str | None = None, **how: Any) -> Exported:
        return export(settings, "shops", tmp_path / name, night=night, as_of=how.pop("as_of", None), now=NOW, **how)

    return to_file


def test_every_form_holds_the_same_rows_and_says_how_far_to_trust_them(
    published: dict[str, int], write: Callable[..., Exported]
) -> None:
    done = write("a.csv", comment=True)
    first, *rest = done.path.read_text().splitlines()
    assert first.startswith(f"# shops 2024-01-04; batch {published['new']}; model 1; published ")
    rows = list(csv.DictReader(rest))
    lines = [json.loads(line) for line in write("a.ndjson").path.read_text().splitlines()]
    table = parquet.read_table(write("a.parquet").path)
    assert done.rows == len(rows) == len(lines) == table.num_rows == 50
    assert list(rows[0]) == list(lines[0]) == table.column_names
    assert (
        [float(row["probability"]) for row in rows] == [line["probability"] for line in lines] == table["probability"].to_pylist()
    )
    assert [datetime.fromisoformat(line["opened"]) for line in lines] == table["opened"].to_pylist()
    trust = json.loads(table.schema.metadata[b"overnight"])
    assert (trust["batch"], trust["model_version"], trust["fresh"]) == (published["new"], 1, True)


def test_a_night_and_a_moment_can_be_named(published: dict[str, int], write: Callable[..., Exported], database: str) -> None:
    assert (write("b.csv", "2024-01-03").rows, write("b.parquet", "2024-01-03", columns=["shop"]).rows) == (40, 40)
    with sa.create_engine(parse_url(database)).begin() as connection:
        corrected = connection.scalar(sa.text("SELECT max(at) FROM overnight.publication"))
    moment = corrected - timedelta(microseconds=20_000)
    on_the_wall = moment.astimezone(ZoneInfo("Europe/Berlin")).replace(tzinfo=None)
    for as_of in (moment, on_the_wall):
        before = write("c.csv", "2024-01-04", as_of=as_of)
        assert (before.rows, before.trust.batch) == (66, published["old"])
    with pytest.raises(UsageError, match="readers saw no predictions of any night at 2000"):
        write("d.csv", as_of=datetime(2000, 1, 1, tzinfo=UTC))
    with pytest.raises(UsageError, match="does not say what to write"):
        write("d.xlsx")


def test_an_export_that_breaks_leaves_nothing(
    published: dict[str, int], write: Callable[..., Exported], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(self: object) -> Iterator[bytes]:
        yield b"shop\ns1\n"
        raise DatabaseUnavailable("the export was cut off before its end")

    monkeypatch.setattr("store.reads.export.Copy.blocks", cut)
    for name in ("a.csv", "a.parquet"):
        with pytest.raises(DatabaseUnavailable, match="cut off"):
            write(name, columns=["shop"])
    monkeypatch.setattr("store.reads.export.Copy.blocks", lambda self: iter([b"shop\ns1\n"]))
    with pytest.raises(StageFailed, match="the ledger says 50 rows"):
        write("a.csv")
    assert [path.name for path in tmp_path.iterdir() if "a." in path.name] == []


TYPES = {"t": "text", "i": "int", "f": "float", "b": "bool", "d": "date", "m": "timestamp", "n": "decimal", "j": "json"}


def as_table(blocks: list[bytes]) -> pa.Table:
    return parquet.read_table(io.BytesIO(b"".join(parquet_blocks(blocks, TYPES, trust={"batch": 1}))))


def test_every_type_arrives_and_nothing_is_not_empty(database: str) -> None:
    """What COPY writes of the hard values of each type, cut into blocks anywhere."""
    query = """COPY (SELECT * FROM (VALUES
        ('a "q", and' || chr(10) || 'a line', 9223372036854775807, 'Infinity'::float8, true, '2024-02-29'::date,
            '2024-01-01 10:00:00.000001+00'::timestamptz, 1.10::numeric, '{"a": [1, "x"]}'::jsonb),
        ('', NULL, NULL, false, '0001-01-01', '1969-12-31 23:59:59+00', NULL, NULL),
        (NULL, -1, -0.1, NULL, NULL, NULL, 12345678901234567890.5, 'null')) v (t, i, f, b, d, m, n, j)
    ) TO STDOUT (FORMAT csv, HEADER)"""
    engine = sa.create_engine(parse_url(database), connect_args={"options": "-c timezone=UTC"})
    connection, out = engine.raw_connection(), io.BytesIO()
    connection.cursor().copy_expert(query, out)  # type: ignore[attr-defined]
    connection.close()
    text = out.getvalue()
    table = as_table([text[i : i + 7] for i in range(0, len(text), 7)])
    assert table.to_pydict() == {
        "t": ['a "q", and\na line', "", None], "i": [2**63 - 1, None, -1], "f": [float("inf"), None, -0.1],
        "b": [True, False, None], "d": [date(2024, 2, 29), date(1, 1, 1), None],
        "m": [datetime(2024, 1, 1, 10, 0, 0, 1, UTC), datetime(1969, 12, 31, 23, 59, 59, 0, UTC), None],
        "n": ["1.10", None, "12345678901234567890.5"], "j": ['{"a": [1, "x"]}', None, "null"],
    }  # fmt: skip
    assert as_table([text.partition(b"\n")[0] + b"\n"]).num_rows == 0
    with pytest.raises(UsageError, match="no place in a Parquet file"):
        as_table([b"t,i,f,b,d,m,n,j\n,,,,infinity,,,\n"])


def test_memory_stays_flat_whatever_the_size() -> None:
    line = b"shop-000001,17,0.25,t,2024-01-01,2024-01-01 10:00:00+00,1.5,{}\n"
    header = b",".join(name.encode() for name in TYPES) + b"\n"

    def stream(blocks: int) -> Iterator[bytes]:
        yield header
        for _ in range(blocks):
            yield line * 16_000  # a megabyte

    for _ in parquet_blocks(stream(40), TYPES, trust={}):
        pass
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    size = sum(len(piece) for piece in parquet_blocks(stream(200), TYPES, trust={}))
    assert size > 0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000, "kilobytes"
