"""The environment that peers are measured from: made once from `bench/peers.txt`, apart from Overnight's own."""

import os
import subprocess
import sys
from pathlib import Path

_LIST = Path(__file__).parent / "peers.txt"
_FOLDER = Path(__file__).parent.parent / ".venv-peers"


def peers_python() -> str | None:
    """Its Python, made the first time (a minute); BENCH_PEERS_PYTHON names another. None, with a word, when it cannot be made."""
    if named := os.environ.get("BENCH_PEERS_PYTHON"):
        return named
    python, stamp = _FOLDER / "bin" / "python", _FOLDER / ".stamp"
    if stamp.exists() and stamp.read_text() == _LIST.read_text():
        return str(python)
    try:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(_FOLDER)], check=True, capture_output=True)
        command = [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check", "-r", str(_LIST)]
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"the peers cannot be installed, so they are left out: {error}", file=sys.stderr)
        return None
    stamp.write_text(_LIST.read_text())
    return str(python)
