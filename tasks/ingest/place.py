"""Fills in what a definition leaves open: the interval in paths and addresses, and secrets from the environment."""

import os
import re
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from domain.errors import SourceError
from domain.interval import Interval
from infra.passages import refusal_in

_SECRET = re.compile(r"\$\{(\w+)\}")
SERVER = "{postgres}"
_PASSWORD = re.compile(r"(://[^:/@\s]*:)(?!\d+/)\S+@")  # to the last @, for a password may hold one
_USER = re.compile(r"(https?://)[^:/@\s]+@")
_QUERY = re.compile(r"\?[^ ]*")
# What the drivers of object storage read from the environment: keys, endpoints, the names of files that hold keys.
_STORAGE = {"s3": "AWS_", "s3a": "AWS_", "gs": "GOOGLE_", "gcs": "GOOGLE_"}


class _Moment(datetime):
    """A moment that shows as its date where the template names no format."""

    @classmethod
    def of(cls, moment: datetime) -> "_Moment":
        return cls(
            moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second, tzinfo=moment.tzinfo
        )  # fmt: skip

    def __format__(self, form: str) -> str:
        return super().__format__(form or "%Y-%m-%d")


def fill_in(template: str, *, interval: Interval, data: Path) -> str:
    """The template with {data}, {start:…} and {end:…} filled in; the interval's ends are in the pipeline's zone.

    Raises SourceError for any other name in braces.
    """
    secrets = _SECRET.sub(r"${{\1}}", template)
    try:
        return secrets.format(data=data, start=_Moment.of(interval.start), end=_Moment.of(interval.end))
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        raise SourceError(
            f"source: {template!r} cannot be filled in ({error}); it may hold {{data}}, {{start:%Y-%m-%d}} and {{end:…}}"
        ) from None


def on_server(url: str, *, server: sa.URL | None) -> str:
    """`{postgres}/name` is the database `name` on the server of the ledger, reached as the stages reach that one, and with
    no more rights; any other address is returned as it is."""
    if not url.startswith(SERVER):
        return url
    if server is None:
        raise SourceError(f"source: {url!r} needs the server that Overnight works on, and there is none here")
    there = server.set(drivername="postgresql", database=url.removeprefix(SERVER).lstrip("/"))
    user = there.username or ""
    role = user if user.startswith("overnight_") else "overnight_writer"
    return there.update_query_dict({"options": f"-c role={role}"}).render_as_string(hide_password=False)


def with_secrets(text: str) -> str:
    """`${NAME}` replaced by the environment's NAME; raises SourceError, without any value, when it is not set."""

    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match[1])
        if found is None:
            raise SourceError(f"source: the environment has no {match[1]}", hint=f"export {match[1]}=…")
        return found

    return _SECRET.sub(value, text)


def names_of_secrets(*texts: str) -> list[str]:
    """The NAMEs that `with_secrets` would ask the environment for."""
    return sorted({name for text in texts for name in _SECRET.findall(text)})


def names_of_keys(path: str) -> list[str]:
    """The variables that are set here and that the driver of this address of object storage reads; none for any other path."""
    scheme, beyond, _ = path.partition("://")
    start = _STORAGE.get(scheme) if beyond else None
    return sorted(name for name in os.environ if start and name.startswith(start))


def without_secrets(text: str) -> str:
    """An address as it may be shown: no password, no query."""
    return _QUERY.sub("", _USER.sub(r"\1***@", _PASSWORD.sub(r"\1***@", text)))


def refuse_a_way_out(shown: str, status: int | str, reason: str = "") -> None:
    """Raises SourceError when an answer says that the way out of a container does not lead where an address does."""
    refusal = refusal_in(status, reason)
    if refusal is not None:
        raise SourceError(f"{shown} does not answer: {refusal}", hint="runner.reaches in pipeline.yaml")
