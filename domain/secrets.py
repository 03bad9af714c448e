"""A token's secret: what it looks like, and the only form in which it is kept."""

import hashlib

PREFIX = "ovn_"
LONGEST = 200


def hash_secret(secret: str) -> bytes:
    """One fast hash is enough: the secret is 256 random bits, which nobody can try out."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
