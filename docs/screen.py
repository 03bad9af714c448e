"""A terminal of 80 columns without a window: what stands on it after a command, as text and as HTML."""

import html
import os
import pty
import re
import select
import struct
import subprocess
import termios
from collections.abc import Iterator, Mapping, Sequence
from fcntl import ioctl
from itertools import groupby
from pathlib import Path

COLUMNS = 80
_CODE = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])|\x1b\][^\x07]*\x07|\x1b[=>]")
# The sixteen colours of a terminal on a dark ground, each with a contrast of 4.5 or better: commands use these alone.
_COLOURS = {"31": "#ff7b72", "32": "#56d364", "33": "#e3b341", "34": "#79c0ff", "35": "#d2a8ff", "36": "#56d4dd"}
_STYLES = {"1": "font-weight:bold", "2": "color:#9aa4ae", "3": "font-style:italic", "4": "text-decoration:underline"}
_PRE = "background:#161b22;color:#e6edf3;padding:1em;overflow-x:auto;line-height:1.35"


class Screen:
    """Takes what a program writes: letters, colours, and the moves of a cursor with which bars and spinners draw and vanish.

    `cut` counts the lines that were longer than the screen, which a terminal breaks wherever its edge is.
    """

    def __init__(self) -> None:
        self.lines: list[list[tuple[str, frozenset[str]]]] = [[]]
        self.row = self.column = self.cut = 0
        self.style: frozenset[str] = frozenset()

    def feed(self, text: str) -> None:
        place = 0
        for code in _CODE.finditer(text):
            self._write(text[place : code.start()])
            self._obey(code[1] or "", code[2] or "")
            place = code.end()
        self._write(text[place:])

    def _write(self, text: str) -> None:
        for letter in text:
            if letter == "\r":
                self.column = 0
            elif letter == "\n":
                self._down()
            elif letter >= " ":
                self._put(letter)

    def _down(self) -> None:
        self.row += 1
        while len(self.lines) <= self.row:
            self.lines.append([])

    def _put(self, letter: str) -> None:
        if self.column == COLUMNS:
            self._down()
            self.column, self.cut = 0, self.cut + 1
        line = self.lines[self.row]
        line += [(" ", frozenset())] * (self.column + 1 - len(line))
        line[self.column] = (letter, self.style)
        self.column += 1

    def _obey(self, argument: str, letter: str) -> None:
        number = int(argument) if argument.isdigit() else 1
        match letter:
            case "m":
                for one in (argument or "0").split(";"):
                    self.style = frozenset() if one in ("0", "") else self.style | {one}
            case "A":
                self.row = max(0, self.row - number)
            case "K":
                self.lines[self.row] = [] if argument == "2" else self.lines[self.row][: self.column]

    def text(self) -> str:
        return "\n".join("".join(letter for letter, _ in line).rstrip() for line in self.lines).strip("\n")

    def html(self) -> str:
        """The lines with their colours; styles stand in them, so that they need no sheet."""
        lines = ["".join(_spans(_stripped(line))) for line in self.lines]
        return "\n".join(lines).strip("\n")


def _stripped(line: Sequence[tuple[str, frozenset[str]]]) -> Sequence[tuple[str, frozenset[str]]]:
    return line[: len("".join(letter for letter, _ in line).rstrip())]


def _spans(line: Sequence[tuple[str, frozenset[str]]]) -> Iterator[str]:
    for style, letters in groupby(line, key=lambda one: one[1]):
        words = html.escape("".join(letter for letter, _ in letters), quote=False)
        css = ";".join(
            [_STYLES[one] for one in sorted(style & _STYLES.keys())] + [f"color:{_COLOURS[c]}" for c in style & _COLOURS.keys()]
        )
        yield f'<span style="{css}">{words}</span>' if css and words.strip() else words


def frame(sessions: Sequence[tuple[str, str]]) -> str:
    """Commands, each with what it printed as HTML, one under the other as they were typed."""
    typed = [f"<b>$ {html.escape(command, quote=False)}</b>\n{said}" for command, said in sessions]
    return f'<pre style="{_PRE}">' + "\n\n".join(typed) + "</pre>"


def run_in_terminal(command: Sequence[str], *, folder: Path, environment: Mapping[str, str]) -> tuple[Screen, int]:
    """Runs a command with a terminal of 80 columns for its output; what stands on it then, and the exit code."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
    process = subprocess.Popen(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs,
        env={**os.environ, "TERM": "xterm-256color", "NO_COLOR": "", **environment},
    )  # fmt: skip
    os.close(theirs)
    screen, read = Screen(), b""
    while True:
        ready = select.select([ours], [], [], 0.1)[0]
        if not ready and process.poll() is not None:
            break
        try:
            read += os.read(ours, 65536) if ready else b""
        except OSError:  # how a terminal on Linux says that nobody writes any more
            break
    os.close(ours)
    screen.feed(read.decode(errors="replace"))
    return screen, process.wait()
