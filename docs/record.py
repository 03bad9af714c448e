"""Writes docs/sessions.md: what the commands print at a terminal of 80 columns, from real runs in a folder made for it.

Run it when their words change: `.venv/bin/python docs/record.py`, some minutes. This machine's paths are taken out.
"""

import csv
import os
import re
import shlex
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from screen import frame, run_in_terminal

HERE = Path(__file__).parent
PAGE = HERE / "sessions.md"
HEAD = """<!-- Recorded by docs/record.py from real runs: record them again instead of changing this page. -->

# At a terminal

What the commands print, recorded from real runs at 80 columns. Bars and spinners, which come and go, are not
shown. How long things take depends on the machine; this one had two cores and little else to do.
"""
# (heading, what it shows, what is typed)
SESSIONS = (
    ("The demo", "Two pipelines, night by night, through Prefect; then what their predictions turned out to be worth.",
     ("overnight demo",)),
    ("How everything stands", "The demo's flights are of 2013, so its pipelines rightly say that they are late.",
     ("overnight status",)),
    ("A plan, before anything is done", "Which nights have a reason to be taken, and what that costs; then exactly that is done.",
     ("overnight plan flights --from 2013-02-01 --to 2013-02-07",
      "overnight apply .overnight/plans/flights-missing-2013-02-01-2013-02-07.json")),
    ("Rows that were set aside", "Before the plan was made, somebody had spoiled three lines of the file of 2013-02-05.",
     ("overnight rejects flights 2013-02-05",)),
    ("Where the time went", "", ("overnight runs flights --limit 5",)),
    ("A pipeline of a table", "The table is the one of the [tutorial](tutorial.md).",
     ("overnight new churn --from customers.csv --target churned --yes",)),
    ("A look before anything is written", "", ("overnight check churn",)),
    ("One night", "The second time there is nothing to do.", ("overnight run churn", "overnight run churn")),
    ("What is wrong is a sentence", "", ("overnight run flihgts", "overnight run flights --interval tonight")),
)  # fmt: skip
SPOILED = ((7, "distance", "far"), (12, "sched_dep", "noon"), (40, "carrier", ""))  # line, column, what stands there then
WAITED = re.compile(r"^waiting for .*\n", re.MULTILINE)  # how long a server takes to come up says nothing


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="overnight-sessions-") as name:
        folder = Path(name)
        try:
            text = "\n".join([HEAD, *_sections(folder)])
        finally:
            _run("overnight db stop", folder)
    PAGE.write_text(text, encoding="utf-8")


def prepare(folder: Path) -> None:
    """Our pipelines, and the tutorial's table."""
    for name in ("flights", "departures"):
        shutil.copytree(HERE.parent / "deployments" / name, folder / "deployments" / name)
    code = re.search(r"```python\n(.*?)```", (HERE / "tutorial.md").read_text(encoding="utf-8"), re.DOTALL)
    assert code
    before = Path.cwd()
    os.chdir(folder)
    exec(code[1], {})  # noqa: S102  # our own page
    os.chdir(before)


def spoil(path: Path) -> None:
    """Puts into a file of flights what cannot land."""
    with path.open(newline="", encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    for line, column, text in SPOILED:
        rows[line][head.index(column)] = text
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([head, *rows])


def _sections(folder: Path) -> Iterator[str]:
    prepare(folder)
    for heading, about, commands in SESSIONS:
        if commands[0].startswith("overnight plan"):
            spoil(folder / ".overnight/data/flights/2013-02-05.csv")
        yield f"## {heading}\n"
        if about:
            yield f"{about}\n"
        yield frame([(command, record(command, folder)) for command in commands]) + "\n"


def record(command: str, folder: Path) -> str:
    """What a command printed, as HTML, without what is this machine's alone."""
    said = _run(command, folder).replace(f"{folder}/", "").replace(str(folder), ".").replace(f":{_PORT}", ":4200")
    return WAITED.sub("", said)


def _run(command: str, folder: Path) -> str:
    program, *words = shlex.split(command)
    there = Path(sys.executable).with_name(program)
    screen, _ = run_in_terminal([str(there), *words], folder=folder, environment={"OVERNIGHT_PREFECT_PORT": _PORT})
    if screen.cut:
        raise ValueError(f"{command}: a line is wider than the terminal, which cuts it wherever its edge is")
    return screen.html()


def _free_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


_PORT = _free_port()

if __name__ == "__main__":
    main()
