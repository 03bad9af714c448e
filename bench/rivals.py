"""Scripts of other tools, run from the peers' environment: each reads its arguments, works, and prints what it cost."""

import json
import os
import subprocess
import sys
from pathlib import Path

from bench.clock import Figures
from bench.peers import peers_python

_FOLDER = Path(__file__).parent / "others"
_AT_MOST = 900  # seconds that one call of another tool may take


def run_rival(name: str, *arguments: str, python: str | None = None) -> Figures:
    """What `bench/others/NAME.py` tells of itself: seconds, CPU seconds, peak memory. Raises RuntimeError with its last words."""
    command = [python or _python(), str(_FOLDER / f"{name}.py"), *arguments]
    environment = {**os.environ, "RUNTIME__DLTHUB_TELEMETRY": "false", "PYTHONWARNINGS": "ignore"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=_AT_MOST)
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"{name} was not done after {_AT_MOST} seconds") from error
    if done.returncode:
        raise RuntimeError(f"{name}: {(done.stderr.strip().splitlines() or ['without a word'])[-1]}")
    found: Figures = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def _python() -> str:
    found = peers_python()
    if found is None:
        raise RuntimeError("the peers are not here")
    return found


def have_peers() -> bool:
    """Whether they can be measured at all; says on stderr when not."""
    there = peers_python() is not None
    if not there:
        print("the peers cannot be installed here, so what needs them is left out", file=sys.stderr)
    return there
