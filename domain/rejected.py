"""A row that was set aside: by which key its owner finds it again."""

import json
from collections.abc import Iterator, Sequence
from typing import Any


def read_key(row_text: str | None, key: Sequence[str]) -> dict[str, Any]:
    """The key of a row that a rule caught: it is kept as JSON, and has no line in the source any more.

    Empty when the text is no JSON, or was shortened before the whole key stood in it.
    """
    found = dict(_values(row_text or "", key))
    return found if len(found) == len(key) else {}


def _values(text: str, key: Sequence[str]) -> Iterator[tuple[str, Any]]:
    for name in key if text.startswith("{") else ():
        sign = f"{json.dumps(name, ensure_ascii=False)}: "
        try:
            value, _ = json.JSONDecoder().raw_decode(text, text.index(sign) + len(sign))
        except ValueError:  # the name is not there, or what follows was cut
            return
        yield name, value
