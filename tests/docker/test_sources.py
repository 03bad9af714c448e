"""What an ingest in a container reads beyond files: a database beside the ledger, an address in the net, object storage."""

import json
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import sqlalchemy as sa
from psycopg2 import sql

from deployments.catalogue import Definition, load_definition
from domain.report import NightReport, StageReport
from domain.words import RunState, Stage
from infra.images import build_image
from infra.settings import Settings
from tasks.perform import perform
from tasks.routes import reach_database
from tasks.runners import perform_in_container
from tests.docker.test_runners import content_hashes, in_containers, take

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(1200)]  # the image takes minutes the first time
Write = Callable[..., Path]
DAY = "2024-01-01"


def with_source(definition: Definition, source: str) -> Definition:
    path = definition.folder / "pipeline.yaml"
    path.write_text(re.sub(r"^source:.*$", lambda _: f"source: {source}", path.read_text(), flags=re.MULTILINE))
    return load_definition(definition.folder.parent, definition.pipeline.name)


def ingest_in_container(stage: Stage, run_id: int, settings: Settings) -> StageReport:
    """The stage that this file is about in a container, the others in this process, which is quicker."""
    return (perform_in_container if stage is Stage.INGEST else perform)(stage, run_id, settings)


@pytest.fixture
def beside(database: str, write_day: Write) -> Iterator[str]:
    """A database beside the ledger's that holds the rows of a day, and its name."""
    name = f"{sa.make_url(database).database}_beside"
    admin = psycopg2.connect(database)
    admin.autocommit = True
    admin.cursor().execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    with psycopg2.connect(database, dbname=name) as connection, write_day(DAY).open() as rows:
        cursor = connection.cursor()
        cursor.execute(
            "SET TimeZone = 'Europe/Berlin';"
            "CREATE TABLE day (shop text, opened timestamptz, region text, stock int, price float, left_over float);"
            "GRANT SELECT ON day TO PUBLIC"
        )
        cursor.copy_expert("COPY day FROM STDIN (FORMAT csv, HEADER true)", rows)
    connection.close()
    yield name
    admin.cursor().execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
    admin.close()


def test_a_database_beside_the_ledger_is_read_through_the_stage_s_own_door_without_a_network(
    shops: Definition, settings: Settings, image: str, beside: str, owner: sa.Engine, writer: sa.Engine
) -> None:
    query = "SELECT shop, opened, region, stock, price, left_over FROM day WHERE opened >= :start AND opened < :end"
    inline = with_source(shops, f'{{kind: sql, url: "{{postgres}}/{beside}", query: "{query}"}}')
    boxed = in_containers(inline, owner)
    for definition, call in ((inline, perform), (boxed, ingest_in_container)):
        report = take(definition, settings.model_copy(update={"image": image}), DAY, call=call)
        assert (report.state, report.rows_landed) == (RunState.PUBLISHED, 60), report.reason
    assert content_hashes(writer, "boxed") == content_hashes(writer, "shops")
    with reach_database(settings, Stage.INGEST, source=boxed.pipeline.source) as route:
        assert route.network == "none"


def test_an_address_in_the_net_is_reached_with_the_secret_that_it_names_and_nothing_else_is(
    shops: Definition, settings: Settings, image: str, write_day: Write, monkeypatch: pytest.MonkeyPatch, docker_engine: Any
) -> None:
    header, *lines = write_day(DAY).read_text().splitlines()
    rows = json.dumps([dict(zip(header.split(","), line.split(","), strict=True)) for line in lines])
    boxed = settings.model_copy(update={"image": image})
    monkeypatch.setenv("SHOP", "of-the-shop")
    with ExitStack() as stack:
        elsewhere = stack.enter_context(served({"/": rows.encode()}, key="", engine=docker_engine))
        files = {"/": rows.encode(), "/moved": elsewhere}
        address = stack.enter_context(served(files, key="of-the-shop", engine=docker_engine))

        def taken(path: str) -> NightReport:
            source = f"{{kind: http, url: '{address}{path}', headers: {{Authorization: 'Bearer ${{SHOP}}'}}}}"
            return take(with_source(shops, source), boxed, DAY, call=ingest_in_container)

        refused = taken("/moved")
        assert (refused.state, "may not reach" in refused.reason) == (RunState.FAILED, True), refused.reason
        report = taken("/")
        assert (report.state, report.rows_landed) == (RunState.PUBLISHED, 60), report.reason
        contract = shops.folder / "pipeline.yaml"
        contract.write_text(f"{contract.read_text()}runner: {{kind: docker, reaches: ['{elsewhere.removeprefix('http://')}']}}\n")
        report = taken("/moved")
        assert (report.state, report.rows_landed) == (RunState.PUBLISHED, 60), report.reason
    for stage in set(Stage) - {Stage.INGEST}:
        with reach_database(settings, stage) as route:
            assert route.network == "none"


def test_object_storage_is_read_by_an_image_with_its_driver_and_one_without_says_how_to_build_it(
    shops: Definition, settings: Settings, image: str, write_day: Write, monkeypatch: pytest.MonkeyPatch, docker_engine: Any
) -> None:
    base = os.environ.get("OVERNIGHT_TEST_BASE") or ("python-base" if docker_engine.images.list("python-base") else None)
    with_driver = build_image("overnight:test-s3", base=base, extras=["s3"])
    stored = with_source(shops, "{kind: csv, path: 's3://nights/{start:%Y-%m-%d}.csv'}")
    with served({f"/nights/{DAY}.csv": write_day(DAY).read_bytes()}, key="of-the-shop", engine=docker_engine) as address:
        for name, value in {"ENDPOINT_URL": address, "ACCESS_KEY_ID": "of-the-shop", "SECRET_ACCESS_KEY": "secret"}.items():
            monkeypatch.setenv(f"AWS_{name}", value)
        without, report = (
            take(stored, settings.model_copy(update={"image": one}), DAY, call=ingest_in_container)
            for one in (image, with_driver)
        )
    assert without.state is RunState.FAILED
    assert "overnight image build --with s3" in without.reason
    assert (report.state, report.rows_landed) == (RunState.PUBLISHED, 60), report.reason


@contextmanager
def served(files: Mapping[str, bytes | str], *, key: str, engine: Any) -> Iterator[str]:
    """Files, and other addresses, for whoever shows the key, as web servers and object storage hand them out; the address as a
    container sees it."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            allowed = key in self.headers.get("Authorization", "")
            found = files.get(self.path.split("?")[0]) if allowed else None
            if isinstance(found, str):
                self.send_response(302)
                self.send_header("Location", found)
                found = b""
            else:
                self.send_response(401 if not allowed else 404 if found is None else 200)
            self.send_header("Content-Length", str(len(found or b"")))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(found or b"")

        do_HEAD = do_GET

        def log_message(self, *_: Any) -> None: ...

    bridge = engine.networks.get("bridge").attrs["IPAM"]["Config"][0]
    server = ThreadingHTTPServer(("0.0.0.0", 0), Answer)  # a container has to reach it
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://{bridge.get('Gateway', '172.17.0.1')}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
