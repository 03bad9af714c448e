"""Names that Postgres, YAML and addresses take, made of whatever stands in a header."""

import re
import unicodedata
from collections.abc import Sequence

from domain.pipeline import OWN_COLUMNS

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_LONGEST = 60
_SPELLED = {"%": " pct ", "€": " eur ", "$": " usd ", "£": " gbp ", "#": " number ", "&": " and ", "ß": "ss", "°": " deg ",
            "²": "2", "³": "3", "+": " plus ", "ø": "o", "Ø": "O", "æ": "ae", "Æ": "Ae", "ł": "l", "Ł": "L",
            "µ": "u"}  # fmt: skip
# Words that a page's address keeps for itself, so that no filter could name such a column.
_OF_ADDRESSES = {"night", "sort", "columns", "after", "limit", "as_of", "where", "is", "value", "show", "trust", "more"}
_TAKEN = OWN_COLUMNS | _OF_ADDRESSES


def name_columns(header: Sequence[str]) -> list[str]:
    """A name for each column, its own where that is possible; all differ."""
    found: list[str] = []
    for place, cell in enumerate(header, 1):
        name = _identifier(cell) or ("row_number" if place == 1 else f"column_{place}")
        number = 2
        while name in found:
            name, number = f"{_identifier(cell) or 'column'}_{number}", number + 1
        found.append(name)
    return found


def _identifier(text: str) -> str:
    """The text itself if it is one and means nothing else here; else its letters and digits; empty when it has none."""
    if _IDENTIFIER.fullmatch(text):
        return f"{text}_of_source" if text in _TAKEN else text
    for mark, word in _SPELLED.items():
        text = text.replace(mark, word)
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    words = re.sub(r"[^A-Za-z0-9]+", "_", plain).strip("_")[:_LONGEST].strip("_").lower()
    if words and words[0].isdigit():
        words = f"c_{words}"
    return f"{words}_of_source" if words in _TAKEN else words


def name_pipeline(text: str) -> str:
    """A pipeline's name near to what was typed, for the sentence that refuses it."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:40].strip("_")
    return words if words and words[0].isalpha() else f"p_{words}".rstrip("_")
