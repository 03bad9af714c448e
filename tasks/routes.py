"""How a container reaches what its stage needs: the database as the stage's own role, its source, and nothing else."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from domain.errors import SourceError
from domain.spec.source import Source
from domain.words import Stage
from infra.doors import Door, open_door
from infra.passages import PASSAGE, PORTS, Host, open_passage
from infra.postgres import database_url
from infra.settings import Settings
from store.roles import stage_url
from tasks.context import Night

SOCKET = "/run/overnight"  # where a container sees the sockets that lead out of it
_AMAZON = ("*.amazonaws.com", "*.amazonaws.com.cn")  # buckets have names of their own there, and keys are asked for elsewhere
_LOOPBACK = {"localhost", "127.0.0.1", "::1", ""}


@dataclass(frozen=True, slots=True)
class Route:
    """How a container reaches the database, and its source."""

    url: str
    network: str
    visible: Mapping[Path, str]
    environment: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def open_route(night: Night, stage: Stage) -> Iterator[Route]:
    """The way of one stage's container, as long as the block lasts."""
    source = night.pipeline.source if stage is Stage.INGEST else None
    with reach_database(night.settings, stage, source=source) as route:
        if source is None:
            yield route
            return
        with _reach_source(night, route) as further:
            yield further


@contextmanager
def reach_database(settings: Settings, stage: Stage, *, source: Source | None = None) -> Iterator[Route]:
    """The stage logs in as its own role. A database on this machine is reached through a door that lets in that role
    alone, without any network, and the database beside it that is its `source`; one elsewhere over a network."""
    secret = make_url(settings.database_url).password if settings.database_url else None
    url = stage_url(make_url(database_url(settings, role="writer")), stage, secret=secret)
    host, port = url.query.get("host", url.host) or "", int(str(url.query.get("port", url.port) or 5432))
    assert isinstance(host, str)
    is_socket = host.startswith("/")
    if settings.container_network or not (is_socket or host in _LOOPBACK):
        yield Route(url.render_as_string(hide_password=False), settings.container_network or "bridge", {})
        return
    target = f"{host}/.s.PGSQL.{port}" if is_socket else (host or "localhost", port)
    beside = _database_beside(source) if source else ""
    with open_door(Door(target, user=url.username or "", database=url.database or "", also=beside)) as path:
        inside = url.set(host=None, port=None).update_query_dict({"host": SOCKET, "port": "5432"})
        yield Route(inside.render_as_string(hide_password=False), "none", {path: f"{SOCKET}/{path.name}"})


@contextmanager
def _reach_source(night: Night, route: Route) -> Iterator[Route]:
    """For `ingest`, where the source is no file of this machine: a passage that leads to its hosts and nowhere else, and Docker's
    bridge where nobody can say beforehand which hosts these are. A container that is on a network already needs neither."""
    source = night.pipeline.source
    if route.network != "none" or not is_elsewhere(source) or _database_beside(source):
        yield route
        return
    hosts = hosts_of(night)
    if hosts is None:
        yield replace(route, network="bridge")
        return
    with open_passage(hosts) as path:
        inside = f"{SOCKET}/{path.name}"
        yield replace(route, visible={**route.visible, path: inside}, environment={PASSAGE: inside})


def hosts_of(night: Night) -> list[Host] | None:
    """The hosts that ingest reaches: the source's, and those that `runner.reaches` names. None where they cannot be told."""
    from tasks.ingest.place import fill_in, with_secrets

    source, also = night.pipeline.source, [Host.of(each, port=PORTS["https"]) for each in night.pipeline.runner.reaches]
    try:
        template = source.url or source.path
        filled = template if source.kind == "sql" else fill_in(template, interval=night.interval, data=night.settings.data_folder)
        own = _hosts_in(with_secrets(filled), is_database=source.kind == "sql")
    except (SourceError, ArgumentError, ValueError):  # which the stage says better
        return also
    return None if own is None else [*own, *also]


def _hosts_in(address: str, *, is_database: bool) -> list[Host] | None:
    scheme = address.partition("://")[0]
    if is_database:
        url = make_url(address.replace("postgres://", "postgresql://", 1))
        port = url.port or PORTS.get(url.get_backend_name())
        return [] if not url.host else [Host(url.host.lower(), port)] if port else None
    if scheme in ("s3", "s3a"):
        own = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        return _hosts_of_web(own) if own else [Host(domain, PORTS["https"]) for domain in _AMAZON]
    return _hosts_of_web(address) if scheme in ("http", "https") else None


def _hosts_of_web(address: str) -> list[Host]:
    """A server's port for what is encrypted goes with the one for what is not: one leads on to the other."""
    found = urlsplit(address)
    host, web = Host.of(found.netloc.rpartition("@")[2], port=PORTS[found.scheme]), (PORTS["http"], PORTS["https"])
    return [replace(host, port=port) for port in (web if host.port in web else (host.port,))]


def _database_beside(source: Source) -> str:
    """The name of the database that is read, where that is one on the ledger's own server."""
    from tasks.ingest.place import SERVER

    return source.url.removeprefix(SERVER).lstrip("/") if source.url.startswith(SERVER) else ""


def is_elsewhere(source: Source) -> bool:
    return source.kind in ("sql", "http") or "://" in source.path
