"""A whole night as one command from nothing, against a Metaflow run of five steps that do nothing, from nothing too.

Ours is `overnight run` of a night of real flights in a fresh process, on a Postgres that is up: six stages, their rows and their
ledger lines. Metaflow's is `python five_steps.py run`: its five steps are processes, and files are what is kept of them.
`ratio` is CPU seconds of ours / Metaflow's: lower is better. `python -m bench.steps [small|full]` measures alone and prints JSON.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from bench.clock import Figures, beside, in_turn, own_cpu
from bench.peers import peers_python
from bench.scaling.house import home, nights_of, server_of
from infra.airline import drop_flights
from infra.settings import Settings
from tasks.night import take_night
from tasks.prepare import prepare

ROOT = Path(__file__).parent.parent
WARM_UP, ROUNDS = 8, 5
OURS = "from cli.main import main; main()"


def night_vs_metaflow(_: str = "small") -> dict[str, dict[str, Any]]:
    """The ratio; none when the peers cannot be installed. Both sizes are one: a run is a run."""
    python = peers_python()
    if python is None:
        return {}
    with home() as own, tempfile.TemporaryDirectory(prefix="ov") as folder:
        settings = own.model_copy(update={"deployments": Settings().deployments.absolute()})
        drop_flights(settings.data_folder / "flights")
        (definition,) = prepare(settings, "flights")
        nights = nights_of(definition, WARM_UP + 2 * ROUNDS)
        for night in nights[:WARM_UP]:
            take_night(definition, night, settings, trigger="bench")
        labels = iter([definition.pipeline.calendar.label(night) for night in nights[WARM_UP:]])
        found = in_turn(
            {
                "ours": lambda: _run([sys.executable, "-c", OURS, "run", "flights", "--interval", next(labels)], _ours(settings)),
                "other": lambda: _run([python, str(ROOT / "bench/others/five_steps.py"), "run"], _metaflow(folder), folder),
            },
            server=server_of(settings), rounds=ROUNDS,
        )  # fmt: skip
    ours, other = found["ours"], found["other"]
    return {
        "night_vs_metaflow": {
            "ratio": round(ours["cpu_seconds"] / other["cpu_seconds"], 3), "ours": round(ours["cpu_seconds"], 2),
            "other": round(other["cpu_seconds"], 2), "rows": 900, **beside(ours, other),
        }
    }  # fmt: skip


def _ours(settings: Settings) -> Mapping[str, str]:
    return {
        "OVERNIGHT_HOME": str(settings.home), "OVERNIGHT_DATA": str(settings.data_folder),
        "OVERNIGHT_DEPLOYMENTS": str(settings.deployments), "PYTHONPATH": str(ROOT),
    }  # fmt: skip


def _metaflow(folder: str) -> Mapping[str, str]:
    return {"METAFLOW_DATASTORE_SYSROOT_LOCAL": folder, "METAFLOW_USER": "bench", "METAFLOW_HOME": folder}


def _run(command: Sequence[str], environment: Mapping[str, str], folder: str | None = None) -> Figures:
    began, spent = perf_counter(), own_cpu()
    done = subprocess.run(command, env={**os.environ, **environment}, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[1]}: {done.stderr.strip()[-500:]}")
    return {"seconds": perf_counter() - began, "cpu_seconds": own_cpu() - spent}


if __name__ == "__main__":
    print(json.dumps(night_vs_metaflow(*sys.argv[1:]), indent=2))
