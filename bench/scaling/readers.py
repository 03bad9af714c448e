"""What an answer costs, and how long it takes, as more readers ask at once."""

import asyncio
import random
import statistics
from collections.abc import Callable, Iterator, Sequence
from time import perf_counter

import psutil

from bench.clock import database_cpu
from bench.scaling.curves import Point
from bench.scaling.house import home, server_of
from bench.serving import fill, serve

ROWS, SECONDS = 336_776, 4.0


def measure(marks: Sequence[int]) -> Iterator[Point]:
    chance = random.Random(7)

    def look_up() -> str:
        return f"/api/v1/p/bench_web/rows?id={chance.randint(1, ROWS)}"

    def kept() -> str:
        return "/api/v1/p/bench_web/rows?limit=100"

    with home() as settings:
        fill(settings, ROWS)
        with serve(["-m", "web"], settings) as web:
            server = server_of(settings)
            for count in marks:
                point: Point = {"at": count}
                for name, rate, path in (("look-up", "look-ups a second", look_up), ("kept page", "kept pages a second", kept)):
                    _ask_all(web, path, count=count, seconds=1)
                    before = _cpu(web) + database_cpu(server)
                    times = _ask_all(web, path, count=count, seconds=SECONDS)
                    cpu = _cpu(web) + database_cpu(server) - before
                    point |= {
                        f"{name}, CPU ms": round(cpu / len(times) * 1e3, 3), f"{name}, median ms": _milliseconds(times, 50),
                        f"{name}, p99 ms": _milliseconds(times, 99), rate: round(len(times) / SECONDS),
                    }  # fmt: skip
                del point["kept page, median ms"]
                yield point


def _milliseconds(times: Sequence[float], percent: int) -> float:
    return round((statistics.quantiles(times, n=100)[percent - 1]) * 1e3, 2)


def _cpu(process: psutil.Process) -> float:
    used = process.cpu_times()
    return float(used.user + used.system)


def _ask_all(server: psutil.Process, path: Callable[[], str], *, count: int, seconds: float) -> list[float]:
    port: int = server.port  # type: ignore[attr-defined]
    return asyncio.run(_together(port, path, count=count, seconds=seconds))


async def _together(port: int, path: Callable[[], str], *, count: int, seconds: float) -> list[float]:
    until = perf_counter() + seconds
    times = await asyncio.gather(*(_reader(port, path, until) for _ in range(count)))
    return [one for each in times for one in each]


async def _reader(port: int, path: Callable[[], str], until: float) -> list[float]:
    """One connection that asks again as soon as it is answered. Raises RuntimeError for an answer that is not 200."""
    incoming, outgoing = await asyncio.open_connection("127.0.0.1", port)
    times = []
    while (began := perf_counter()) < until:
        outgoing.write(f"GET {path()} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        head = await incoming.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"the server did not answer as it should: {head[:80]!r}")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await incoming.readexactly(int(length[15:]))
        times.append(perf_counter() - began)
    outgoing.close()
    return times
