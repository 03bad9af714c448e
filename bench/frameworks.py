"""Looking up one prediction by key, against Flask and Django on gunicorn with the same view of the same Postgres, in one run.

Each is one process with eight threads, ours one process with its loop and threads; all answer JSON with the same columns, ours
with the trust line besides. `ratio` is ours / other in answers a second: higher is better. Both come from the peers' own
environment (`bench/peers.py`). `python -m bench.frameworks [small|full]` measures alone and prints JSON.
"""

import json
import random
import statistics
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from bench.clock import LEFT_OUT
from bench.peers import peers_python
from bench.serving import SECONDS, ask_for_a_while, filled, serve
from infra.postgres import database_url
from infra.settings import Settings

ROUNDS = 5
FRONT = Path(__file__).parent / "others" / "gunicorn_front.py"


def web_vs_frameworks(size: str = "small") -> dict[str, dict[str, Any]]:
    """Both ratios; none when the peers cannot be installed."""
    python = peers_python()
    if python is None:
        return {}
    with filled(size) as (settings, rows, numbers):
        return _measure(settings, rows, numbers, python)


def _measure(settings: Settings, rows: int, numbers: tuple[int, int], python: str) -> dict[str, dict[str, Any]]:
    chance, url = random.Random(7), database_url(settings, role="reader")
    paths = {"ours": "/api/v1/p/bench_web/rows?id={}", "flask": "/{}", "django": "/{}"}
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in paths}
    with ExitStack() as stack:
        servers = {"ours": stack.enter_context(serve(["-m", "web"], settings))}
        for name in ("flask", "django"):
            command = [str(FRONT), f"{name}_app", url, *map(str, numbers)]
            try:
                servers[name] = stack.enter_context(serve(command, settings, python=python))
            except RuntimeError as error:
                print(f"{name} {LEFT_OUT} {error}", file=sys.stderr)
        for number in range(ROUNDS + 1):
            for name, server in servers.items():
                before = _cpu(server)
                rate, _ = ask_for_a_while(server, partial(_path, paths[name], chance, rows))
                if number:  # the first is a warm-up
                    taken[name].append((rate, _cpu(server) - before))
        peaks = {name: _peak(server) for name, server in servers.items()}
    return {f"web_lookup_vs_{name}": _beside(taken, peaks, name, rows) for name in servers if name != "ours"}


def _path(form: str, chance: random.Random, rows: int) -> str:
    return form.format(chance.randint(1, rows))


def _beside(taken: dict[str, list[tuple[float, float]]], peaks: dict[str, int], name: str, rows: int) -> dict[str, Any]:
    rates = {one: statistics.median(rate for rate, _ in taken[one]) for one in ("ours", name)}
    spent = {one: statistics.median(cpu / rate for rate, cpu in taken[one]) / SECONDS * 1e6 for one in ("ours", name)}
    return {
        "ratio": round(rates["ours"] / rates[name], 3), "ours": round(rates["ours"]), "other": round(rates[name]), "rows": rows,
        "cpu_us": round(spent["ours"]), "other_cpu_us": round(spent[name]), "peak_mb": peaks["ours"],
        "other_peak_mb": peaks[name], "rounds": ROUNDS,
    }  # fmt: skip


def _family(server: psutil.Process) -> list[psutil.Process]:
    return [server, *server.children(recursive=True)]


def _cpu(server: psutil.Process) -> float:
    return float(sum(sum(each.cpu_times()[:2]) for each in _family(server)))


def _peak(server: psutil.Process) -> int:
    return sum(each.memory_info().rss for each in _family(server)) >> 20


if __name__ == "__main__":
    print(json.dumps(web_vs_frameworks(sys.argv[1] if len(sys.argv) > 1 else "small"), indent=1))
