"""Ports for servers that tests start."""

import random
import socket

# Below what Linux gives to those who connect: a port from there may be a stranger's by the time its server has started.
_RANGE = range(12_000, 32_000)
_CLAIMS: list[socket.socket] = []


def free_port() -> int:
    """A port on which nobody listens, and which no test that runs beside this one is given: its UDP half is held as a sign."""
    for port in random.SystemRandom().sample(_RANGE, 500):
        claim, probe = socket.socket(type=socket.SOCK_DGRAM), socket.socket()
        try:
            claim.bind(("127.0.0.1", port))
            probe.bind(("", port))
        except OSError:
            claim.close()
        else:
            _CLAIMS.append(claim)
            return port
        finally:
            probe.close()
    raise AssertionError("no port is free")
