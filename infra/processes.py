"""Child processes that one program keeps: started with their own log, waited for, restarted when they die, stopped."""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep

import psutil

from domain.errors import OrchestratorUnavailable

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Part:
    """What is started: `is_ready` tells when it does its work, `address` is what people are told."""

    name: str
    title: str
    command: Sequence[str]
    environment: Mapping[str, str]
    is_ready: Callable[[], bool]
    address: str = ""
    folder: Path | None = None
    patience: float = 180.0
    stop_within: float = 20.0


@dataclass(slots=True)
class Child:
    """A part that was started."""

    part: Part
    process: "subprocess.Popen[bytes]"
    log: Path
    starts: list[float] = field(default_factory=list)

    @property
    def is_alive(self) -> bool:
        return self.process.poll() is None


def start_part(part: Part, *, logs: Path) -> Child:
    """Starts a part in a session of its own, so that Ctrl-C reaches only us and everything it starts can be found."""
    logs.mkdir(parents=True, exist_ok=True)
    log = logs / f"{part.name}.log"
    if log.exists():
        log.replace(log.with_suffix(".log.1"))
    with log.open("wb") as output:
        process = subprocess.Popen(
            list(part.command), env=dict(part.environment), cwd=part.folder, stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    return Child(part, process, log, [monotonic()])


def wait_until_ready(child: Child, *, say: Say) -> None:
    """Waits as long as the part's patience says, with a word every ten seconds.

    Raises OrchestratorUnavailable with the end of its log when it dies or never gets ready.
    """
    began = said = monotonic()
    while not child.part.is_ready():
        if not child.is_alive:
            raise OrchestratorUnavailable(f"{child.part.title} ended at once: {last_line(child.log)}", hint=f"tail {child.log}")
        if monotonic() - began > child.part.patience:
            raise OrchestratorUnavailable(
                f"{child.part.title} is not ready after {child.part.patience:.0f} s: {last_line(child.log)}",
                hint=f"tail {child.log}",
            )
        if monotonic() - said > 10:
            said = monotonic()
            say(f"waiting for {child.part.title}, {said - began:.0f} s so far")
        sleep(0.2)


def last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()] if log.exists() else []
    return lines[-1][:200] if lines else "it said nothing"


def stop_child(child: Child, *, within: float | None = None) -> None:
    """Asks the process to end, waits, then ends whatever is left of its session and of what it started outside of it."""
    family = _family(child.process.pid)
    if child.is_alive:
        child.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            child.process.wait(child.part.stop_within if within is None else within)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.process.pid, signal.SIGKILL)
    for process in family:
        with suppress(psutil.Error):
            process.kill()
    child.process.wait()


def _family(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


# What a supervisor that was killed has left running -----------------------------------------------------------------------


def remember_children(path: Path, children: Sequence[Child]) -> None:
    """Notes who runs, so that the next start can clear away what a killed supervisor left."""
    notes = []
    for child in children:
        with suppress(psutil.Error):
            notes.append([child.process.pid, psutil.Process(child.process.pid).create_time()])
    path.write_text(json.dumps(notes))


def stop_leftovers(path: Path) -> int:
    """Ends the noted processes that still run, with all of their sessions; returns how many there were."""
    try:
        notes = json.loads(path.read_text())
    except (OSError, ValueError):
        return 0
    found = [pid for pid, born in notes if _is_same(pid, born)]
    for pid in found:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGTERM)
    psutil.wait_procs([psutil.Process(pid) for pid in found if psutil.pid_exists(pid)], timeout=10)
    for pid in found:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
    path.unlink(missing_ok=True)
    return len(found)


def _is_same(pid: int, born: float) -> bool:
    try:
        return abs(psutil.Process(pid).create_time() - born) < 1
    except psutil.Error:
        return False
