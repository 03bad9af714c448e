"""The profile's part of the page of figures, from profile.json alone."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.pictures import short

PATH = Path(__file__).parent / "profile.json"
ROWS = 100_000  # of the night whose bytes are counted


def read_profile(path: Path = PATH) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def profile_lines() -> Iterator[str]:
    """The profile's part of the page of figures."""
    found = read_profile()
    if not found:
        return
    whole = sum(stage["cpu_ms"] for stage in found["stages"].values())
    asked = sum(stage["statements"] for stage in found["stages"].values())
    yield from ("## Where a night goes", "", f"`python -m bench.profile`, {found['day']}.", "")
    yield f"A warm night of some 900 flights that does not train: {whole:.0f} CPU ms, Postgres included, and {asked} statements."
    yield from ("", "| stage | CPU ms | share | statements |", "|---|--:|--:|--:|")
    for name, stage in found["stages"].items():
        yield f"| {name} | {stage['cpu_ms']:.0f} | {stage['cpu_ms'] / whole:.0%} | {stage['statements']} |"
    yield from ("", "What a process imports before it works; shares are of the time that importing takes.", "")
    yield from ("| process | modules | CPU s | most of it |", "|---|--:|--:|---|")
    for name, entry in found["entries"].items():
        largest = ", ".join(f"{package} {share:.0%}" for package, share in entry["largest"].items())
        yield f"| {name} | {entry['modules']:,} | {entry['cpu_s']} | {largest} |"
    yield from _container_lines(found.get("containers"))
    yield from ("", f"What a row of eight columns takes, in bytes, mean of {ROWS:,}: ", "")
    yield from ("| " + " | ".join(found["bytes"]) + " |", "|" + "--:|" * len(found["bytes"]))
    yield "| " + " | ".join(short(size) for size in found["bytes"].values()) + " |"
    yield ""


def _container_lines(found: dict[str, Any] | None) -> Iterator[str]:
    if found is None:
        return
    yield from (
        "",
        f"What a container of its own adds to a stage: `python -m bench.containers`, {found['day']}, medians by the clock:",
        "",
    )
    yield from ("| stage | s in a warm process | s in a container | s added | CPU s of the container |", "|---|--:|--:|--:|--:|")
    for name, stage in found["stages"].items():
        inline, boxed = stage["inline_s"], stage["container_s"]
        yield f"| {name} | {inline} | {boxed} | {boxed - inline:.2f} | {stage['container_cpu_s']} |"
