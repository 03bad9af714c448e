"""The lines of `overnight` that the pages tell people to type, in their order, and a typist who types them."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from cli.main import app

_BLOCK = re.compile(r"```(\w*)\n(.*?)```|`(?:\.venv/bin/)?(overnight [^`]+)`", re.DOTALL)
_LINE = re.compile(r"^(?:\$ )?(?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?(overnight (?:[^#]|#(?!\s))*?)\s*(?:# .*)?$")


def lines_of(page: Path) -> list[str]:
    """Each line once. Words in running text that merely name a command, without what it needs, are no lines to type."""
    found: list[str] = []
    for language, block, inline in _BLOCK.findall(page.read_text(encoding="utf-8")):
        lines = [inline] if inline else list(_in_block(language, block))
        found += [line for line in lines if line not in found and _is_whole(line)]
    return found


def _in_block(language: str, block: str) -> Iterator[str]:
    for line in block.splitlines():
        if (
            language in ("console", "sh", "bash", "")
            and (language != "console" or line.startswith("$ "))
            and (match := _LINE.match(line))
        ):
            yield match[1]


def _is_whole(line: str) -> bool:
    command: Any = get_command(app)
    words = shlex.split(line)[1:]
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    needed = [param for param in command.params if param.required and param.param_type_name == "argument"]
    return (
        not hasattr(command, "commands") and len([word for word in words if not word.startswith("-")]) >= len(needed)
    ) or words == ["--version"]


class Typist:
    """Types lines in one folder, in processes that are forked from one that has imported everything."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.typed"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def type(self, line: str) -> tuple[int, str]:
        """(exit code, what it said)."""
        command, _, into = line.partition(" > ")
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(
            json.dumps({"words": shlex.split(command)[1:], "folder": str(self.folder), "into": into}) + "\n"
        )
        self._process.stdin.flush()
        told = json.loads(self._process.stdout.readline())
        return told["code"], told["said"]

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)


def _type(order: dict[str, Any]) -> None:
    """In the child: never comes back."""
    os.chdir(order["folder"])
    said = os.open(".said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(os.open(order["into"], os.O_WRONLY | os.O_CREAT) if order["into"] else said, 1)
    os.dup2(said, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    from cli.main import main

    sys.argv, code = ["overnight", *order["words"]], 0
    try:
        main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 70
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _serve() -> None:
    import sklearn.ensemble
    import skops.io

    import tasks.expectations.engine
    import tasks.ingest
    import tasks.perform
    import tasks.score
    import tasks.train  # noqa: F401  # imported before the fork

    del sklearn, skops
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            _type(order)
        _, status = os.waitpid(child, 0)
        said = Path(order["folder"], ".said").read_text(encoding="utf-8", errors="replace")
        sys.stdout.write(json.dumps({"code": os.waitstatus_to_exitcode(status), "said": said}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve()
