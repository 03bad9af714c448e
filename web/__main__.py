"""`python -m web`: serves on loopback until it is stopped."""

import argparse
import ipaddress
import sys

from domain.errors import OvernightError, UsageError
from infra.settings import load_settings


def serve(host: str, port: int | None) -> None:
    """Raises UsageError for an address that others could reach."""
    import uvicorn

    from web.app import create_app

    settings = load_settings()
    if not is_loopback(host) and not settings.contained:
        raise UsageError(
            f"the web listens on this machine alone, because whoever reaches it reads everything; {host} is not loopback",
            where="web", hint="python -m web --host 127.0.0.1",
        )  # fmt: skip
    uvicorn.run(
        create_app(settings), host=host, port=port or settings.web_port, timeout_graceful_shutdown=3, server_header=False,
        log_level="warning", proxy_headers=False,
    )  # fmt: skip


def is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m web", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address")
    parser.add_argument("--port", type=int, default=None, help="default: OVERNIGHT_WEB_PORT, or 8500")
    arguments = parser.parse_args()
    try:
        serve(arguments.host, arguments.port)
    except OvernightError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
