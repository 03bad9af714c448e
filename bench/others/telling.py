"""How each script of another tool tells what it cost: `with telling():` around its work. Needs nothing but Python."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def telling() -> Iterator[None]:
    began, spent = time.perf_counter(), sum(os.times()[:4])
    yield
    seconds, cpu = time.perf_counter() - began, sum(os.times()[:4]) - spent
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    peak = next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)
    print(json.dumps({"seconds": seconds, "cpu_seconds": cpu, "peak_mb": peak}))
