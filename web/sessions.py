"""What a login's cookie holds: a signed word for a token, never the token. Nothing is written anywhere for it."""

import base64
import binascii
import hashlib
import hmac
import logging
import os
import secrets
import tempfile
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from domain.errors import UsageError
from infra.settings import Settings

log = logging.getLogger("overnight.web")
FILE = "web.key"
SHORTEST = 32
_PURPOSE = b"overnight session 1:"
_HASH, _UNTIL = 32, 8
_LENGTH = 96  # of the hash, the end and 32 bytes of signature, in base64


class Sessions:
    """Writes and reads them. Each holds the token's hash, by which the ledger knows it, and the second at which it ends:
    a revoked token ends its sessions, and who has read hashes out of a copy of the ledger has no key to sign one."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def write(self, secret_hash: bytes, until: datetime) -> str:
        said = secret_hash + int(until.timestamp()).to_bytes(_UNTIL, "big")
        return base64.urlsafe_b64encode(said + self._sign(said)).decode()

    def read(self, text: str, now: datetime) -> bytes | None:
        """The token's hash; None for anything that was not signed here, and for a session that has ended."""
        if len(text) != _LENGTH:
            return None
        try:
            raw = base64.urlsafe_b64decode(text.encode("ascii"))
        except (binascii.Error, ValueError):
            return None
        said, sign = raw[: _HASH + _UNTIL], raw[_HASH + _UNTIL :]
        if not hmac.compare_digest(sign, self._sign(said)) or int.from_bytes(said[_HASH:], "big") <= now.timestamp():
            return None
        return said[:_HASH]

    def _sign(self, said: bytes) -> bytes:
        return hmac.digest(self._key, _PURPOSE + said, "sha256")


def open_sessions(settings: Settings) -> Sessions:
    """With the key of the settings, or the one in the home folder, which is made when there is none."""
    if settings.web_key is not None:
        if len(settings.web_key) < SHORTEST:
            raise UsageError(f"OVERNIGHT_WEB_KEY is shorter than {SHORTEST} characters", where="web", hint="openssl rand -hex 32")
        return Sessions(hashlib.sha256(settings.web_key.encode()).digest())
    path = settings.home.absolute() / FILE
    try:
        return Sessions(hashlib.sha256(_kept_key(path)).digest())
    except OSError as error:
        log.warning(
            "%s cannot be kept (%s): who logs in is logged out when this process ends. Try: OVERNIGHT_WEB_KEY",
            path, error.strerror or type(error).__name__,
        )  # fmt: skip
        return Sessions(secrets.token_bytes(32))


def _kept_key(path: Path) -> bytes:
    """Raises UsageError when others could read it: they could let themselves in."""
    if not path.exists():
        _make_key(path)
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise UsageError(f"{path} can be read by others, who could sign sessions with it", where="web", hint=f"chmod 600 {path}")
    key = path.read_bytes().strip()
    if len(key) < SHORTEST:
        raise UsageError(f"{path} holds no key", where="web", hint=f"rm {path}")
    return key


def _make_key(path: Path) -> None:
    """Whole or not at all, and the first of several processes that start at once makes it for all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{FILE}.", dir=path.parent)  # of mode 0600 from its first moment
    try:
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_hex(32))
        with suppress(FileExistsError):
            os.link(name, path)
    finally:
        Path(name).unlink(missing_ok=True)
