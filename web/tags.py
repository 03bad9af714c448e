"""Entity tags, compared as RFC 9110 (13.1.2) says: weakly."""


def holds_tag(asked: str, tag: str) -> bool:
    """Whether an If-None-Match header names the tag; weak and strong forms are the same to it."""
    opaque = tag.removeprefix("W/")
    return asked.strip() == "*" or any(one.strip().removeprefix("W/") == opaque for one in asked.split(","))
