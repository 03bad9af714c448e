"""Looking up one prediction by key, against Datasette on an SQLite copy of the same rows, in one run.

Both answer JSON from a server of one process with one row of the same columns; ours adds the trust line. Datasette reads a file
that nobody writes and knows no nights, so its copy holds this one alone. `ratio` is ours / other in answers a second: higher is
better. Datasette is no dependency: it is measured from the peers' own environment (`bench/peers.py`).
`python -m bench.datasette [small|full]` measures alone and prints JSON.
"""

import json
import random
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2

from bench.peers import peers_python
from bench.serving import ROUNDS, ask_for_a_while, compare, filled, serve
from infra.postgres import database_url
from infra.settings import Settings

_COLUMNS = "id, prediction, probability, model_version, carrier, distance, late"


def web_vs_datasette(size: str = "small") -> dict[str, dict[str, Any]]:
    """The ratio; none when the peers cannot be installed."""
    python = peers_python()
    if python is None:
        return {}
    with filled(size) as (settings, rows, (batch, _)):
        copy = settings.home / "copy.db"
        _copy(database_url(settings, role="reader"), copy, batch)
        return _measure(settings, copy, rows, python)


def _copy(url: str, path: Path, batch: int) -> None:
    """SQLite's best case: the key is the row's own number."""
    with closing(sqlite3.connect(path)) as target, closing(psycopg2.connect(url)) as source, source.cursor("rows") as rows:
        target.execute(
            "CREATE TABLE predictions (id INTEGER PRIMARY KEY, prediction INTEGER, probability REAL, model_version INTEGER,"
            " carrier TEXT, distance REAL, late REAL)"
        )
        rows.itersize = 50_000
        rows.execute(f"SELECT {_COLUMNS} FROM bench_web.history WHERE batch = %s", [batch])
        target.executemany("INSERT INTO predictions VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        target.commit()


def _measure(settings: Settings, copy: Path, rows: int, python: str) -> dict[str, dict[str, Any]]:
    chance = random.Random(7)
    figures: dict[str, list[tuple[float, float]]] = {"ours": [], "other": []}
    command = ["-m", "datasette", "serve", "--immutable", str(copy)]
    with serve(["-m", "web"], settings) as ours, serve(command, settings, python=python) as other:
        for _ in range(ROUNDS):
            figures["ours"].append(ask_for_a_while(ours, lambda: f"/api/v1/p/bench_web/rows?id={chance.randint(1, rows)}"))
            figures["other"].append(
                ask_for_a_while(other, lambda: f"/copy/predictions/{chance.randint(1, rows)}.json?_shape=objects")
            )
        peak = ours.memory_info().rss >> 20
    return {"web_lookup_vs_datasette": compare(figures["ours"], figures["other"], rows, peak)}


if __name__ == "__main__":
    print(json.dumps(web_vs_datasette(sys.argv[1] if len(sys.argv) > 1 else "small"), indent=1))
