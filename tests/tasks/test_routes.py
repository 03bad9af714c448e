"""Whom a stage's container may reach: told from the source, before it starts."""

import re

import pytest
import sqlalchemy as sa

from deployments.catalogue import Definition, load_definition
from domain.words import Stage
from infra.passages import Host
from infra.settings import Settings
from store.runs import claim
from tasks.context import Night
from tasks.routes import hosts_of, open_route

AMAZON = ["*.amazonaws.com:443", "*.amazonaws.com.cn:443"]


def with_source(definition: Definition, source: str) -> Definition:
    path = definition.folder / "pipeline.yaml"
    path.write_text(re.sub(r"^source:.*$", lambda _: f"source: {source}", path.read_text(), flags=re.MULTILINE))
    return load_definition(definition.folder.parent, definition.pipeline.name)


@pytest.mark.parametrize(
    ("source", "hosts"),
    [
        ("{kind: http, url: 'http://shop.example.com/{start:%Y}'}", ["shop.example.com:80", "shop.example.com:443"]),
        ("{kind: csv, path: 'https://me:${SECRET}@Shop.example.com:8443/a.csv'}", ["shop.example.com:8443"]),
        ("{kind: sql, url: 'mysql+pymysql://me:${SECRET}@db.example.com/shop', query: q}", ["db.example.com:3306"]),
        ("{kind: sql, url: 'postgres://db.example.com:5433/shop', query: q}", ["db.example.com:5433"]),
        ("{kind: sql, url: 'sqlite:////data/shop.db', query: q}", []),
        ("{kind: http, url: 'https://${NOT_SET}/'}", []),
        ("{kind: csv, path: 's3://nights/a.csv'}", AMAZON),
        ("{kind: csv, path: 's3://nights/a.csv'}\nrunner: {kind: docker, reaches: ['10.0.0.5:99']}", [*AMAZON, "10.0.0.5:99"]),
        ("{kind: csv, path: 'gs://nights/a.csv'}", None),
        ("{kind: sql, url: 'snowflake://me:${SECRET}@account/db', query: q}", None),
    ],
)
def test_ingest_has_a_network_only_where_nobody_can_say_beforehand_whom_it_asks(
    shops: Definition,
    settings: Settings,
    writer: sa.Engine,
    source: str,
    hosts: list[str] | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SECRET", "of-the-shop")
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    definition = with_source(shops, source)
    with claim(writer, "shops", definition.pipeline.calendar.named("2024-01-01"), trigger="test", holder={}) as run:
        night = Night(run, definition, writer, settings)
        found = hosts_of(night)
        assert (None if found is None else [f"{host.name}:{host.port}" for host in found]) == hosts
        with open_route(night, Stage.INGEST) as route:
            assert route.network == ("bridge" if hosts is None else "none")


def test_an_endpoint_of_one_s_own_takes_the_place_of_amazon_s(
    shops: Definition, settings: Settings, writer: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://minio.example.com:9000")
    path = shops.folder / "pipeline.yaml"
    path.write_text(
        re.sub(r"^source:.*$", "source: {kind: csv, path: 's3://nights/a.csv'}", path.read_text(), flags=re.MULTILINE)
    )
    definition = load_definition(shops.folder.parent, shops.pipeline.name)
    with claim(writer, "shops", definition.pipeline.calendar.named("2024-01-01"), trigger="test", holder={}) as run:
        assert hosts_of(Night(run, definition, writer, settings)) == [Host("minio.example.com", 9000)]
