"""Ingest, as the ledger and a user see it."""

from collections.abc import Callable
from typing import Any

import pytest

from domain.errors import SourceError
from domain.words import StageState
from tests.tasks.ingesting import DAY, Shops, WriteDay, night

__all__ = ["night"]


def replacing(number: int, text: str) -> Callable[[list[str]], list[str]]:
    return lambda lines: [text if place == number else line for place, line in enumerate(lines)]


def test_a_clean_day_lands_whole_and_typed(night: Shops, write_day: WriteDay) -> None:
    write_day(DAY)
    report = night.ingest()
    assert (report.state, report.rows_in, report.rows_out, report.rows_rejected) == (StageState.DONE, 60, 60, 0)
    shop, opened = night.landed(report, "shop, opened")[0]
    assert (shop, opened.utctimetuple().tm_hour) == ("s000", 6)  # 07:00 in Berlin, in January
    assert night.rows("SELECT rows, rejected, state FROM overnight.batch") == [(60, 0, "loaded")]


def test_a_bad_cell_sets_its_row_aside_with_its_place(night: Shops, write_day: WriteDay) -> None:
    write_day(DAY, change=replacing(3, f"s002,{DAY} 07:00:00,north,1.5,2.0,3"))
    report = night.ingest()
    assert (report.rows_in, report.rows_out, report.rows_rejected) == (60, 59, 1)
    [(source, line, column, value, rule, reason)] = night.rejects(report)
    assert (source, line, column, value, rule) == (f"shops/{DAY}.csv", 4, "stock", "1.5", "type")
    assert reason == "stock: '1.5' is no whole number"


def test_spaces_around_a_text_are_no_part_of_it_where_the_contract_says_so(night: Shops, write_day: WriteDay) -> None:
    write_day(DAY, change=replacing(1, f's000,{DAY} 07:00:00," north ",5,2.0,3'))
    assert night.landed(night.ingest(), "region")[0] == (" north ",)
    trimmed = "region: {type: text, trim: true, allowed: [north, south, east]}"
    night.contract(lambda text: text.replace("region: {type: text}", trimmed))
    report = night.ingest()
    assert (night.landed(report, "region")[0], night.rejects(report)) == (("north",), [])


def test_a_repeated_key_keeps_the_first_row_and_names_its_line(night: Shops, write_day: WriteDay) -> None:
    write_day(DAY, change=lambda lines: [*lines, f"s007,{DAY} 07:00:00,north,999,2.0,3"])
    report = night.ingest()
    [(_, line, column, value, rule, reason)] = night.rejects(report)
    assert (line, column, value, rule) == (62, "shop", "s007", "key")
    assert reason == f"the key s007 stands already in line 9 of shops/{DAY}.csv"
    assert night.rows(f"SELECT count(*) FROM overnight_shops.landed_{report.detail['batch']} WHERE stock = 999") == [(0,)]


def test_an_empty_cell_where_the_contract_wants_a_value_is_a_reject(night: Shops, write_day: WriteDay) -> None:
    write_day(DAY, change=replacing(1, f"s000,{DAY} 07:00:00,,5,2.0,3"))
    [reject] = night.rejects(night.ingest())
    assert reject[2:] == ("region", None, "null", "region is empty, and the contract says that it never is")


def test_a_ragged_row_is_a_reject_with_its_line(night: Shops, write_day: WriteDay) -> None:
    write_day(DAY, change=replacing(5, "s004,oops"))
    [reject] = night.rejects(night.ingest())
    assert reject[1:] == (6, None, None, "shape", "the row has 2 cells, the header has 6")


def test_too_many_rejects_hold_the_night_and_keep_the_evidence(night: Shops, write_day: WriteDay) -> None:
    write_day(DAY, change=lambda lines: [lines[0], *(line.replace(f"{DAY} 07", "soon 07") for line in lines[1:])])
    report = night.ingest()
    assert report.state is StageState.HELD
    assert report.reason == "33.3% of rows rejected, limit 10%: 20 cells of opened are no timestamp"
    assert len(night.rejects(report)) == 20
    assert night.rows("SELECT outcome, reason FROM overnight.verdict") == [("held", report.reason)]
    assert night.rows("SELECT state, rows, rejected FROM overnight.batch") == [("sealed", 40, 20)]


def test_the_same_source_again_is_not_read_twice(night: Shops, write_day: WriteDay) -> None:
    write_day(DAY)
    first, second = night.ingest(), night.ingest()
    assert second.state is StageState.REUSED
    assert second.detail["batch"] == first.detail["batch"]
    assert f"batch {first.detail['batch']}" in second.reason


def test_a_changed_source_is_a_new_batch_and_the_unsealed_one_goes(night: Shops, write_day: WriteDay) -> None:
    write_day(DAY)
    first = night.ingest()
    write_day(DAY, rows=50)
    second = night.ingest()
    assert (second.state, second.rows_out) == (StageState.DONE, 50)
    assert f"landed_{first.detail['batch']}" not in night.leftovers()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "there is no file"),
        ("", "is empty"),
        ("shop,opened,region,stock,price,left_over\n", "a header and no row"),
        ("shop,opened,area,stock,price,left_over\na,b,c,1,2,3\n", "the column 'region' is missing; it may be called 'area' now"),
        ("shop;opened;region;stock;price;left_over\n", "the delimiter is ';', not ','"),
        ("shop,opened,region,stock,price,left_over\ns1,x,K\xf6ln,1,2,3\n".encode("latin-1"), "line 2 holds the byte 0xf6"),
        ('shop,opened,region,stock,price,left_over\ns1,2024-01-02,"Kiel,1,2,3\n', "line 2 is never closed"),
    ],
)
def test_a_source_that_cannot_be_taken_is_a_sentence_and_leaves_nothing(night: Shops, text: Any, sentence: str) -> None:
    path = night.settings.data_folder / "shops" / f"{DAY}.csv"
    path.parent.mkdir(parents=True)
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SourceError, match=sentence):
        night.ingest()
    assert night.leftovers() == []
    assert night.rows("SELECT count(*) FROM overnight.batch") == [(0,)]


def test_columns_in_another_order_and_new_ones_change_nothing(night: Shops, write_day: WriteDay) -> None:
    write_day(DAY)
    plain = night.landed(night.ingest(), "shop, opened, region, stock, price, left_over")
    write_day(DAY, change=lambda lines: [",".join(reversed([*line.split(","), "new"])) for line in lines])
    assert night.landed(night.ingest(), "shop, opened, region, stock, price, left_over") == plain


def test_a_new_column_is_refused_when_the_contract_says_so(night: Shops, write_day: WriteDay) -> None:
    night.contract(lambda text: text + "new_columns: refuse\n")
    write_day(DAY, change=lambda lines: [f"{line},{'mood' if not number else 'fine'}" for number, line in enumerate(lines)])
    with pytest.raises(SourceError, match="'mood' is not in the contract"):
        night.ingest()


def test_text_arrives_as_it_was_written(night: Shops, write_day: WriteDay) -> None:
    write_day(DAY, rows=1, change=lambda lines: [lines[0], f'007,{DAY},"a ""b"",\nc\\.",1,,', f"é,{DAY}, x ,2,1e3,"])
    report = night.ingest()
    assert night.landed(report, "shop, region, stock, price") == [("007", 'a "b",\nc\\.', 1, None), ("é", " x ", 2, 1000.0)]


def test_a_time_that_the_clocks_skipped_is_a_reject(night: Shops, write_day: WriteDay) -> None:
    write_day("2024-03-31", change=replacing(1, "s000,2024-03-31 02:30:00,north,5,2.0,3"))
    [reject] = night.rejects(night.ingest("2024-03-31"))
    assert reject[1:5] == (2, "opened", "2024-03-31 02:30:00", "type")
