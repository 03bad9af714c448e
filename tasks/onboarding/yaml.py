"""YAML as a person would write it: one line a column, plain words where they are safe, comments beside what they explain."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from textwrap import wrap
from typing import Any

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./]*(?: [A-Za-z0-9_./]+)*")
_WORDS = {"y", "n", "yes", "no", "true", "false", "on", "off", "null", "nan", "inf", "none"}
_WIDTH = 118


def scalar(value: Any) -> str:
    """One value: quoted where YAML, or a person, could take it for something else."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return _number(value)
    text = str(value)
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    return (
        json.dumps(text, ensure_ascii=False)
        .replace("\x7f", "\\x7f")
        .replace("\u0085", "\\N")
        .replace("\u2028", "\\L")
        .replace("\u2029", "\\P")
    )


def _number(value: float) -> str:
    """As the catalogue reads numbers: a point before an exponent is not needed, and digits are kept."""
    return repr(value) if isinstance(value, int) or "e" not in repr(value) else repr(value).replace("e+", "e")


def flow(value: Any) -> str:
    """A value on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(flow(each) for each in value) + "]"
    return scalar(value)


def long_list(name: str, values: Iterable[str], *, indent: str = "  ") -> list[str]:
    """A list of names, on as many lines as it takes."""
    body = ", ".join(flow(value) for value in values)
    line = f"{indent}{name}: [{body}]"
    if len(line) <= _WIDTH:
        return [line]
    lines = wrap(body, width=_WIDTH - len(indent) - 2, break_long_words=False, break_on_hyphens=False)
    return [f"{indent}{name}: [", *(f"{indent}  {each}" for each in lines), f"{indent}]"]


def commented(text: str, *, indent: str = "") -> list[str]:
    """A comment, on as many lines as it takes."""
    plain = re.sub(r"\s+", " ", "".join(letter if letter.isprintable() else " " for letter in text))
    return [
        f"{indent}# {line}"
        for line in wrap(plain, width=_WIDTH - len(indent) - 2, break_long_words=False, break_on_hyphens=False)
    ]


def beside(line: str, comment: str) -> str:
    """A line with its comment behind it, if there is one."""
    plain = re.sub(r"\s+", " ", "".join(letter if letter.isprintable() else " " for letter in comment))
    return f"{line}  # {plain}" if plain else line
