"""What a request says, read from its ASGI scope without the objects that a framework makes to look for it."""

from starlette.types import Scope


def header_of(scope: Scope, wanted: bytes, default: bytes = b"") -> bytes:
    """The first header of that name; ASGI servers give names in small letters."""
    for name, value in scope["headers"]:
        if name == wanted:
            return bytes(value)
    return default
