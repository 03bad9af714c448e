"""A formula such as `price ~ area + C(town)`: its two sides as names of columns."""

import re

_NAME = r"[A-Za-z_]\w*"


def sides_of(text: str) -> tuple[str, list[str]] | None:
    """(answer, columns), or None where a side is no plain name. Interactions count as the columns that they are made of."""
    left, mark, right = text.partition("~")
    answer = re.fullmatch(rf"\s*(?:np\.\w+\()?({_NAME})\)?\s*", left)
    if not mark or answer is None:
        return None
    bare = re.sub(r"\b(np\.\w+|C|Q|I|bs|cr)\(", "(", right)
    names = [name for name in re.findall(_NAME, bare) if not name.isdigit()]
    return answer[1], list(dict.fromkeys(names))
