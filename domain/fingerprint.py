"""Fingerprints: short names for content, so that equal work is recognised as done."""

import hashlib
import json


def fingerprint(*parts: object) -> str:
    """Sixteen hex digits that are equal exactly when the parts are equal as JSON (keys sorted, other types by `str`)."""
    text = json.dumps(parts, sort_keys=True, default=str, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
