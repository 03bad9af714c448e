"""Cells: numbers, dates, times, truth and nothing."""

import datetime as dt
from decimal import Decimal

from tests.corpus.case import HEAD, Case

UTC = dt.UTC
INT, FLOAT, DECIMAL = "id:text:key n:int", "id:text:key x:float", "id:text:key m:decimal"
DATE, TIME, BOOL, JSON = "id:text:key d:date", "id:text:key t:timestamp", "id:text:key b:bool", "id:text:key j:json"


def cells(head: str, *values: str) -> str:
    """A file of one column beside the key, which counts a, b, c …"""
    return f"id,{head}\n" + "".join(f"{chr(97 + number)},{value}\n" for number, value in enumerate(values))


CASES = [
    Case("an int with a fraction", cells("n", "1.5", "2"), [("b", 2)], [(2, "type")], columns=INT),
    Case("an int with a zero fraction", cells("n", "1.0", "2"), [("b", 2)], [(2, "type")], columns=INT),
    Case("an int with an exponent", cells("n", "1e3", "2"), [("b", 2)], [(2, "type")], columns=INT),
    Case("hexadecimal is no int", cells("n", "0x1F", "2"), [("b", 2)], [(2, "type")], columns=INT),
    Case("underscores are no digits", cells("n", "1_000", "2"), [("b", 2)], [(2, "type")], columns=INT),
    Case("ints with signs", cells("n", "-1", "+2", "-0"), [("a", -1), ("b", 2), ("c", 0)], columns=INT),
    Case("ints with spaces", cells("n", " 7 ", "8"), [("a", 7), ("b", 8)], columns=INT),
    Case("ints with leading zeros", cells("n", "007"), [("a", 7)], columns=INT),
    Case("the largest ints", cells("n", "9223372036854775807", "-9223372036854775808"),
         [("a", 2**63 - 1), ("b", -(2**63))], columns=INT),
    Case("one past the largest int", cells("n", "9223372036854775808", "1"), [("b", 1)], [(2, "type")], columns=INT),
    Case("a big int as decimal", cells("m", "123456789012345678901234567890"), [("a", Decimal("123456789012345678901234567890"))],
         columns=DECIMAL),
    Case("leading zeros survive in text", "id,n,s\n007,1,00012\n", [("007", 1, "00012")]),
    Case("digits of other scripts", cells("n", "٣", "3"), [("b", 3)], [(2, "type")], columns=INT),
    Case("a currency sign", cells("x", "€5", "5"), [("b", 5.0)], [(2, "type")], columns=FLOAT),
    Case("a percent sign", cells("x", "5%", "5"), [("b", 5.0)], [(2, "type")], columns=FLOAT),
    Case("floats of all spellings", cells("x", "1.", ".5", "-1e3", "1E-2", "+4"), 5, columns=FLOAT),
    Case("nan, inf and their kin", cells("x", "nan", "inf", "-Infinity", "1"), [("d", 1.0)],
         [(2, "type"), (3, "type"), (4, "type")], columns=FLOAT),
    Case("a float too large", cells("x", "1e400", "1"), [("b", 1.0)], [(2, "type")], columns=FLOAT),
    Case("a float too small", cells("x", "1e-400", "1"), 2, columns=FLOAT),
    Case("a decimal comma, unforeseen", cells("x", '"1,5"', "1"), [("b", 1.0)], [(2, "type")], columns=FLOAT),
    Case("decimal commas, as agreed", "id;x\na;1,5\nb;-0,25\nc;1.5\n", [("a", 1.5), ("b", -0.25)], [(4, "type")],
         columns=FLOAT, source={"delimiter": ";", "decimal": ","}),
    Case("thousands, unforeseen", cells("n", '"1,234"', "1"), [("b", 1)], [(2, "type")], columns=INT),
    Case("thousands, as agreed", cells("n", '"1,234"', '"12,34"', "1234"), [("a", 1234), ("c", 1234)], [(3, "type")], columns=INT,
         source={"thousands": ","}),
    Case("German numbers", "id;x\na;1.234,5\nb;1,5\nc;1.23,4\n", [("a", 1234.5), ("b", 1.5)], [(4, "type")], columns=FLOAT,
         source={"delimiter": ";", "decimal": ",", "thousands": "."}),
    Case("decimals keep their digits", cells("m", "0.10", "1e3", "12345.678901234567890"),
         [("a", Decimal("0.10")), ("c", Decimal("12345.678901234567890"))], [(3, "type")], columns=DECIMAL),
    Case("dates", cells("d", "2024-01-31", "2024-02-30", "2024-1-5", "31.01.2024", "01/02/2024", "20240131"),
         [("a", dt.date(2024, 1, 31))], [(3, "type"), (4, "type"), (5, "type"), (6, "type"), (7, "type")], columns=DATE),
    Case("words are no dates", cells("d", "today", "epoch", "infinity", "2024-01-31"), [("d", dt.date(2024, 1, 31))],
         [(2, "type"), (3, "type"), (4, "type")], columns=DATE),
    Case("29 February", cells("d", "2024-02-29", "2023-02-29"), [("a", dt.date(2024, 2, 29))], [(3, "type")], columns=DATE),
    Case("times in the pipeline's zone", cells("t", "2024-01-31 07:30:00", "2024-07-31T07:30:00"),
         [("a", dt.datetime(2024, 1, 31, 6, 30, tzinfo=UTC)), ("b", dt.datetime(2024, 7, 31, 5, 30, tzinfo=UTC))], columns=TIME),
    Case("times that name their zone", cells("t", "2024-01-31T07:30:00Z", "2024-01-31 07:30:00+05:30", "2024-01-31 07:30:00-02"),
         3, columns=TIME),
    Case("times of both kinds", cells("t", "2024-01-31T07:30:00Z", "2024-01-31 07:30:00"),
         [("a", dt.datetime(2024, 1, 31, 7, 30, tzinfo=UTC)), ("b", dt.datetime(2024, 1, 31, 6, 30, tzinfo=UTC))], columns=TIME),
    Case("a time that never was", cells("t", "2024-03-31 02:30:00", "2024-03-31 03:30:00"), 1, [(2, "type")], columns=TIME),
    Case("a time that was twice", cells("t", "2024-10-27 02:30:00"),
         [("a", dt.datetime(2024, 10, 27, 1, 30, tzinfo=UTC))], columns=TIME),
    Case("times cut short", cells("t", "2024-01-31", "2024-01-31 07:30", "2024-01-31 07", "2024-01"), 3,
         [(5, "type")], columns=TIME),
    Case("times out of range", cells("t", "2024-01-31 24:00:00", "2024-01-31 07:60:00", "2024-01-31 07:30:00"), 1,
         [(2, "type"), (3, "type")], columns=TIME),
    Case("microseconds, and nanoseconds", cells("t", "2024-01-31 07:30:00.123456", "2024-01-31 07:30:00.1234567"), 1,
         [(3, "type")], columns=TIME),
    Case("Excel's day numbers", cells("t", "45322.3125", "2024-01-31 07:30:00"), 1, [(2, "type")], columns=TIME),
    Case("truth in its spellings", cells("b", "true", "F", "1", "no", "Yes"),
         [("a", True), ("b", False), ("c", True), ("d", False), ("e", True)], columns=BOOL),
    Case("no truth", cells("b", "maybe", "2", "on", "true"), [("d", True)],
         [(2, "type"), (3, "type"), (4, "type")], columns=BOOL),
    Case("JSON cells", cells("j", '"{""k"": [1, 2]}"', '"{k: 1}"', "7", "NaN"), [("a", {"k": [1, 2]}), ("c", 7)],
         [(3, "type"), (5, "type")], columns=JSON),
    Case("an empty cell where a value must be", "id,n\na,\nb,2\n", [("b", 2)], [(2, "null")], columns="id:text:key n:int:must"),
    Case("NA, unforeseen", cells("n", "NA", "2"), [("b", 2)], [(2, "type")], columns=INT),
    Case("NA, as agreed", cells("n", "NA", "2"), [("a", None), ("b", 2)], columns=INT, source={"nulls": ["NA"]}),
    Case("several null marks", HEAD + "a,NA,NA\nb,,-\nc,3,z\n", [("a", None, None), ("b", None, None), ("c", 3, "z")],
         source={"nulls": ["", "NA", "-"]}),
    Case("a null mark in quotes is a text", HEAD + 'a,1,"NA"\nb,2,NA\n', [("a", 1, "NA"), ("b", 2, None)],
         source={"nulls": ["NA"]}),
    Case("two faults in one row are one reject", "id,n,x\na,one,two\nb,1,2\n", 1, [(2, "type")],
         columns="id:text:key n:int x:float"),
    Case("spaces in text survive", HEAD + "a,1,  x \n", [("a", 1, "  x ")]),
    Case("a formula is a text", HEAD + "a,1,=1+1\n", [("a", 1, "=1+1")]),
    Case("a very long cell", HEAD + f"a,1,{'x' * 3_000_000}\nb,2,y\n", 2),
]  # fmt: skip
