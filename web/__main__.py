"""`python -m web`: serves on loopback until it is stopped."""

import argparse
import ipaddress
import os
import socket
import sys
from datetime import UTC, datetime
from typing import Any

from domain.errors import DatabaseUnavailable, OvernightError, UsageError
from infra.settings import Settings, load_settings
from store.reads.tokens import has_token
from web.access import read_believed


def serve(host: str, port: int | None, *, workers: int = 1) -> None:
    """With several workers, processes that share the address, one that dies is replaced.

    Raises UsageError for an address that others could reach while nobody could be let in, and for one that is taken.
    """
    import uvicorn

    settings = load_settings()
    port = port or settings.web_port
    read_believed(settings)  # what is wrong with them is said once, and not by each worker
    if not is_loopback(host) and not settings.contained:
        require_key(settings, host)
        os.environ["OVERNIGHT_WEB_TOKENS"] = "true"  # which every worker reads
    require_free(host, port)
    print(f"the web answers on http://{host}:{port}; Ctrl-C stops it", file=sys.stderr)
    uvicorn.run(
        "web.app:serve_app", factory=True, workers=workers, host=host, port=port,
        timeout_graceful_shutdown=3, server_header=False, log_level="warning", proxy_headers=False, access_log=False,
        http=http_protocol(), ws="none",
    )  # fmt: skip


def http_protocol() -> Any:
    """What reads HTTP; where httptools is not built, uvicorn's other parser, which has its own limit."""
    try:
        from web.protocol import BoundedHttp
    except ImportError:
        return "h11"
    return BoundedHttp


def require_free(host: str, port: int) -> None:
    try:
        family, kind, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise UsageError(
            f"{host}:{port} cannot be listened on ({error.strerror or error})",
            where="web",
            hint=f"overnight web --port {port + 1}",
        ) from None


def require_key(settings: Settings, host: str) -> None:
    """A database that does not answer now is no reason to refuse: until it does, nobody is let in."""
    from web.app import open_reader

    if read_believed(settings).header:
        return
    reader = open_reader(settings)
    reader.open()
    try:
        if not reader.ask(lambda connection: has_token(connection, now=datetime.now(UTC))):
            raise UsageError(
                f"{host} is reached from other machines, and there is no token that would let anybody in", where="web",
                hint="overnight token new NAME, or --host 127.0.0.1",
            )  # fmt: skip
    except DatabaseUnavailable as error:
        print(f"{error} The web starts, and lets nobody in until it does.", file=sys.stderr)
    finally:
        reader.close()


def is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m web", description=__doc__)
    parser.add_argument(
        "--host", default="127.0.0.1", help="where to listen; on any other than a loopback address it asks for tokens"
    )
    parser.add_argument("--port", type=int, default=None, help="default: OVERNIGHT_WEB_PORT, or 8500")
    parser.add_argument("--workers", type=int, default=1, help="processes that answer; default: 1")
    arguments = parser.parse_args()
    try:
        serve(arguments.host, arguments.port, workers=arguments.workers)
    except OvernightError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
