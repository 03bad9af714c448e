"""Regular expressions in words, where they are simple enough: `^[A-Z]{3}$` is three capital letters. Pure."""

import re

_KINDS = {
    "[0-9]": "digit", r"\d": "digit", "[A-Z]": "capital letter", "[a-z]": "small letter",
    "[A-Za-z]": "letter", "[a-zA-Z]": "letter",
    "[0-9A-Z]": "capital letter or digit", "[A-Z0-9]": "capital letter or digit", "[0-9a-z]": "small letter or digit",
    "[a-z0-9]": "small letter or digit", "[0-9A-Za-z]": "letter or digit", "[A-Za-z0-9]": "letter or digit",
}  # fmt: skip
_PIECE = re.compile(r"(\[[^\]\\]+\]|\\d|\\[^\w]|[^\\\[\](){}.*+?|^$])(?:\{(\d+)(?:,(\d*))?\}|([+*?]))?")


def pattern_in_words(regex: str) -> str:
    """`2 capital letters or digits, then "-", then 3 digits`; the expression itself where it is more than a row of pieces."""
    body = regex.removeprefix("^").removesuffix("$")
    if len(body) != len(regex) - 2:  # not held at both ends, so it says something else than the whole value
        return regex
    pieces: list[str] = []
    place = 0
    while place < len(body):
        match = _PIECE.match(body, place)
        said = _said(match) if match else None
        if match is None or said is None:
            return regex
        if pieces and said.startswith('"') and pieces[-1].startswith('"') and not match[2] and not match[4]:
            pieces[-1] = pieces[-1][:-1] + said[1:]
        else:
            pieces.append(said)
        place = match.end()
    return ", ".join(pieces) if 0 < len(pieces) <= 8 else regex


def _said(match: re.Match[str]) -> str | None:
    """One piece in words; None for one that has none."""
    kind = _KINDS.get(match[1])
    if kind is None:
        literal = match[1].removeprefix("\\")
        plain = len(literal) == 1 and not match[2] and not match[4]
        return f'"{literal}"' if plain else None
    if match[4]:
        several = _plural(kind)
        return {"+": several, "*": f"{several} or nothing", "?": f"one {kind} or nothing"}[match[4]]
    low, high = match[2] or "1", match[3]
    if high is None:
        return f"{low} {kind if low == '1' else _plural(kind)}"
    return f"{low} to {high} {_plural(kind)}" if high else f"at least {low} {_plural(kind)}"


def _plural(kind: str) -> str:
    return " or ".join(f"{word}s" for word in kind.split(" or "))
