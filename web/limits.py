"""How often one asker may ask, how long a question may be, and by which address an asker is known."""

import ipaddress
import math
from collections.abc import Hashable
from functools import lru_cache
from time import monotonic

from starlette.types import Scope

from domain.errors import Refused
from web.scope import header_of

LONGEST_ADDRESS = 16 << 10  # path and query, in bytes: the longest cursor and all columns fit several times
LONGEST_BODY = 64 << 10  # nothing but the login form is ever read, and that is shorter still
USUAL_RATE = 6000
FREE = frozenset({"/healthz", "/readyz", "/metrics"})  # whoever watches is never told to wait
MOST_ASKERS = 10_000


class TooLong(Refused):
    """The question is longer than any that has an answer here. `status` says which part of it."""

    def __init__(self, what: str, status: int) -> None:
        super().__init__(what)
        self.status = status


class TooOften(Refused):
    """Asked again too soon."""

    def __init__(self, what: str, seconds: int) -> None:
        super().__init__(what)
        self.seconds = seconds


def check_size(scope: Scope) -> None:
    """Raises TooLong for an address or a body that nothing here could need."""
    if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > LONGEST_ADDRESS:
        raise TooLong(f"an address here is at most {LONGEST_ADDRESS >> 10} kB long", 414)
    announced = header_of(scope, b"content-length", b"0")
    if not announced.isdigit() or int(announced[:20]) > LONGEST_BODY:
        raise TooLong(f"nothing here takes in more than {LONGEST_BODY >> 10} kB", 413)


class Limiter:
    """So many questions a minute from each asker, a sixth of them at once. In a process's memory, and in bounded memory:
    of more than `most` askers, those that have asked least lately are forgotten.

    For each asker it holds one number, the moment at which all that was asked would have been due at an even pace (the
    generic cell rate algorithm, ITU-T I.371).
    """

    def __init__(self, rate: int, *, most: int = MOST_ASKERS) -> None:
        self.rate, self._most = rate, most
        self._pace = 60 / rate
        self._ahead = max(rate / 6, min(rate, 10)) * self._pace
        self._due: dict[Hashable, float] = {}

    def wait(self, asker: Hashable, *, now: float | None = None) -> int:
        """Counts one question. 0 when it may be answered, or else the seconds after which the next one may be."""
        moment = monotonic() if now is None else now
        due = max(self._due.pop(asker, 0.0), moment)
        over = self._over(due, moment)
        self._due[asker] = due if over else due + self._pace
        if len(self._due) > self._most:
            del self._due[next(iter(self._due))]
        return over

    def _over(self, due: float, moment: float) -> int:
        over = due + self._pace - moment - self._ahead
        return max(1, math.ceil(over)) if over > 1e-9 else 0

    def count(self, asker: Hashable, who: str) -> None:
        """Raises TooOften, which tells the asker how long to wait."""
        self._refuse(self.wait(asker), who)

    def check(self, asker: Hashable, who: str) -> None:
        """The same without counting anything."""
        moment = monotonic()
        self._refuse(self._over(max(self._due.get(asker, 0.0), moment), moment), who)

    def _refuse(self, seconds: int, who: str) -> None:
        if seconds:
            raise TooOften(f"{who} may ask {self.rate} times a minute; ask again in {seconds} s", seconds)


@lru_cache(maxsize=4096)
def asker_of(address: str) -> str:
    """Whom to count a connection's address for: itself, or of IPv6 the network of 64 bits, which is one household's."""
    try:
        known = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:60]
    if known.version == 4:
        return str(known)
    if known.ipv4_mapped is not None:
        return str(known.ipv4_mapped)
    return str(ipaddress.ip_network((known, 64), strict=False))
