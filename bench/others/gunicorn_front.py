"""Starts gunicorn with one process of eight threads. Arguments: the application's file, URL, batch, input batch, --port N."""

import os
import sys
from pathlib import Path

name, url, batch, input_batch, _, port = sys.argv[1:]
there = {"BENCH_URL": url, "BENCH_BATCH": batch, "BENCH_INPUT": input_batch, "PYTHONPATH": str(Path(__file__).parent)}
threads = ["--worker-class", "gthread", "--threads", "8", "--keep-alive", "60", "--log-level", "error"]
command = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", *threads, f"{name}:app"]
os.execve(sys.executable, command, {**os.environ, **there})
