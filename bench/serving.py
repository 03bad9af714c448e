"""One published night of many rows, servers that answer from it, and clients that ask them: what the web's comparisons share."""

import asyncio
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

import psutil
import sqlalchemy as sa

from domain.pipeline import Pipeline
from domain.words import BatchKind, Outcome, RunState
from infra.postgres import ensure_database, stop_server
from infra.settings import Settings
from store.batches import count_batch, open_batch, record_verdict, seal_batch
from store.engine import create_engine, transaction
from store.migrate import migrate
from store.models import save_model
from store.pipelines import register
from store.publications import publish
from store.runs import Run, claim, finish_run, point_run

ROWS = {"small": 336_776, "full": 3_367_760}
CONNECTIONS, SECONDS = 8, 2.0
ROUNDS = 6  # the first is a warm-up
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


def fill(settings: Settings, rows: int) -> tuple[int, int]:
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


@contextmanager
def filled(size: str) -> Iterator[tuple[Settings, int, tuple[int, int]]]:
    """A home with one published night: its settings, how many rows, and the numbers of the prediction and the input batch."""
    with tempfile.TemporaryDirectory(prefix="ov") as folder:
        settings = Settings(home=Path(folder) / "home")
        try:
            yield settings, ROWS[size], fill(settings, ROWS[size])
        finally:
            stop_server(settings.postgres_folder)


@contextmanager
def serve(command: Sequence[str], settings: Settings, *, python: str = sys.executable) -> Iterator[psutil.Process]:
    """A server of its own process, asked on the port that it is given last; its process has that as `port`.

    What it prints is not read: Datasette has a line for each answer, which it would wait for a terminal to show.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "OVERNIGHT_HOME": str(settings.home)}
    process = subprocess.Popen([python, *command, "--port", str(port)], env=environment, stdout=subprocess.DEVNULL)
    try:
        watched = psutil.Process(process.pid)
        watched.port = port  # type: ignore[attr-defined]
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            sleep(0.1)
        else:
            raise RuntimeError(f"{' '.join(command)} does not listen")
        sleep(1.5)  # its pool and its listening session
        yield watched
    finally:
        process.terminate()
        process.wait(timeout=15)


def compare(ours: list[tuple[float, float]], other: list[tuple[float, float]], rows: int, peak: int) -> dict[str, Any]:
    """Rates and CPU of two servers over the rounds that count."""
    rate, rival = (statistics.median(one[0] for one in figures[1:]) for figures in (ours, other))
    work, rival_work = (min(one[1] for one in figures[1:]) for figures in (ours, other))
    return {
        "ratio": round(rate / rival, 3), "better": "higher", "ours": round(rate), "other": round(rival), "rows": rows,
        "seconds": SECONDS * (len(ours) - 1), "rounds": len(ours) - 1, "peak_mb": peak,
        "cpu_us": round(work), "other_cpu_us": round(rival_work), "cpu_ratio": round(rival_work / work, 3),
    }  # fmt: skip


def milliseconds_at(server: Any, path: Callable[[], str], *, connections: int) -> float:
    """The time under which 99 of 100 answers come, when so many connections each ask in turn; from one thread, which is quick."""

    async def ask(until: float) -> list[float]:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        times = []
        while (began := perf_counter()) < until:
            writer.write(_request(path()))
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]))
            times.append((perf_counter() - began) * 1000)
        writer.close()
        return times

    async def ask_all() -> list[float]:
        until = perf_counter() + SECONDS
        found = await asyncio.gather(*[ask(until) for _ in range(connections)])
        return sorted(time for times in found for time in times)

    times = asyncio.run(ask_all())
    return round(times[int(0.99 * (len(times) - 1))], 1)


def _request(path: str, tag: str = "") -> bytes:
    held = f"If-None-Match: {tag}\r\n" if tag else ""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{held}\r\n".encode()


def ask_for_a_while(server: Any, path: Callable[[], str], *, tag: str = "") -> tuple[float, float]:
    """Answers a second, and the server's CPU per answer in microseconds, from a few connections that each ask in turn."""
    until = perf_counter() + SECONDS

    def ask(_: int) -> int:
        answered = 0
        with socket.create_connection(("127.0.0.1", server.port)) as channel, channel.makefile("rb") as stream:
            while perf_counter() < until:
                channel.sendall(_request(path(), tag))
                _read_answer(stream, b"304" if tag else b"200")
                answered += 1
        return answered

    before, began = _cpu(server), perf_counter()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        total = sum(pool.map(ask, range(CONNECTIONS)))
    return total / (perf_counter() - began), (_cpu(server) - before) / total * 1e6


def _read_answer(stream: Any, wanted: bytes) -> None:
    """One whole answer, so that the connection can be used again. Raises RuntimeError when its status is another."""
    status = stream.readline()
    if not status.startswith(b"HTTP/1.1 " + wanted):
        raise RuntimeError(f"the server did not answer as it should: {status!r}")
    length: int | None = None
    while (line := stream.readline()) != b"\r\n":
        if line.lower().startswith(b"content-length:"):
            length = int(line[15:])
    if length is not None or wanted == b"304":
        stream.read(length or 0)
        return
    while size := int(stream.readline(), 16):  # in chunks, the last of them empty
        stream.read(size + 2)
    stream.readline()


def _cpu(server: psutil.Process) -> float:
    used = server.cpu_times()
    return float(used.user + used.system)
