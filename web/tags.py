"""Entity tags, compared as RFC 9110 (13.1.2) says: weakly."""

from starlette.types import Scope

from web.scope import header_of


def holds(scope: Scope, tag: str) -> bool:
    """Whether whoever asks says that they hold the answer of that tag already."""
    asked = header_of(scope, b"if-none-match")
    return bool(asked) and holds_tag(asked.decode("latin-1"), tag)


def holds_tag(asked: str, tag: str) -> bool:
    """Whether an If-None-Match header names the tag; weak and strong forms are the same to it."""
    opaque = tag.removeprefix("W/")
    return asked.strip() == "*" or any(one.strip().removeprefix("W/") == opaque for one in asked.split(","))
