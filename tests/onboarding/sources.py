"""The same from other kinds of sources: packed, typed, nested, in a database, a file a day."""

import json
import random
import sqlite3
from pathlib import Path

from tests.onboarding.made import Made, day, write_csv


def utf16(at: Path, c: random.Random) -> Made:
    rows = [[f"k{n}", c.choice(["ja", "nein"]), f"{c.randint(1, 99)} %", c.choice([None, 1.5, 2.5]), n % 12] for n in range(400)]
    return Made(
        "utf16",
        write_csv(at / "umfrage.csv", ["Kürzel", "Antwort", "Anteil", "Wert", "Monate"], rows, delimiter="\t", encoding="utf-16"),
        "Antwort",
        "yes or no",
        ("kurzel",),
        {"Anteil": "int"},
    )


def packed(at: Path, c: random.Random) -> Made:
    rows = [[n + 500, f"{day(n % 300):%b %d, %Y}", c.randint(18, 80), round(c.random() * 100, 2)] for n in range(1000)]
    return Made(
        "packed",
        write_csv(at / "visits.csv.gz", ["visit no", "on", "age", "cost"], rows),
        "cost",
        "number",
        ("visit_no",),
        {"on": "date"},
        rows=1000,
    )


def parquet(at: Path, c: random.Random) -> Made:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({
        "Order ID": pa.array(range(500)),
        "when": pa.array([day(n % 90) for n in range(500)]),
        "kind": pa.array([c.choice(["a", "b"]) for _ in range(500)]).dictionary_encode(),
        "amount": pa.array([None if n % 50 == 0 else c.random() * 9 for n in range(500)]),
        "sold": pa.array([c.random() < 0.3 for _ in range(500)]),
    })  # fmt: skip
    pq.write_table(table, at / "orders.parquet")
    return Made(
        "parquet",
        str(at / "orders.parquet"),
        "sold",
        "yes or no",
        ("order_id",),
        {"when": "date", "amount": "float", "sold": "bool"},
        rows=500,
    )


def jsonl(at: Path, c: random.Random) -> Made:
    path = at / "events.jsonl"
    path.write_text(
        "".join(
            json.dumps({"event id": f"e{n}", "tags": ["x"], "n": n % 5, "level": c.choice(["low", "mid", "high"])}) + "\n"
            for n in range(400)
        )
    )
    return Made("jsonl", str(path), "level", "classes", ("event_id",), {"tags": "json", "n": "int"}, unused=("tags",))


def database(at: Path, c: random.Random) -> Made:
    with sqlite3.connect(at / "shop.db") as connection:
        connection.execute('CREATE TABLE orders ("order id" integer, city text, price real, returned text)')
        connection.executemany(
            "INSERT INTO orders VALUES (?, ?, ?, ?)",
            [(n, c.choice(["Ulm", None]), c.random() * 90, c.choice(["yes", "no"])) for n in range(400)],
        )
    return Made(
        "database", f"sqlite:///{at / 'shop.db'}", "returned", "yes or no", ("order_id",), {"price": "float", "returned": "bool"}
    )


def daily(at: Path, c: random.Random) -> Made:
    for number in range(6):
        rows = [
            [f"{number}-{n}", c.choice(["north", "south"]), round(c.random() * 9, 2), int(c.random() < 0.4)] for n in range(80)
        ]
        write_csv(at / f"day-{day(number)}.csv", ["trip", "region", "length", "late"], rows)
    return Made("daily", str(at / "day-*.csv"), "late", "yes or no", ("trip",), {"length": "float"}, rows=480, mode="interval")


def small(at: Path, c: random.Random) -> Made:
    rows = [[c.choice("ABC"), c.randint(1, 5), round(c.random(), 2), c.choice(["Yes", "No"])] for _ in range(300)]
    return Made(
        "small",
        write_csv(at / "small.csv", ["a", "b", "c", "d"], [*rows, rows[0]]),
        "d",
        "yes or no",
        (),
        {"d": "bool"},
        rows=301,
    )
