"""Reading one prediction by key, pages, kept answers and exports, against bare handlers and `psql \\copy`, in one run.

The bare handlers are FastAPI on uvicorn with the same statement, and nothing else: no trust line, no tag, no contract; one asks
over the same sessions as we do, the other over psycopg's pool. `ratio` is ours / other in answers (or rows) a second: higher is
better; of `page_1000_vs_page_1` it is milliseconds, and lower is better. The servers are up all the time and asked in turn.
`python -m bench.web [small|full]` measures alone and prints JSON.
"""

import base64
import http.client
import json
import random
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

from bench.serving import ROUNDS, ask_for_a_while, compare, filled, milliseconds_at, serve
from infra.postgres import database_url, program_folders
from infra.settings import Settings

API = "/api/v1/p/bench_web/rows"
COLUMNS = "id, prediction, probability, model_version, hindsight, carrier, distance, late"
Found = dict[str, dict[str, Any]]


def web_vs_others(size: str = "small") -> Found:
    """Every ratio of this file, from one run. `peak_mb` is of our server's process."""
    with filled(size) as (settings, rows, numbers):
        return _measure(settings, rows, numbers)


def _measure(settings: Settings, rows: int, numbers: tuple[int, int]) -> Found:
    url = database_url(settings, role="reader")
    rest = [url, *map(str, numbers)]
    with serve(["-m", "web"], settings) as ours:  # first, because memory counts from a server that nobody has asked
        found = _exports(ours, url, numbers, rows)
        with (
            serve(["-m", "bench.bare_web", "express", *rest], settings) as bare,
            serve(["-m", "bench.bare_web", "pool", *rest], settings) as pooled,
        ):
            found |= _lookups(ours, bare, pooled, rows)
        found |= _pages(ours, rows)
    return found


def _lookups(ours: Any, bare: Any, pooled: Any, rows: int) -> Found:
    chance = random.Random(7)

    def lookup() -> str:
        return f"{API}?id={chance.randint(1, rows)}"

    figures: dict[str, list[tuple[float, float]]] = {"ours": [], "bare": [], "pooled": []}
    late, other_late = [], []
    for _ in range(ROUNDS):
        figures["ours"].append(ask_for_a_while(ours, lookup))
        for name, server in (("bare", bare), ("pooled", pooled)):
            figures[name].append(ask_for_a_while(server, lambda: f"/{chance.randint(1, rows)}"))
        late.append(milliseconds_at(ours, lookup, connections=32))
        other_late.append(milliseconds_at(bare, lambda: f"/{chance.randint(1, rows)}", connections=32))
    peak = ours.memory_info().rss >> 20
    at_32 = {"p99_ms_at_32": statistics.median(late[1:]), "other_p99_ms_at_32": statistics.median(other_late[1:])}
    return {
        "web_lookup_vs_bare": compare(figures["ours"], figures["bare"], rows, peak) | at_32,
        "web_lookup_vs_pool": compare(figures["ours"], figures["pooled"], rows, peak),
    }


def _pages(ours: Any, rows: int) -> Found:
    """A hundred rows, kept and read, as JSON and as a page; what is read has a filter of its own, so that none is kept."""
    chance = random.Random(8)

    def never_kept(path: str) -> Callable[[], str]:
        return lambda: f"{path}?limit=100&id__ge={-chance.randint(1, 10**9)}"

    html, first = "/p/bench_web/rows", never_kept(API)
    after = base64.urlsafe_b64encode(json.dumps([str(min(rows // 2, 99_900))]).encode()).decode().rstrip("=")
    questions: dict[str, Callable[[], str]] = {
        "kept": lambda: f"{API}?limit=100", "read": first, "html_kept": lambda: f"{html}?limit=100",
        "html_read": never_kept(html), "page_1000": lambda: f"{first()}&after={after}",
    }  # fmt: skip
    tag = _tag(ours.port, f"{API}?limit=100")
    figures: dict[str, list[tuple[float, float]]] = {name: [] for name in (*questions, "unchanged")}
    for _ in range(ROUNDS):
        for name, question in questions.items():
            figures[name].append(ask_for_a_while(ours, question))
        figures["unchanged"].append(ask_for_a_while(ours, questions["kept"], tag=tag))
    peak = ours.memory_info().rss >> 20
    deep = compare(figures["page_1000"], figures["read"], rows, peak)
    deep |= {"ratio": round(1 / deep["ratio"], 3), "cpu_ratio": round(1 / deep["cpu_ratio"], 3), "better": "lower"}
    return {
        "web_kept_vs_read": compare(figures["kept"], figures["read"], rows, peak)
        | {"unchanged_cpu_us": round(min(one[1] for one in figures["unchanged"]))},
        "web_html_kept_vs_read": compare(figures["html_kept"], figures["html_read"], rows, peak),
        "page_1000_vs_page_1": deep,
    }


def _tag(port: int, path: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.headers["ETag"]


def _exports(server: Any, url: str, numbers: tuple[int, int], rows: int) -> Found:
    """A whole publication, and the half of it that a filter leaves, each with the same query through psql."""
    query = f"SELECT {COLUMNS} FROM bench_web.history WHERE batch = {numbers[0]} AND input_batch = {numbers[1]}"
    half = f"{query} AND distance >= 1300 ORDER BY id"
    return {
        "export_vs_psql_copy": _export(server, url, f"{query} ORDER BY id", "rows.csv", rows),
        "filtered_export_vs_psql_copy": _export(server, url, half, "rows.csv?distance__ge=1300", rows // 2),
    }


def _export(server: Any, url: str, query: str, address: str, rows: int) -> dict[str, Any]:
    idle = server.memory_info().rss >> 20
    ours, other, peak = [], [], idle
    for _ in range(ROUNDS - 1):
        began = perf_counter()
        subprocess.run([_psql(), url, "-q", "-c", rf"\copy ({query}) to '/dev/null' with (format csv, header)"], check=True)
        other.append(perf_counter() - began)
        began = perf_counter()
        size = 0
        for block in _download(server.port, f"/p/bench_web/{address}"):
            size += block
            peak = max(peak, server.memory_info().rss >> 20)
        ours.append(perf_counter() - began)
        if size < 20 * rows:
            raise RuntimeError(f"the export holds {size} bytes for {rows} rows")
    best, rival = statistics.median(ours), statistics.median(other)
    return {
        "ratio": round(rival / best, 3), "better": "higher", "ours": round(rows / best), "other": round(rows / rival),
        "rows": rows, "seconds": round(best, 3), "first_seconds": round(ours[0], 3), "rounds": len(ours),
        "peak_mb": peak, "idle_mb": idle,
    }  # fmt: skip


def _download(port: int, path: str) -> Iterator[int]:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", path)
    answer = connection.getresponse()
    if answer.status != 200:
        raise RuntimeError(f"{path}: {answer.status} {answer.read(2000)!r}")
    while block := answer.read(1 << 20):
        yield len(block)
    connection.close()


def _psql() -> str:
    return str(next(folder / "psql" for folder in reversed(program_folders()) if (folder / "psql").is_file()))


if __name__ == "__main__":
    print(json.dumps(web_vs_others(sys.argv[1] if len(sys.argv) > 1 else "small"), indent=1))
