"""results.json: what was measured last, by size and ratio, with the machine that measured it. A part that is measured
again replaces its own ratios and leaves the others."""

import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import psutil

from infra.postgres import program_folders

PATH = Path(__file__).parent / "results.json"
_NAMED = ("prefect", "great-expectations", "scikit-learn", "pandas", "pyarrow", "fastapi", "sqlalchemy")
Results = dict[str, Any]


def read_results(path: Path = PATH) -> Results:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"machines": []}


def ratios_of(results: Results, size: str) -> dict[str, dict[str, Any]]:
    return dict(results.get(size, {}).get("ratios", {}))


def merge(
    results: Results, found: Mapping[str, Mapping[str, Any]], *, size: str, machine: Mapping[str, Any], day: str
) -> Results:
    """The results with these ratios in place of their older selves; machines that measured nothing that is left are dropped."""
    machines = [*results["machines"], *([] if machine in results["machines"] else [dict(machine)])]
    stamped = {name: {**figures, "day": day, "machine": machines.index(machine)} for name, figures in found.items()}
    sizes = {one: ratios_of(results, one) for one in ("full", "small")}
    sizes[size] |= stamped
    used = sorted({figures["machine"] for ratios in sizes.values() for figures in ratios.values()})
    for ratios in sizes.values():
        for name, figures in ratios.items():
            ratios[name] = {**figures, "machine": used.index(figures["machine"])}
    kept = {one: {"ratios": dict(sorted(ratios.items()))} for one, ratios in sizes.items()}
    return {"machines": [machines[one] for one in used], **kept}


def write_results(results: Results, path: Path = PATH) -> None:
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def today() -> str:
    return date.today().isoformat()


def this_machine() -> dict[str, Any]:
    """What a reader needs to judge a figure: cores, memory, versions; no names of hosts."""
    return {
        "cores": os.cpu_count(), "memory_gb": round(psutil.virtual_memory().total / 2**30), "processor": _processor(),
        "system": f"{platform.system()} {platform.machine()}", "python": platform.python_version(), "postgres": _postgres(),
        "packages": {name: importlib.metadata.version(name) for name in _NAMED},
    }  # fmt: skip


def _processor() -> str:
    told = Path("/proc/cpuinfo")
    lines = told.read_text().splitlines() if told.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor())


def _postgres() -> str:
    """The embedded one, which all sides are measured on."""
    server = next(folder / "postgres" for folder in reversed(program_folders()) if (folder / "postgres").is_file())
    said = subprocess.run([server, "--version"], capture_output=True, text=True, check=False).stdout
    return said.split()[-1] if said else ""
