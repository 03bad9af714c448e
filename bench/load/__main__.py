"""Readers on loopback, a few connections that each ask in turn, against the web with several workers, while nights are published,
corrected and held under it, Postgres is restarted once and a worker is killed once. `python -m bench.load [minutes]`.

Every answer is held against what Postgres itself says of the batch that its trust line names. It prints a table, then a JSON
object, and exits 1 when any answer was wrong or an error came at another time than the two disturbances.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import IO, Any

import psutil

from bench.load.asking import Asker, Record
from bench.load.nights import NAME, define
from bench.load.truth import Truth
from bench.serving import serve
from cli.show import out, print_table, say
from infra.postgres import database_url, start_server, stop_server
from infra.settings import Settings

PROJECT = Path(__file__).parents[2]
CUT_FOR, AWAY_FOR = 2.0, 5.0  # seconds in which errors are expected: after the kill, and after Postgres is back
MOVES = 3  # publications that a slow machine is waited for, which comes to them later


def measure(seconds: float, *, workers: int = 3, connections: int = 8, pause: float = 3.0) -> dict[str, Any]:
    with _home() as settings, _publishing(settings, pause=pause) as nights:
        truth = Truth(database_url(settings, role="reader"), NAME)
        truth.start()
        _wait(lambda: bool(truth.moves), "a night with predictions", 300)
        with serve(["-m", "web", "--workers", str(workers)], settings) as web:
            _wait(lambda: len(_workers(web)) == workers, "all workers", 180)
            record = Record(truth)
            askers = [Asker(web.port, record, seed=seed, files=seed == 0) for seed in range(connections)]  # type: ignore[attr-defined]
            idle, began = _memory(web), monotonic()
            for asker in askers:
                asker.start()
            sleep(seconds / 3)
            away = _restart_postgres(settings)
            sleep(max(0.0, began + 2 * seconds / 3 - monotonic()))
            killed = _kill_worker(web)
            sleep(max(0.0, began + seconds - monotonic()))
            _wait(lambda: len(_workers(web)) == workers, "a worker in place of the killed one", 180)
            _wait(lambda: len(truth.moves) >= MOVES, "a few publications", 180)
            for asker in askers:
                asker.stopping.set()
            for asker in askers:
                asker.join()
            took, alive, memory = monotonic() - began, len(_workers(web)), _memory(web)
        told = nights()
        truth.stop()
        return _sum_up(record, told, took=took, away=away, killed=killed) | {
            "workers": workers, "connections": connections, "workers_alive": alive, "idle_mb": idle, "end_mb": memory,
        }  # fmt: skip


def _sum_up(
    record: Record, nights: list[dict[str, str]], *, took: float, away: tuple[float, float], killed: float
) -> dict[str, Any]:
    gone = away[0], away[1] + AWAY_FOR
    during = [error for error in record.errors if gone[0] <= error[0] <= gone[1]]
    cut = [error for error in record.errors if killed <= error[0] <= killed + CUT_FOR and error[1].startswith("cut")]
    others = [error for error in record.errors if error not in during and error not in cut]
    unknown = record.batches - record.truth.ever_published()
    wrong = [*record.wrong, *(f"batch {batch} was never published" for batch in sorted(unknown))]
    times = {kind: sorted(found) for kind, found in sorted(record.milliseconds.items())}
    return {
        "seconds": round(took), "answers": sum(record.statuses.values()), "statuses": dict(record.statuses),
        "kinds": {kind: _times(found) for kind, found in times.items()}, "batches_read": len(record.batches),
        "nights": dict(Counter(f"{one['kind']}, {one['state']}" for one in nights)), "pointer_moves": len(record.truth.moves),
        "behind_ms": round(record.behind * 1000), "postgres_away_ms": round((away[1] - away[0]) * 1000),
        "errors_while_away": len(during), "last_error_after_ms": round(max([e[0] - away[1] for e in during], default=0) * 1000),
        "cut_by_the_kill": len(cut), "errors_otherwise": len(others), "wrong": len(wrong),
        "broke": [*wrong[:5], *(what for _, what in others[:5])],
    }  # fmt: skip


def _times(found: list[float]) -> dict[str, float]:
    late = found[int(0.99 * (len(found) - 1))]
    return {"answers": len(found), "median_ms": round(statistics.median(found), 1), "p99_ms": round(late, 1)}


@contextmanager
def _home() -> Iterator[Settings]:
    with tempfile.TemporaryDirectory(prefix="ov-load", ignore_cleanup_errors=True) as folder:
        here = Path(folder)
        here.chmod(0o755)
        settings = Settings(home=here / "home", deployments=here / "deployments", data=here / "data")
        define(settings)
        try:
            yield settings
        finally:
            stop_server(settings.postgres_folder)


@contextmanager
def _publishing(settings: Settings, *, pause: float) -> Iterator[Any]:
    """Nights in a process of their own; gives a function that ends them and returns what they said of each night."""
    environment = {
        **os.environ, "OVERNIGHT_HOME": str(settings.home), "OVERNIGHT_DEPLOYMENTS": str(settings.deployments),
        "OVERNIGHT_DATA": str(settings.data),
    }  # fmt: skip
    with tempfile.TemporaryFile("w+") as told:
        command = [sys.executable, "-m", "bench.load.nights", str(pause)]
        process = subprocess.Popen(command, stdout=told, env=environment, cwd=PROJECT)

        def end() -> list[dict[str, str]]:
            process.terminate()
            process.wait(30)
            return _read_lines(told)

        try:
            yield end
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def _read_lines(told: IO[str]) -> list[dict[str, str]]:
    told.seek(0)
    return [json.loads(line) for line in told.read().splitlines() if line.endswith("}")]


def _restart_postgres(settings: Settings) -> tuple[float, float]:
    """From when it was told to stop until it took connections again."""
    began = monotonic()
    stop_server(settings.postgres_folder)
    start_server(settings.postgres_folder)
    return began, monotonic()


def _kill_worker(web: psutil.Process) -> float:
    _workers(web)[0].send_signal(signal.SIGKILL)
    return monotonic()


def _workers(web: psutil.Process) -> list[psutil.Process]:
    children = web.children() if web.is_running() else []
    return [one for one in children if one.status() != psutil.STATUS_ZOMBIE and "spawn_main" in " ".join(one.cmdline())]


def _memory(web: psutil.Process) -> int:
    return max(one.memory_info().rss >> 20 for one in _workers(web))


def _wait(until: Any, what: str, seconds: float) -> None:
    ends = monotonic() + seconds
    while not until():
        if monotonic() > ends:
            raise RuntimeError(f"{what} did not come within {seconds:.0f} s")
        sleep(0.1)


def show(found: dict[str, Any]) -> None:
    columns = ["asked for", "answers", "median ms", "p99 ms"]
    lines = [(kind, one["answers"], one["median_ms"], one["p99_ms"]) for kind, one in found["kinds"].items()]
    out.print()
    print_table(f"{found['seconds']} s, {found['workers']} workers, {found['connections']} connections", columns, lines,
                numbers=columns[1:])  # fmt: skip
    out.print()
    print_table("What happened", ["", ""], [(name.replace("_", " "), _words(found[name])) for name in _TOLD], numbers=[""])


def _words(value: Any) -> str:
    return ", ".join(f"{name}: {count}" for name, count in value.items()) if isinstance(value, dict) else str(value)


_TOLD = ("statuses", "nights", "pointer_moves", "batches_read", "behind_ms", "postgres_away_ms", "errors_while_away",
         "last_error_after_ms", "cut_by_the_kill", "workers_alive", "idle_mb", "end_mb", "errors_otherwise", "wrong")  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.load", description=__doc__)
    parser.add_argument("minutes", type=float, nargs="?", default=15.0)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--connections", type=int, default=8)
    arguments = parser.parse_args()
    say(f"{arguments.minutes:g} minutes of load")
    found = measure(arguments.minutes * 60, workers=arguments.workers, connections=arguments.connections)
    show(found)
    print(json.dumps(found))
    return 1 if found["broke"] else 0


if __name__ == "__main__":
    sys.exit(main())
