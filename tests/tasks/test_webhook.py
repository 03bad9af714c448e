"""A pipeline's webhook is told of each night that is published, held or corrected, at least once, and of nothing else."""

import hashlib
import hmac
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from deployments.catalogue import Definition, load_definition
from domain.errors import DefinitionError
from infra.settings import Settings
from store.pipelines import register
from tasks.holding import hold, release
from tasks.night import take_night
from tasks.webhook import tell_webhook, tell_webhooks

Write = Callable[..., Path]


class Inbox(list[tuple[dict[str, str], bytes]]):
    """What came, with headers; answers with `status`."""

    url, status = "", 200


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    box = Inbox()

    class Keep(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if box.status == 200:
                box.append((dict(self.headers), body))
            self.send_response(box.status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Keep)
    box.url = f"http://127.0.0.1:{server.server_port}/hook"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield box
    server.shutdown()
    server.server_close()


@pytest.fixture
def hooked(settings: Settings, shops: Definition, owner: sa.Engine, inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> Definition:
    monkeypatch.setenv("HOOK", inbox.url)
    monkeypatch.setenv("HOOK_SECRET", "s3cret")
    path = settings.deployments / "shops" / "pipeline.yaml"
    path.write_text(path.read_text() + 'tell: {webhook: "${HOOK}", secret: "${HOOK_SECRET}"}\n')
    definition = load_definition(settings.deployments, "shops")
    register(owner, definition.pipeline, expectations=list(definition.expectations))
    return definition


def take(definition: Definition, settings: Settings, day: str, **how: Any) -> None:
    take_night(definition, definition.pipeline.calendar.named(day), settings, **{"trigger": "schedule", **how})


def documents(inbox: Inbox) -> list[dict[str, Any]]:
    return [json.loads(body) for _, body in inbox]


def test_published_corrected_and_held_are_told_once_each_and_signed(
    settings: Settings, hooked: Definition, inbox: Inbox, write_day: Write
) -> None:
    now = datetime.now(UTC)
    write_day("2024-01-01")
    take(hooked, settings, "2024-01-01")
    write_day("2024-01-01", rows=61)
    take(hooked, settings, "2024-01-01")
    write_day("2024-01-02", change=lambda lines: [lines[0], *["s,x,y,z,1,2" for _ in lines[1:]]])
    take(hooked, settings, "2024-01-02")
    assert len(tell_webhooks(settings, now=now)) == 3
    assert tell_webhook(hooked, settings, now=now) == []
    told = documents(inbox)
    assert [(one["event"], one["interval"]["name"], one["rows"]["landed"]) for one in told] == [
        ("published", "2024-01-01", 60), ("corrected", "2024-01-01", 61), ("held", "2024-01-02", 0)
    ]  # fmt: skip
    assert told[1]["previous_batch"] == told[0]["batch"]
    headers, body = inbox[0]
    seconds, given = (part.split("=")[1] for part in headers["Overnight-Signature"].split(","))
    assert given == hmac.new(b"s3cret", f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()


def test_a_night_held_by_hand_after_it_was_published_is_told_once_with_what_readers_see_and_who_said_why(
    settings: Settings, hooked: Definition, inbox: Inbox, write_day: Write
) -> None:
    first, second = (hooked.pipeline.calendar.named(f"2024-01-0{day}") for day in (1, 2))
    write_day("2024-01-01")
    take(hooked, settings, "2024-01-01")
    by_ana: dict[str, Any] = {"who": "ana", "holder": {"pid": 1}}
    for why in ("prices look wrong", "they do"):
        hold(hooked, first, settings, why=why, **by_ana)
    hold(hooked, second, settings, why="it is not there yet", **by_ana)
    tell_webhook(hooked, settings, now=datetime.now(UTC))
    assert tell_webhook(hooked, settings, now=datetime.now(UTC)) == []
    published, held = documents(inbox)
    assert (held["event"], held["verdict"], held["reason"]) == ("held", "held", "held: by ana: prices look wrong")
    assert held["run"] > published["run"]
    same = ("batch", "content_hash", "rows", "interval", "model_version")
    assert [held[name] for name in same] == [published[name] for name in same]
    release(hooked, first, settings, why="they are right", **by_ana)
    hold(hooked, first, settings, why="they are not", **by_ana)
    assert len(tell_webhook(hooked, settings, now=datetime.now(UTC))) == 1


def test_a_webhook_that_is_away_is_told_later_and_every_attempt_is_kept(
    settings: Settings, hooked: Definition, inbox: Inbox, write_day: Write, reader: sa.Engine
) -> None:
    now = datetime.now(UTC)
    write_day("2024-01-01")
    take(hooked, settings, "2024-01-01")
    inbox.status = 503
    assert tell_webhook(hooked, settings, now=now) == []
    inbox.status = 200
    assert tell_webhook(hooked, settings, now=now + timedelta(seconds=29)) == []
    assert len(tell_webhook(hooked, settings, now=now + timedelta(seconds=31))) == 1
    with reader.connect() as connection:
        kept = connection.execute(sa.text("SELECT delivered, status, error FROM reading.delivery ORDER BY id")).all()
    assert [tuple(line) for line in kept] == [(False, 503, "it answered 503"), (True, 200, "")]


def test_a_backfill_wakes_nobody_unless_asked(settings: Settings, hooked: Definition, inbox: Inbox, write_day: Write) -> None:
    for day in ("2024-01-01", "2024-01-02"):
        write_day(day)
    take(hooked, settings, "2024-01-01", trigger="backfill")
    take(hooked, settings, "2024-01-02", trigger="backfill", holder={"tell": True})
    tell_webhook(hooked, settings, now=datetime.now(UTC))
    assert [one["interval"]["name"] for one in documents(inbox)] == ["2024-01-02"]


def test_a_secret_in_the_file_is_refused(settings: Settings, hooked: Definition) -> None:
    path = hooked.folder / "pipeline.yaml"
    path.write_text(path.read_text().replace("${HOOK_SECRET}", "s3cret"))
    with pytest.raises(DefinitionError, match="a secret does not belong in a file"):
        load_definition(settings.deployments, "shops")
